/* Where routes and what they answer from meet. */
#include "server/handlers/api.h"

#include "server/base/clock.h"
#include "server/handlers/auth.h"
#include "server/handlers/routes.h"

void srv_api_init(struct srv_api *api, struct srv_env *env, struct srv_scheduler *sched)
{
    api->env = env;
    api->sched = sched;
    api->routes = srv_routes;
    static const char *const ports[SRV_PORTS] = {"HTTP", "gRPC", "admin_http"};
    for (int i = 0; i < SRV_PORTS; i++)
        api->sockets[i] = (struct srv_sockets){.port = ports[i], .fd = -1};
    api->metrics.started_ns = srv_now_ns();
    srv_orders_init(&api->orders);
}

void srv_api_finish(struct srv_api *api)
{
    srv_orders_finish(&api->orders);
    srv_keys_destroy(api->keys);
}
