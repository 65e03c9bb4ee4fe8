/* libuv calls what is ready from within its wait, so only its own count of the time asleep tells
 * work and sleep apart (UV_METRICS_IDLE_TIME). */
#include "server/base/turns.h"

#include "server/base/clock.h"

static void on_turn(uv_check_t *h)
{
    struct srv_turns *t = h->data;
    uint64_t now = srv_now_ns(), idle = uv_metrics_idle_time(h->loop);
    uint64_t whole = now - t->since_ns, slept = idle - t->idle_ns;
    t->since_ns = now;
    t->idle_ns = idle;
    srv_buckets_add(&t->busy, &srv_edges_seconds,
                    whole > slept ? (double)(whole - slept) / 1e9 : 0);
}

int srv_turns_init(struct srv_turns *t, uv_loop_t *loop)
{
    int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    if (rc == 0)
        rc = uv_check_init(loop, &t->check);
    if (rc == 0)
        rc = uv_check_start(&t->check, on_turn);
    if (rc < 0)
        return rc;
    t->check.data = t;
    uv_unref((uv_handle_t *)&t->check);
    t->since_ns = srv_now_ns();
    return 0;
}
