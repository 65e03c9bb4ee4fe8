/* Two buffers take turns: one is being sent while the session fills the other. */
#include "server/transport/tls_pipe.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { UNSENT_MAX = 256 << 10, BUFFER_MIN = 4 << 10 };

struct buffer {
    char *data;
    size_t len, room;
};

struct srv_tls_pipe {
    gnutls_session_t session;
    const struct srv_tls_set *set;
    const unsigned char *in; /* the caller's */
    size_t in_len;
    struct buffer out, sending;
    int open, ended, failed;
};

/* ---- what GnuTLS asks ---- */

static ssize_t pull(gnutls_transport_ptr_t arg, void *buf, size_t len)
{
    struct srv_tls_pipe *p = arg;
    size_t n = p->in_len < len ? p->in_len : len;
    if (n == 0) {
        gnutls_transport_set_errno(p->session, EAGAIN);
        return -1;
    }
    memcpy(buf, p->in, n);
    p->in += n;
    p->in_len -= n;
    return (ssize_t)n;
}

static int grow(struct buffer *b, size_t need)
{
    size_t room = b->room > BUFFER_MIN ? b->room : BUFFER_MIN;
    while (room < need)
        room *= 2;
    char *grown = realloc(b->data, room);
    if (!grown)
        return -ENOMEM;
    b->data = grown;
    b->room = room;
    return 0;
}

/* Bounded: a client that does not read can still make the session answer. */
static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t len)
{
    struct srv_tls_pipe *p = arg;
    struct buffer *b = &p->out;
    if (p->failed || len > UNSENT_MAX || b->len > UNSENT_MAX - len ||
        (b->len + len > b->room && grow(b, b->len + len) < 0)) {
        p->failed = 1;
        gnutls_transport_set_errno(p->session, EPIPE);
        return -1;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return (ssize_t)len;
}

static int verify_client(gnutls_session_t session)
{
    const struct srv_tls_pipe *p = gnutls_session_get_ptr(session);
    return srv_tls_verify_client(p->set, session);
}

static int choose_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                              const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                              gnutls_pcert_st **ret, unsigned *ret_len, gnutls_privkey_t *ret_key)
{
    const struct srv_tls_pipe *p = gnutls_session_get_ptr(session);
    (void)names;
    (void)n_names;
    (void)algorithms;
    (void)n_algorithms;
    return srv_tls_offer(p->set, session, verify_client, ret, ret_len, ret_key);
}

/* ---- a port ---- */

int srv_tls_port_init(struct srv_tls_port *p)
{
    *p = (struct srv_tls_port){NULL, NULL};
    if (gnutls_certificate_allocate_credentials(&p->credentials) < 0)
        return -ENOMEM;
    gnutls_certificate_set_retrieve_function2(p->credentials, choose_certificate);
    int rc = gnutls_priority_init(&p->priorities, srv_tls_policy(), NULL);
    if (rc == 0)
        return 0;
    srv_tls_port_finish(p);
    return rc == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

void srv_tls_port_finish(struct srv_tls_port *p)
{
    if (p->credentials)
        gnutls_certificate_free_credentials(p->credentials);
    if (p->priorities)
        gnutls_priority_deinit(p->priorities);
    *p = (struct srv_tls_port){NULL, NULL};
}

/* ---- a connection ---- */

int srv_tls_pipe_create(struct srv_tls_pipe **ret, const struct srv_tls_port *port,
                        struct srv_tls_set *t)
{
    const gnutls_datum_t h2 = {(unsigned char *)(uintptr_t) "h2", 2};
    struct srv_tls_pipe *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->set = t;
    if (gnutls_init(&p->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(p);
        return -ENOMEM;
    }
    gnutls_session_set_ptr(p->session, p);
    gnutls_transport_set_ptr(p->session, p);
    gnutls_transport_set_pull_function(p->session, pull);
    gnutls_transport_set_push_function(p->session, push);
    gnutls_handshake_set_timeout(p->session, 0); /* the connection's own idle time ends it */
    if (gnutls_priority_set(p->session, port->priorities) < 0 ||
        gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE, port->credentials) < 0 ||
        gnutls_alpn_set_protocols(p->session, &h2, 1, GNUTLS_ALPN_MANDATORY) < 0) {
        srv_tls_pipe_destroy(p);
        return -ENOMEM;
    }
    srv_tls_resume(t, p->session);
    *ret = p;
    return 0;
}

void srv_tls_pipe_destroy(struct srv_tls_pipe *p)
{
    if (!p)
        return;
    gnutls_deinit(p->session);
    free(p->out.data);
    free(p->sending.data);
    free(p);
}

void srv_tls_pipe_feed(struct srv_tls_pipe *p, const void *data, size_t len)
{
    p->in = data;
    p->in_len = len;
}

/* What a call of GnuTLS that gave no data came to, as srv_tls_pipe_read() has it; 1: try again. */
static int judge(struct srv_tls_pipe *p, long rc)
{
    if (rc == GNUTLS_E_AGAIN)
        return p->in_len ? 1 : 0;
    /* Nobody may begin anew inside of HTTP/2 (RFC 9113 9.2.1). */
    if (rc != GNUTLS_E_REHANDSHAKE && !gnutls_error_is_fatal((int)rc))
        return 1;
    if (rc == GNUTLS_E_NO_CERTIFICATE_FOUND) /* RFC 5246 7.4.6; GnuTLS would say decode_error */
        gnutls_alert_send(p->session, GNUTLS_AL_FATAL, GNUTLS_A_HANDSHAKE_FAILURE);
    else if (!p->failed && rc != GNUTLS_E_PREMATURE_TERMINATION)
        gnutls_alert_send_appropriate(p->session, (int)rc);
    p->ended = 1;
    return -EPROTO;
}

long srv_tls_pipe_read(struct srv_tls_pipe *p, void *buf, size_t len)
{
    if (p->ended)
        return -EPROTO;
    for (;;) {
        long rc = p->open ? gnutls_record_recv(p->session, buf, len) : gnutls_handshake(p->session);
        if (rc > 0)
            return rc;
        if (rc == 0 && p->open)
            return -ECONNRESET;
        if (rc == 0) {
            p->open = 1;
            continue;
        }
        int verdict = judge(p, rc);
        if (verdict <= 0)
            return verdict;
    }
}

int srv_tls_pipe_is_open(const struct srv_tls_pipe *p)
{
    return p->open && !p->ended;
}

int srv_tls_pipe_write(struct srv_tls_pipe *p, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = gnutls_record_send(p->session, at, len);
        if (n < 0 && gnutls_error_is_fatal((int)n))
            return p->failed ? -ENOMEM : -EPROTO;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int srv_tls_pipe_end(struct srv_tls_pipe *p)
{
    if (p->ended || !p->open)
        return 0;
    p->ended = 1;
    gnutls_bye(p->session, GNUTLS_SHUT_WR);
    return p->out.len > 0;
}

long srv_tls_pipe_take(struct srv_tls_pipe *p, const void **ret)
{
    struct buffer full = p->out;
    p->out = p->sending;
    p->out.len = 0;
    p->sending = full;
    *ret = full.data;
    return p->failed ? -ENOMEM : (long)full.len;
}
