/* The bounds of time are nginx's lingering_time and lingering_timeout. */
#include "server/transport/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/clock.h"

enum {
    LOOK_MS = 500,
    READS = 16, /* then others get a turn */
    PIECE = 64 << 10,
};

#define MAX_NS (30ull * 1000 * SRV_NS_PER_MS)
#define SILENT_NS (5ull * 1000 * SRV_NS_PER_MS)

struct srv_lingerer {
    struct srv_lingerer *next, *prev;
    struct srv_linger *home;
    uv_poll_t poll;
    int fd;
    uint64_t bytes, begun_ns, heard_ns;
};

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void end(struct srv_lingerer *c)
{
    struct srv_linger *l = c->home;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        l->last = c->prev;
    l->n--;
    if (!l->n && !uv_is_closing((uv_handle_t *)&l->timer))
        uv_timer_stop(&l->timer);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
    l->gone(l->owner);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    struct srv_lingerer *c = p->data;
    char piece[PIECE];
    (void)status;
    (void)events;
    for (int i = 0; i < READS; i++) {
        ssize_t n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n > 0) {
            c->bytes += (uint64_t)n;
            c->heard_ns = srv_now_ns();
        }
        if (n <= 0 || c->bytes > c->home->max_bytes) {
            end(c);
            return;
        }
    }
}

static void on_timer(uv_timer_t *t)
{
    struct srv_linger *l = t->data;
    uint64_t now = srv_now_ns();
    for (struct srv_lingerer *c = l->first, *next; c; c = next) {
        next = c->next;
        if (now - c->begun_ns > MAX_NS || now - c->heard_ns > SILENT_NS)
            end(c);
    }
}

void srv_linger_init(struct srv_linger *l, uv_loop_t *loop, uint64_t max_bytes,
                     void (*gone)(void *owner), void *owner)
{
    *l = (struct srv_linger){.loop = loop, .max_bytes = max_bytes, .gone = gone, .owner = owner};
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
}

static void append(struct srv_linger *l, struct srv_lingerer *c)
{
    c->home = l;
    c->prev = l->last;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
    if (l->n++ == 0)
        uv_timer_start(&l->timer, on_timer, LOOK_MS, LOOK_MS);
}

int srv_linger_add(struct srv_linger *l, int fd)
{
    struct srv_lingerer *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int rc = c->fd < 0 ? -errno : uv_poll_init(l->loop, &c->poll, c->fd);
    if (rc < 0) {
        if (c->fd >= 0)
            close(c->fd);
        free(c);
        return rc;
    }
    c->poll.data = c;
    c->begun_ns = c->heard_ns = srv_now_ns();
    shutdown(c->fd, SHUT_WR); /* with TLS, its end alone has been sent so far */
    append(l, c);
    uv_poll_start(&c->poll, UV_READABLE, on_readable);
    return 0;
}

void srv_linger_yield(struct srv_linger *l)
{
    for (int n = (l->n + 1) / 2; n > 0; n--)
        end(l->first);
}

int srv_linger_is_quiet(const struct srv_linger *l, uint64_t since_ns)
{
    for (const struct srv_lingerer *c = l->first; c; c = c->next)
        if (c->heard_ns > since_ns)
            return 0;
    return 1;
}

void srv_linger_finish(struct srv_linger *l)
{
    while (l->first)
        end(l->first);
    uv_close((uv_handle_t *)&l->timer, NULL);
}
