/* Both ports as one. */
#include "server/transport/transport.h"

#include <stdio.h>

#include "server/transport/http.h"
#include "server/transport/http2_port.h"
#include "server/transport/tls.h"

int srv_transport_start(struct srv_transport *t, int http_fd_take, int grpc_fd_take,
                        struct srv_bound *ret, char *err, size_t errlen)
{
    snprintf(ret->grpc, sizeof(ret->grpc), "off");
    int rc = srv_http_start(&t->http, t, http_fd_take, ret->http, sizeof(ret->http), err, errlen);
    if (rc == 0 && t->env->cfg->grpc[0])
        rc = srv_http2_start(&t->grpc, t, grpc_fd_take, ret->grpc, sizeof(ret->grpc), err, errlen);
    return rc;
}

void srv_transport_pump(struct srv_transport *t)
{
    srv_http_pump(t->http);
    srv_http2_pump(t->grpc);
}

void srv_transport_quiesce(struct srv_transport *t)
{
    srv_http_quiesce(t->http);
    srv_http2_quiesce(t->grpc);
}

int srv_transport_is_quiet(const struct srv_transport *t)
{
    return srv_http_is_quiet(t->http);
}

void srv_transport_stop(struct srv_transport *t)
{
    srv_http_stop(t->http);
    srv_http2_stop(t->grpc);
}

void srv_transport_finish(struct srv_transport *t)
{
    srv_http_destroy(t->http);
    srv_http2_destroy(t->grpc);
    srv_tls_destroy(t->tls);
}
