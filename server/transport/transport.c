/* Both ports as one. */
#include "server/transport/transport.h"

#include <stdio.h>
#include <unistd.h>

#include "server/transport/http.h"
#include "server/transport/http2_port.h"
#include "server/transport/listen.h"
#include "server/transport/tls.h"

enum { ADMIN_CONNECTIONS = 16 };

void srv_transport_init(struct srv_transport *t, struct srv_env *env, struct srv_api *api)
{
    t->env = env;
    t->api = api;
    for (int i = 0; i < SRV_PORTS; i++)
        t->fds[i] = -1;
}

int srv_transport_bind(struct srv_transport *t, const int open_fds_take[SRV_PORTS],
                       struct srv_bound *ret, char *err, size_t errlen)
{
    const struct cfg *cfg = t->env->cfg;
    const char *const addresses[SRV_PORTS] = {cfg->http, cfg->grpc, cfg->admin_http};
    int rc = 0;
    for (int i = 0; i < SRV_PORTS; i++) {
        snprintf(ret->names[i], sizeof(ret->names[i]), "off");
        if (!addresses[i][0] || rc < 0)
            t->fds[i] = open_fds_take[i];
        else
            rc = srv_bind(&t->fds[i], open_fds_take[i], addresses[i], ret->names[i],
                          sizeof(ret->names[i]), err, errlen);
    }
    return rc;
}

static int take_fd(struct srv_transport *t, enum srv_port port)
{
    int fd = t->fds[port];
    t->fds[port] = -1;
    return fd;
}

int srv_transport_start(struct srv_transport *t, char *err, size_t errlen)
{
    const struct cfg *cfg = t->env->cfg;
    int limit = (int)cfg->max_connections;
    int rc =
        srv_http_start(&t->http, t, SRV_PORT_HTTP, take_fd(t, SRV_PORT_HTTP), limit, err, errlen);
    if (rc == 0 && cfg->grpc[0])
        rc = srv_http2_start(&t->grpc, t, take_fd(t, SRV_PORT_GRPC), err, errlen);
    if (rc == 0 && cfg->admin_http[0])
        rc = srv_http_start(&t->admin, t, SRV_PORT_ADMIN, take_fd(t, SRV_PORT_ADMIN),
                            ADMIN_CONNECTIONS, err, errlen);
    return rc;
}

static void close_unused(struct srv_transport *t)
{
    for (int i = 0; i < SRV_PORTS; i++)
        if (t->fds[i] >= 0)
            close(take_fd(t, (enum srv_port)i));
}

void srv_transport_pump(struct srv_transport *t)
{
    srv_http_pump(t->http);
    srv_http2_pump(t->grpc);
    srv_http_pump(t->admin);
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
    srv_http_stop(t->admin);
    close_unused(t);
}

void srv_transport_finish(struct srv_transport *t)
{
    srv_http_destroy(t->http);
    srv_http2_destroy(t->grpc);
    srv_http_destroy(t->admin);
    srv_tls_destroy(t->tls);
}
