/* The live board: how the server does, one line of JSON a second, to everybody who watches
 * (GET /v1/events). Loop thread. */
#ifndef SRV_EVENTS_H
#define SRV_EVENTS_H

#include <stdint.h>
#include <uv.h>

struct srv_call;

enum { SRV_WATCHERS_MAX = 16, SRV_WATCH_LINES = 600, SRV_WATCH_UNREAD = 64 << 10 };

struct srv_events {
    uv_timer_t timer; /* made for the first watcher, runs while there is one */
    int made, n;
    struct srv_call *watchers[SRV_WATCHERS_MAX];
    int lines[SRV_WATCHERS_MAX]; /* counted up: a stream ends after SRV_WATCH_LINES, its client
                                    comes again */
    /* At the last tick; what a line tells is what has come since. */
    uint64_t at_ns, answered, refused, images, batches, batched, busy_ns, cpu_ns;
};

/* The call's stream ends: it is over. */
void srv_events_leave(struct srv_call *c);

#endif
