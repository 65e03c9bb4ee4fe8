/* What bytes come and go by: both ports, and the certificates that they show. Loop thread. */
#ifndef SRV_TRANSPORT_H
#define SRV_TRANSPORT_H

#include <stddef.h>

#include "server/handlers/api.h"

struct srv_http;
struct srv_http2;
struct srv_tls_set;

struct srv_transport {
    struct srv_env *env;
    struct srv_api *api;
    struct srv_tls_set *tls; /* NULL: clear text; a reload puts another in its place */
    struct srv_http *http;
    struct srv_http2 *grpc; /* NULL: off */
    struct srv_http *admin; /* NULL: off; answers until the end, also while the server drains */
    int fds[SRV_PORTS];     /* bound, and not yet serving; -1: none */
};

/* What the sockets are bound to, for people. */
struct srv_bound {
    char names[SRV_PORTS][128];
};

/* Zeroed otherwise. */
void srv_transport_init(struct srv_transport *t, struct srv_env *env, struct srv_api *api);
/* Takes the addresses that the options name, so that one that is taken is noticed at once. Sockets
 * that are open already are taken over: -1 = none. A negative errno with a sentence. */
int srv_transport_bind(struct srv_transport *t, const int open_fds_take[SRV_PORTS],
                       struct srv_bound *ret, char *err, size_t errlen);
/* Listens and serves. */
int srv_transport_start(struct srv_transport *t, char *err, size_t errlen);
/* Sends what calls have answered; tells watchers of health what has changed. */
void srv_transport_pump(struct srv_transport *t);
/* No more connections; clients are told to go elsewhere. */
void srv_transport_quiesce(struct srv_transport *t);
/* Nobody waits for an answer or takes one, and nobody has just come, or had one. */
int srv_transport_is_quiet(const struct srv_transport *t);
/* Cuts what is open. uv handles are closed: run the loop once more before it goes. */
void srv_transport_stop(struct srv_transport *t);
/* After the handles' closing callbacks. */
void srv_transport_finish(struct srv_transport *t);

#endif
