/* The server's end of TLS between bytes and bytes, for connections that are on the loop themselves:
 * feed what the socket gave, read clear text; write clear text, take what the socket gets. Loop
 * thread only. Untrusted bytes. */
#ifndef SRV_TLS_PIPE_H
#define SRV_TLS_PIPE_H

#include <stddef.h>

#include "server/transport/tls.h"

/* What all connections of one port share. */
struct srv_tls_port {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
};
/* By srv_tls_policy(). -ENOMEM or -EINVAL. */
int srv_tls_port_init(struct srv_tls_port *p);
void srv_tls_port_finish(struct srv_tls_port *p);

struct srv_tls_pipe;

/* t: what it shows and whom it trusts; it must outlive the pipe. A client that offers protocols and
 * no h2 among them is refused. -ENOMEM. */
int srv_tls_pipe_create(struct srv_tls_pipe **ret, const struct srv_tls_port *p,
                        struct srv_tls_set *t);
void srv_tls_pipe_destroy(struct srv_tls_pipe *p);

/* From the socket; the bytes must stay until srv_tls_pipe_read() has returned 0 or less. */
void srv_tls_pipe_feed(struct srv_tls_pipe *p, const void *data, size_t len);
/* Goes on with the handshake, then with clear text: how many bytes; 0: all that was fed is used up;
 * -EPROTO: it is over, and what there is to take says why; -ECONNRESET: the client said goodbye. */
long srv_tls_pipe_read(struct srv_tls_pipe *p, void *buf, size_t len);
int srv_tls_pipe_is_open(const struct srv_tls_pipe *p); /* the handshake is through */

/* Once it is open. -EPROTO, -ENOMEM: close. */
int srv_tls_pipe_write(struct srv_tls_pipe *p, const void *data, size_t len);
/* Says goodbye, the first time. 1: there is something to take. */
int srv_tls_pipe_end(struct srv_tls_pipe *p);
/* All that is to be sent, valid until the next take; its length. -ENOMEM: some of it is lost. */
long srv_tls_pipe_take(struct srv_tls_pipe *p, const void **ret);

#endif
