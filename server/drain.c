/* A tick of ten milliseconds looks whether everything is answered. It must find nothing open twice
 * in a row: what a client sent just before the end may still lie unread in its socket. And who has
 * just had an answer that did not say it was the last is waited for: it may ask again. */
#include "server/drain.h"

#include <stdlib.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/srv.h"

enum {
    TICK_MS = 10,
    CLOSING_MS = 1000, /* for the replies to those who were still asking when the time was over */
};

static void finish(struct srv *s)
{
    s->api.phase = SRV_CLOSING;
    srv_transport_pump(&s->transport); /* the last replies */
    uv_timer_stop(&s->drain_timer);
    uv_stop(&s->env.loop);
}

/* Whoever still asks is told that it was the last time, and given the time to hear it. */
static void close_down(struct srv *s)
{
    uint64_t now = srv_now_ns();
    srv_scheduler_abort(&s->sched, 503, "the server is stopping");
    if (srv_scheduler_is_busy(&s->sched))
        return;
    if (s->api.phase != SRV_CLOSING) {
        s->api.phase = SRV_CLOSING;
        s->drain_deadline_ns = now + CLOSING_MS * SRV_NS_PER_MS;
    } else if (srv_transport_is_quiet(&s->transport) || now >= s->drain_deadline_ns) {
        srv_log(s->env.log, SRV_WARNING, "drain time is over: %d unfinished requests are cut off",
                s->api.calls_open); /* uploads that will not end */
        finish(s);
    }
}

static void tick(uv_timer_t *t)
{
    struct srv *s = t->data;
    srv_transport_pump(&s->transport);
    if (s->api.calls_open == 0 && !srv_scheduler_is_busy(&s->sched) &&
        srv_transport_is_quiet(&s->transport)) {
        if (++s->quiet_ticks >= 2)
            finish(s);
        return;
    }
    s->quiet_ticks = 0;
    if (s->api.phase != SRV_CLOSING && srv_now_ns() < s->drain_deadline_ns)
        return;
    srv_orders_abort(&s->api.orders);
    close_down(s);
}

static void stop_accepting(uv_timer_t *t)
{
    struct srv *s = t->data;
    s->api.phase = SRV_DRAINING;
    srv_transport_quiesce(&s->transport);
    s->drain_deadline_ns = srv_now_ns() + (uint64_t)s->cfg->drain_timeout_ms * SRV_NS_PER_MS;
    uv_timer_start(&s->drain_timer, tick, 0, TICK_MS);
}

void srv_drain_signal(struct srv *s)
{
    if (s->api.phase != SRV_SERVING)
        _exit(EXIT_SUCCESS); /* asked for twice */
    s->api.phase = SRV_GRACE;
    srv_systemd_notify(&s->systemd, "STOPPING=1");
    srv_transport_pump(&s->transport); /* watchers of health hear of it */
    srv_log(s->env.log, SRV_INFO, "stopping: %d requests open, grace %lld ms", s->api.calls_open,
            (long long)s->cfg->drain_grace_ms);
    s->drain_timer.data = s;
    uv_timer_start(&s->drain_timer, stop_accepting, (uint64_t)s->cfg->drain_grace_ms, 0);
}
