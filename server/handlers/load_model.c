/* Loading and unloading models, over HTTP and gRPC: the answer comes when the model serves. */
#include <stdlib.h>
#include <string.h>

#include "protocol/describe.h"
#include "server/base/clock.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"
#include "server/handlers/rpc_handlers.h"
#include "server/repository/orders.h"

struct change {
    struct srv_call *call;
    struct srv_order *order; /* NULL: answered */
    int grpc;
};

static void client_left(void *arg)
{
    struct change *x = arg;
    if (x->order)
        srv_order_forget(x->order);
}

static void changed(void *arg, int status, const char *sentence)
{
    struct change *x = arg;
    x->order = NULL;
    if (status)
        srv_call_error(x->call, status, "%s", sentence);
    else if (x->grpc) /* both answers are messages without a field */
        srv_rpc_reply(x->call, calloc(1, 1), 0);
    else
        srv_api_text(x->call, 200, "application/json", "{}");
}

static void change(struct srv_call *c, const char *name, int load, int override, int grpc)
{
    if (load && override) {
        srv_call_error(c, 400,
                       "a model is loaded as the repository has it: neither config nor files "
                       "can be sent along");
        return;
    }
    struct change *x = srv_arena_alloc(&c->req->arena, sizeof(*x));
    if (!x) {
        srv_call_error(c, 503, "out of memory for the request");
        return;
    }
    *x = (struct change){.call = c, .grpc = grpc};
    if (!c->req->deadline_given) /* what changes the repository is told whenever it is done */
        c->req->deadline_ns = SRV_NEVER;
    x->order = srv_orders_change(&c->api->orders, name, load, changed, x);
    if (!x->order) {
        srv_call_busy(c);
        return;
    }
    c->req->release = client_left;
    c->req->release_arg = x;
}

static void over_http(struct srv_call *c, int load)
{
    char err[160] = "";
    int override = 0;
    if (!srv_api_is_admin(c))
        return;
    if (proto_load_parse(c->req->body, c->req->body_len, &override, err, sizeof(err)) < 0)
        srv_call_error(c, 400, "%s", err);
    else
        change(c, c->params[0], load, override, 0);
}

void srv_oip_load_finish(struct srv_call *c)
{
    over_http(c, 1);
}

void srv_oip_unload_finish(struct srv_call *c)
{
    over_http(c, 0);
}

static void over_grpc(struct srv_call *c, int load)
{
    char name[SRV_PARAM_MAX];
    int override = 0;
    if (!srv_api_is_admin(c))
        return;
    int rc = proto_load_parse_grpc(c->req->body, c->req->body_len, name, sizeof(name), &override);
    if (rc < 0)
        srv_rpc_malformed(c, rc);
    else
        change(c, name, load, override, 1);
}

void srv_rpc_load(struct srv_call *c)
{
    over_grpc(c, 1);
}

void srv_rpc_unload(struct srv_call *c)
{
    over_grpc(c, 0);
}
