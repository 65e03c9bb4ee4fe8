/* Some hundred bytes into a socket that has nothing to send: they fit, or the client has long
 * stopped reading and gets none. */
#include "server/transport/http_raw.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "server/handlers/call.h"

static void put_head(FILE *f, const struct srv_call *c)
{
    const struct srv_reply *r = &c->reply;
    char date[64];
    struct tm tm;
    time_t now = time(NULL);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    fprintf(f, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
            r->status, MHD_get_reason_phrase_for((unsigned)r->status), date, r->body ? r->len : 0);
    if (r->type)
        fprintf(f, "Content-Type: %s\r\n", r->type);
    fprintf(f, "X-Request-Id: %s\r\n", c->id);
    for (int i = 0; i < r->n_headers; i++)
        fprintf(f, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
    fputs("\r\n", f);
}

static ssize_t send_all(struct MHD_Connection *connection, const char *text, size_t len)
{
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (tls)
        return gnutls_record_send(tls->tls_session, text, len);
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    return send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void srv_http_raw_end(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (tls)
        gnutls_bye(tls->tls_session, GNUTLS_SHUT_WR);
    shutdown(fd, SHUT_WR);
}

int srv_http_raw(struct MHD_Connection *connection, const struct srv_call *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return -1;
    put_head(f, c);
    if (c->reply.body)
        fwrite(c->reply.body, 1, c->reply.len, f);
    int whole = !ferror(f);
    whole = fclose(f) == 0 && whole;
    if (whole)
        whole = send_all(connection, text, len) == (ssize_t)len;
    free(text);
    return whole ? 0 : -1;
}
