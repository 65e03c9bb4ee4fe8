/* Streams as time passes: deadlines, and watchers of health, which last for ever. */
#include <errno.h>
#include <stdlib.h>

#include "protocol/infer.h"
#include "server/base/clock.h"
#include "server/handlers/rpc_handlers.h"
#include "server/transport/grpc_stream_parts.h"
#include "server/transport/transport.h"

static void tell(struct srv_stream *st, uint64_t now)
{
    enum proto_health health = srv_rpc_health(st->home->transport->api, st->service);
    size_t len = 0;
    if ((int)health != st->health) {
        char *message = proto_health_reply(health, &len);
        st->health = (int)health;
        srv_stream_send(st, message, len);
    }
    if (st->deadline_ns < now)
        srv_stream_end(st, PROTO_RPC_DEADLINE_EXCEEDED, "the deadline passed", NULL);
}

void srv_stream_tick(struct srv_stream_home *home, uint64_t now)
{
    uint64_t body_limit = (uint64_t)home->transport->env->cfg->body_timeout_ms * SRV_NS_PER_MS;
    for (struct srv_stream *st = home->streams; st; st = st->next) {
        uint64_t deadline = st->deadline_ns;
        if (st->over || !st->rpc)
            continue;
        if (st->health >= 0) {
            tell(st, now);
            continue;
        }
        if (!srv_stream_takes_many(st) && st->calls->call.req)
            deadline = st->calls->call.req->deadline_ns;
        if (!srv_stream_takes_many(st) && !st->asked && now - st->opened_ns > body_limit) {
            srv_stream_refuse(st, 504, "the request took longer than body_timeout_ms");
            continue;
        }
        int waits =
            !st->asked || srv_stream_takes_many(st); /* for the client; jobs know their deadlines */
        if (waits && deadline < now)
            srv_stream_refuse(st, 504, "the deadline passed before the request was here");
    }
}

void srv_stream_drain(struct srv_stream_home *home)
{
    for (struct srv_stream *st = home->streams; st; st = st->next)
        if (!st->over && !st->calls && srv_stream_takes_many(st))
            srv_stream_end(st, PROTO_RPC_UNAVAILABLE, "the server is stopping", NULL);
        else if (!st->over && st->health >= 0)
            srv_stream_end(st, PROTO_RPC_UNAVAILABLE, "the server is stopping", NULL);
}
