/* libmicrohttpd and nothing else: bare_mhd PORT answers every request with the body of
 * /v2/health/live, on one thread with epoll, as the daemon's loop does. Says which port that
 * is, which matters for port 0. Ends with its input. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **context)
{
    static char body[] = "{\"live\":true}";
    (void)cls;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    *size = 0;
    if (!*context) { /* the headers alone: the answer comes when all is here, so that the
                        connection stays */
        *context = body;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result ok = MHD_queue_response(connection, 200, r);
    MHD_destroy_response(r);
    return ok;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atol(argc > 1 ? argv[1] : "8080")),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer,
                                            NULL, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
    char byte;
    if (!d) {
        fprintf(stderr, "bare_mhd: cannot listen\n");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    printf("ready %u\n", info ? (unsigned)info->port : 0);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    MHD_stop_daemon(d);
    return 0;
}
