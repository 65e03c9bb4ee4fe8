/* A counter of the kernel's (eventfd) under uv_poll. */
#include "server/base/wake.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *p, int status, int events)
{
    struct srv_wake *w = p->data;
    uint64_t count;
    (void)status;
    (void)events;
    while (read(w->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    /* Before the callback looks: what is sent from here on wakes again. */
    atomic_store(&w->sent, 0);
    w->woken(w->arg);
}

int srv_wake_init(struct srv_wake *w, uv_loop_t *loop, srv_wake_fn woken, void *arg)
{
    w->woken = woken;
    w->arg = arg;
    atomic_init(&w->sent, 0);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        return -errno;
    w->is_open = 1;
    int rc = uv_poll_init(loop, &w->poll, w->fd);
    w->poll.data = w;
    return rc < 0 ? rc : uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

void srv_wake_send(struct srv_wake *w)
{
    static const uint64_t one = 1;
    if (atomic_exchange(&w->sent, 1))
        return;
    while (write(w->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void srv_wake_finish(struct srv_wake *w)
{
    if (w->is_open)
        close(w->fd);
    w->is_open = 0;
}
