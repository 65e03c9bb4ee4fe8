/* Counting alone: nothing here decides anything. */
#include "server/scheduler/dispatch.h"

#include "server/base/clock.h"

enum srv_dispatch srv_dispatch_why(uint64_t left, int n, int share, int idle, int delayed)
{
    if (left == 0)
        return delayed ? SRV_DISPATCH_DELAY : SRV_DISPATCH_ALL;
    if (n < share)
        return SRV_DISPATCH_DEADLINE;
    return idle > 0 ? SRV_DISPATCH_SHARED : SRV_DISPATCH_FULL;
}

void srv_idling_change(struct srv_idling *i, int by)
{
    uint64_t now = srv_now_ns();
    i->sum_ns += (uint64_t)i->now * (now - i->since_ns);
    i->since_ns = now;
    i->now += by;
}

uint64_t srv_idling_busy_ns(struct srv_idling *i, int n)
{
    srv_idling_change(i, 0);
    uint64_t all = (uint64_t)n * (i->since_ns - i->started_ns);
    return all > i->sum_ns ? all - i->sum_ns : 0;
}
