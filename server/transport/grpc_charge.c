/* What a connection and its streams hold, on the connection's account. */
#include "server/base/account.h"
#include "server/handlers/api.h"
#include "server/scheduler/scheduler.h"
#include "server/transport/grpc_stream_parts.h"
#include "server/transport/transport.h"

/* Of the connection alone: a key that pays is that of a call. */
struct srv_payer srv_stream_payer(const struct srv_stream *st)
{
    return (struct srv_payer){&st->home->transport->api->sched->budget, st->home->account, NULL};
}

int srv_stream_change(void *arg, size_t from, size_t to)
{
    const struct srv_stream_home *home = arg;
    const struct srv_payer p = {&home->transport->api->sched->budget, home->account, NULL};
    return srv_charge_change(&p, SRV_USE_MESSAGE, from, to);
}

int srv_stream_charge(struct srv_stream *st, size_t n)
{
    const struct srv_payer p = srv_stream_payer(st);
    int rc = srv_charge(&p, SRV_USE_STREAM, n);
    st->charged += rc == 0 ? n : 0;
    return rc;
}

void srv_stream_uncharge(struct srv_stream *st, size_t n)
{
    const struct srv_payer p = srv_stream_payer(st);
    srv_discharge(&p, SRV_USE_STREAM, n);
    st->charged -= n;
}

void srv_stream_forget_unsent(struct srv_stream *st)
{
    const struct srv_payer p = srv_stream_payer(st);
    srv_discharge(&p, SRV_USE_ANSWER, st->unsent);
    st->unsent = 0;
}

void srv_stream_home_init(struct srv_stream_home *home, struct srv_transport *t)
{
    home->transport = t;
    home->account = srv_account_create(&t->api->sched->budget);
    home->room = (struct proto_room){srv_stream_change, home};
}

void srv_stream_home_finish(struct srv_stream_home *home)
{
    srv_account_unref(home->account);
}
