/* A tick of ten milliseconds looks whether everything is answered. It must find nothing open twice
 * in a row: what a client sent just before the end may still lie unread in its socket. And who has
 * just had an answer that did not say it was the last is waited for: it may ask again. */
#include "server/drain.h"

#include "server/base/clock.h"
#include "server/transport/http2_port.h"
#include "server/transport/http.h"
#include "server/scheduler/request.h"
#include "server/srv.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    TICK_MS = 10,
    CLOSING_MS = 1000, /* for the replies to those who were still asking when the time was over */
};

static int any_pending(const struct srv *s)
{
    for (const struct srv_req *r = s->requests; r; r = r->next)
        if (r->pending > 0)
            return 1;
    return 0;
}

static void abort_waiting(struct srv *s)
{
    for (struct srv_req *r = s->requests, *next; r; r = next) {
        next = r->next; /* r may go: its call was cancelled before */
        if (r->pending > 0)
            srv_req_abort(r, 503, "the server is stopping");
    }
}

static void finish(struct srv *s)
{
    s->phase = SRV_CLOSING;
    srv_http_pump(s->http); /* the last replies */
    srv_grpc_pump(s->grpc);
    uv_timer_stop(&s->drain_timer);
    uv_stop(&s->loop);
}

/* Whoever still asks is told that it was the last time, and given the time to hear it. */
static void close_down(struct srv *s)
{
    uint64_t now = srv_now_ns();
    abort_waiting(s);
    if (any_pending(s))
        return;
    if (s->phase != SRV_CLOSING) {
        s->phase = SRV_CLOSING;
        s->drain_deadline_ns = now + CLOSING_MS * SRV_NS_PER_MS;
    } else if (srv_http_is_quiet(s->http) || now >= s->drain_deadline_ns) {
        srv_log(s->log, SRV_WARNING, "drain time is over: %d unfinished requests are cut off",
                s->calls_open); /* uploads that will not end */
        finish(s);
    }
}

static void tick(uv_timer_t *t)
{
    struct srv *s = t->data;
    srv_http_pump(s->http);
    srv_grpc_pump(s->grpc);
    if (s->calls_open == 0 && !any_pending(s) && srv_http_is_quiet(s->http)) {
        if (++s->quiet_ticks >= 2)
            finish(s);
        return;
    }
    s->quiet_ticks = 0;
    if (s->phase != SRV_CLOSING && srv_now_ns() < s->drain_deadline_ns)
        return;
    srv_orders_abort(&s->orders);
    close_down(s);
}

static void stop_accepting(uv_timer_t *t)
{
    struct srv *s = t->data;
    s->phase = SRV_DRAINING;
    srv_http_quiesce(s->http);
    srv_grpc_quiesce(s->grpc);
    s->drain_deadline_ns = srv_now_ns() + (uint64_t)s->cfg->drain_timeout_ms * SRV_NS_PER_MS;
    uv_timer_start(&s->drain_timer, tick, 0, TICK_MS);
}

void srv_drain_signal(struct srv *s)
{
    if (s->phase != SRV_SERVING)
        _exit(EXIT_SUCCESS); /* asked for twice */
    s->phase = SRV_GRACE;
    srv_systemd_notify(&s->systemd, "STOPPING=1");
    srv_grpc_pump(s->grpc); /* watchers of health hear of it */
    srv_log(s->log, SRV_INFO, "stopping: %d requests open, grace %lld ms", s->calls_open,
            (long long)s->cfg->drain_grace_ms);
    s->drain_timer.data = s;
    uv_timer_start(&s->drain_timer, stop_accepting, (uint64_t)s->cfg->drain_grace_ms, 0);
}
