/* libmicrohttpd keeps the code of a failed handshake to itself and sends no alert. So we see every
 * read and write of a session, which tells whose handshake has just failed, and how far it had
 * come, which tells why. */
#include "server/transport/https.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/transport/tls.h"
#include "server/transport/transport.h"

struct srv_https_session {
    struct srv_https *port;
    gnutls_session_t session;
    int fd;
    int heard;   /* type of the last message of the client's that could be parsed, -1: none */
    int refused; /* nobody that we trust */
    int is_old;  /* it speaks nothing from TLS 1.2 on */
};

static ssize_t pull(gnutls_transport_ptr_t arg, void *buf, size_t len)
{
    struct srv_https_session *c = arg;
    c->port->last = c;
    return recv(c->fd, buf, len, 0);
}

static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *v, int n)
{
    struct srv_https_session *c = arg;
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    c->port->last = c;
    return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static int on_message(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message)
{
    struct srv_https_session *c = gnutls_session_get_ptr(session);
    (void)when;
    if (!incoming)
        return 0;
    c->heard = (int)type;
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && message->size >= 2) /* RFC 5246 7.4.1.2 */
        c->is_old = message->data[0] < 3 || (message->data[0] == 3 && message->data[1] < 3);
    return 0;
}

static int verify_client(gnutls_session_t session)
{
    struct srv_https_session *c = gnutls_session_get_ptr(session);
    int rc = srv_tls_verify_client(c->port->transport->tls, session);
    c->refused = rc < 0;
    return rc;
}

int srv_https_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                          gnutls_pcert_st **ret, unsigned *ret_len, gnutls_privkey_t *ret_key)
{
    const struct srv_https_session *c = gnutls_session_get_ptr(session);
    (void)names;
    (void)n_names;
    (void)algorithms;
    (void)n_algorithms;
    return c ? srv_tls_offer(c->port->transport->tls, session, verify_client, ret, ret_len, ret_key)
             : -1;
}

struct srv_https_session *srv_https_begin(struct srv_https *port, struct MHD_Connection *connection,
                                          int fd)
{
    gnutls_session_t session =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
    struct srv_https_session *c = calloc(1, sizeof(*c));
    gnutls_session_set_ptr(session, c);
    if (!c)
        return NULL;
    *c = (struct srv_https_session){.port = port, .session = session, .fd = fd, .heard = -1};
    gnutls_transport_set_ptr(session, c);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_vec_push_function(session, push);
    gnutls_handshake_set_timeout(session, 0); /* header_timeout_ms bounds it */
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, on_message);
    srv_tls_resume(port->transport->tls, session);
    return c;
}

void srv_https_end(struct srv_https_session *c)
{
    if (c && c->port->last == c)
        c->port->last = NULL;
    free(c);
}

/* As the other port's, where GnuTLS knows the code. */
static gnutls_alert_description_t reason(const struct srv_https_session *c)
{
    if (c->refused)
        return GNUTLS_A_BAD_CERTIFICATE;
    switch (c->heard) {
    case -1:
        return GNUTLS_A_UNEXPECTED_MESSAGE;
    case GNUTLS_HANDSHAKE_CLIENT_HELLO:
        return c->is_old ? GNUTLS_A_PROTOCOL_VERSION : GNUTLS_A_HANDSHAKE_FAILURE;
    case GNUTLS_HANDSHAKE_CERTIFICATE_PKT: /* it has none: RFC 8446 4.4.2.4, RFC 5246 7.4.6 */
        return gnutls_protocol_get_version(c->session) == GNUTLS_TLS1_3
                   ? GNUTLS_A_CERTIFICATE_REQUIRED
                   : GNUTLS_A_HANDSHAKE_FAILURE;
    default:
        return GNUTLS_A_DECRYPT_ERROR;
    }
}

void srv_https_alert(struct srv_https *port)
{
    struct srv_https_session *c = port->last;
    if (c)
        gnutls_alert_send(c->session, GNUTLS_AL_FATAL, reason(c));
}
