/* TLS of the HTTP port, beyond what libmicrohttpd does with it: whom a session shows and asks for,
 * tickets, and the alert that says why a handshake failed. Loop thread only. Untrusted bytes. */
#ifndef SRV_HTTPS_H
#define SRV_HTTPS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

struct MHD_Connection;
struct srv_transport;
struct srv_https_session;

struct srv_https {
    struct srv_transport *transport;
    struct srv_https_session *last; /* whose socket was used last */
};

/* What libmicrohttpd 0.9.75 logs as it gives up a handshake, whatever the reason, just before it
 * shuts the socket. */
#define SRV_HTTPS_FAILED "Error: received handshake message out of context."

/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
int srv_https_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                          gnutls_pcert_st **ret, unsigned *ret_len, gnutls_privkey_t *ret_key);

/* A connection has come, on fd. NULL: out of memory, and its handshake will fail. */
struct srv_https_session *srv_https_begin(struct srv_https *port, struct MHD_Connection *connection,
                                          int fd);
/* After its TLS session has gone. NULL is fine. */
void srv_https_end(struct srv_https_session *c);
/* The handshake that was worked at last has failed: tells its client why. */
void srv_https_alert(struct srv_https *port);

#endif
