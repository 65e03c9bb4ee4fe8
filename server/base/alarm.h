/* A timer for the next of many deadlines: it is told of each, and keeps the earliest. Loop thread.
 */
#ifndef SRV_ALARM_H
#define SRV_ALARM_H

#include <stdint.h>
#include <uv.h>

/* Lives in its owner. */
struct srv_alarm {
    uv_timer_t timer;
    uint64_t due_ns; /* SRV_NEVER: it does not run */
    void (*due)(void *arg);
    void *arg;
};

/* `due` is called once a deadline has passed; it must tell of the next one. Whoever closes the
 * loop's handles closes this one. */
void srv_alarm_init(struct srv_alarm *a, uv_loop_t *loop, void (*due)(void *arg), void *arg);
/* deadline_ns: as of clock.h; SRV_NEVER is fine. */
void srv_alarm_watch(struct srv_alarm *a, uint64_t deadline_ns);

#endif
