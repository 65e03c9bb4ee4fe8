/* `health`: one GET of the readiness page, for container probes. Exit 0 when ready. Over TLS the
 * certificate is not looked at: it may have been replaced in the file since the server read it, and
 * nothing but a word is believed that whoever listens there could say as well. */
#include "server/cli/commands.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/address.h"
#include "server/base/clock.h"

enum { TIMEOUT_MS = 3000 };

struct line {
    int fd;
    gnutls_session_t session; /* NULL: clear text */
    gnutls_certificate_credentials_t credentials;
};

/* What the server may ask for. */
static int show_certificate(struct line *l, const struct cfg *cfg, char *err, size_t errlen)
{
    const char *cert = cfg->client_cert, *key = cfg->client_key[0] ? cfg->client_key : cert;
    int rc = cert[0] ? gnutls_certificate_set_x509_key_file(l->credentials, cert, key,
                                                            GNUTLS_X509_FMT_PEM)
                     : 0;
    if (rc < 0)
        snprintf(err, errlen, "client_cert %s, client_key %s: %s", cert, key, gnutls_strerror(rc));
    return rc < 0 ? -EINVAL : 0;
}

static int start_tls(struct line *l, const struct cfg *cfg, char *err, size_t errlen)
{
    int rc = gnutls_certificate_allocate_credentials(&l->credentials);
    if (rc == 0 && show_certificate(l, cfg, err, errlen) < 0)
        return -EINVAL;
    if (rc == 0)
        rc = gnutls_init(&l->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (rc == 0)
        rc = gnutls_set_default_priority(l->session);
    if (rc == 0)
        rc = gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE, l->credentials);
    if (rc == 0) {
        gnutls_transport_set_int(l->session, l->fd);
        gnutls_handshake_set_timeout(l->session, TIMEOUT_MS);
        do
            rc = gnutls_handshake(l->session);
        while (rc < 0 && rc != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(rc));
    }
    if (rc < 0)
        snprintf(err, errlen, "TLS: %s", gnutls_strerror(rc));
    return rc < 0 ? -EPROTO : 0;
}

static void hang_up(struct line *l)
{
    if (l->session)
        gnutls_deinit(l->session);
    if (l->credentials)
        gnutls_certificate_free_credentials(l->credentials);
    close(l->fd);
}

static ssize_t say(struct line *l, const char *text, size_t len)
{
    return l->session ? gnutls_record_send(l->session, text, len)
                      : send(l->fd, text, len, MSG_NOSIGNAL);
}

static ssize_t hear(struct line *l, char *buf, size_t len)
{
    ssize_t n;
    if (!l->session)
        return recv(l->fd, buf, len, 0);
    uint64_t until = srv_now_ns() + TIMEOUT_MS * (uint64_t)SRV_NS_PER_MS;
    do /* a ticket comes first, and is "try again", as the socket's timeout is */
        n = gnutls_record_recv(l->session, buf, len);
    while (n == GNUTLS_E_INTERRUPTED || (n == GNUTLS_E_AGAIN && srv_now_ns() < until));
    return n;
}

static int read_status(struct line *l, char *buf, size_t len)
{
    size_t n = 0;
    while (n + 1 < len && !memchr(buf, '\n', n)) {
        ssize_t k = hear(l, buf + n, len - 1 - n);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    buf[n] = 0;
    int status = 0;
    return sscanf(buf, "HTTP/1.%*d %d", &status) == 1 ? status : -EPROTO;
}

int srv_cmd_health(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    static const char request[] =
        "GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char buf[512], why[200] = "no answer";
    struct line l = {.fd = -1};
    const char *address = cfg->admin_http[0] ? cfg->admin_http : cfg->http;
    int clear = cfg->admin_http[0] && strncmp(address, "unix:", 5) == 0;
    int rc = srv_connect(&l.fd, address, TIMEOUT_MS, err, errlen);
    if (rc < 0)
        return rc;
    if (!clear && (cfg->tls_cert[0] || cfg->client_cert[0]))
        rc = start_tls(&l, cfg, why, sizeof(why));
    if (rc == 0) {
        rc = -EPROTO;
        if (say(&l, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1)
            rc = read_status(&l, buf, sizeof(buf));
    }
    hang_up(&l);
    if (rc < 0) {
        snprintf(err, errlen, "%s: %s", address, why);
        return rc;
    }
    fprintf(out, "%s\n", rc == 200 ? "ready" : "not ready");
    return rc == 200 ? 0 : 1;
}
