/* Wakes the loop from another thread. libuv's own uv_async_t has its loop spin until a sender is
 * through, and a sender that the loop has just preempted is not: on few processors the loop then
 * waits for a worker's slice to end (libuv 1.44, uv__async_spin). */
#ifndef SRV_WAKE_H
#define SRV_WAKE_H

#include <stdatomic.h>
#include <uv.h>

struct srv_wake;
typedef void (*srv_wake_fn)(void *arg);

/* Lives in its owner; zeroed, it may be finished without having been started. */
struct srv_wake {
    uv_poll_t poll;
    int fd;
    int is_open;
    atomic_int sent; /* and not yet seen by the loop */
    srv_wake_fn woken;
    void *arg;
};

/* `woken` runs on the loop at least once after every srv_wake_send. 0, or a libuv error. */
int srv_wake_init(struct srv_wake *w, uv_loop_t *loop, srv_wake_fn woken, void *arg);

/* From any thread, and from a signal handler. */
void srv_wake_send(struct srv_wake *w);

/* On the loop's thread, when the loop has closed the handle and nobody sends any more. */
void srv_wake_finish(struct srv_wake *w);

#endif
