/* A deadline that is withdrawn is not taken back: the alarm then comes for nothing, and asks. */
#include "server/base/alarm.h"

#include "server/base/clock.h"

static void on_time(uv_timer_t *t)
{
    struct srv_alarm *a = t->data;
    a->due_ns = SRV_NEVER;
    a->due(a->arg);
}

void srv_alarm_init(struct srv_alarm *a, uv_loop_t *loop, void (*due)(void *arg), void *arg)
{
    uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    a->due_ns = SRV_NEVER;
    a->due = due;
    a->arg = arg;
}

void srv_alarm_watch(struct srv_alarm *a, uint64_t deadline_ns)
{
    if (deadline_ns >= a->due_ns)
        return;
    uint64_t now = srv_now_ns();
    uint64_t wait = deadline_ns > now ? (deadline_ns - now) / SRV_NS_PER_MS + 1 : 1;
    a->due_ns = deadline_ns;
    uv_update_time(a->timer.loop);
    uv_timer_start(&a->timer, on_time, wait, 0);
}
