/* The socket is polled level-triggered and out of the poll set whenever accept() would be of no
 * use: at the limit until a connection goes, without descriptors for a moment. A look once a second
 * distrusts all of this. */
#include "server/transport/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "server/base/backlog.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/handlers/api.h"
#include "server/transport/listen.h"

enum {
    ROUND = 64, /* then others get a turn */
    RETRY_MS = 50,
    LOOK_MS = 1000,
    IN_VAIN = 2, /* looks in a row */
};

#define SAY_EVERY_NS (60ull * 1000 * SRV_NS_PER_MS)

static void on_readable(uv_poll_t *p, int status, int events);
static void on_retry(uv_timer_t *t);

static int most(const struct srv_acceptor *a)
{
    return a->limit + a->reserve;
}

static void start_polling(struct srv_acceptor *a)
{
    if (a->polling || a->sockets->fd < 0)
        return;
    a->polling = 1;
    uv_timer_stop(&a->retry);
    uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

static void pause_polling(struct srv_acceptor *a)
{
    if (a->polling)
        uv_poll_stop(&a->poll);
    a->polling = 0;
    uv_timer_start(&a->retry, on_retry, RETRY_MS, RETRY_MS);
}

/* As accept(2) wants it: errors of a connection that has already gone are none of the socket. */
static int is_of_the_peer(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a packet filter */
        return 1;
    }
    return 0;
}

static void starve(struct srv_acceptor *a, int error)
{
    uint64_t now = srv_now_ns();
    if (!a->starved_ns || now - a->starved_ns > SAY_EVERY_NS) {
        a->starved_ns = now;
        srv_log(a->log, SRV_WARNING,
                "%s connections cannot be accepted (%s): %d of %d are open, %d wait",
                a->sockets->port, strerror(error), a->sockets->open, a->limit,
                srv_backlog(a->sockets->fd));
    }
    a->starved = 1;
    pause_polling(a);
}

/* 1 = there may be more. */
static int accept_one(struct srv_acceptor *a)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    int fd = accept4(a->sockets->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (is_of_the_peer(errno))
            return 1;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            starve(a, errno);
        return 0;
    }
    a->starved = 0;
    int crowded = a->sockets->open >= a->limit;
    a->accepted++;
    a->sockets->open++;
    if (a->ops->take(a->owner, fd, (struct sockaddr *)&from, len, crowded) < 0)
        a->sockets->open--;
    return 1;
}

/* 1 = there may be more. */
static int accept_below(struct srv_acceptor *a, int limit, int *n)
{
    int more = 1;
    while (more && *n > 0 && a->sockets->open < limit) {
        more = accept_one(a);
        --*n;
    }
    return more;
}

static void accept_some(struct srv_acceptor *a, int n)
{
    int more = accept_below(a, a->limit, &n), stuck = 0;
    while (more && n > 0 && !stuck) {
        int waits = srv_backlog(a->sockets->fd);
        uint64_t before = a->accepted;
        if (waits == 0)
            break;
        a->ops->full(a->owner, waits < n ? waits : n);
        more = accept_below(a, a->limit, &n);
        stuck = a->accepted == before;
    }
    if (stuck) /* nobody could make room: the reserve is for probes, and others hear 503 */
        accept_below(a, most(a), &n);
    a->ops->taken(a->owner);
    if (a->sockets->open >= most(a))
        pause_polling(a);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    accept_some(p->data, ROUND);
}

/* Somebody may wait in the backlog, and there is no room. */
static int is_full(const struct srv_acceptor *a)
{
    return a->sockets->open >= most(a) && srv_backlog(a->sockets->fd) > 0;
}

static void on_retry(uv_timer_t *t)
{
    struct srv_acceptor *a = t->data;
    if (a->sockets->open < most(a))
        start_polling(a); /* and accept() says whether there are descriptors again */
    else if (is_full(a))
        a->ops->full(a->owner, ROUND);
}

/* Whoever waits below the limit waits for us. */
static void on_look(uv_timer_t *t)
{
    struct srv_acceptor *a = t->data;
    int waits = a->sockets->open < most(a) ? srv_backlog(a->sockets->fd) : 0;
    int in_vain = waits > 0 && a->accepted == a->seen;
    uint64_t now = srv_now_ns();
    a->seen = a->accepted;
    a->waited = in_vain ? a->waited + 1 : 0;
    if (a->waited < IN_VAIN)
        return;
    if (!a->waited_ns || now - a->waited_ns > SAY_EVERY_NS) {
        a->waited_ns = now;
        srv_log(a->log, SRV_ERROR,
                "%d %s connections wait to be accepted although only %d of %d are open", waits,
                a->sockets->port, a->sockets->open, a->limit);
    }
    if (a->polling)
        uv_poll_stop(&a->poll);
    a->polling = 0;
    start_polling(a);
}

static void init_handles(struct srv_acceptor *a, uv_loop_t *loop)
{
    uv_timer_init(loop, &a->retry);
    uv_timer_init(loop, &a->look);
    a->poll.data = a->retry.data = a->look.data = a;
}

int srv_acceptor_start(struct srv_acceptor *a, uv_loop_t *loop, struct srv_log *log,
                       struct srv_sockets *sockets, int fd_take, int limit, int reserve,
                       const struct srv_acceptor_ops *ops, void *owner)
{
    *a = (struct srv_acceptor){.ops = ops,
                               .owner = owner,
                               .log = log,
                               .sockets = sockets,
                               .limit = limit,
                               .reserve = reserve};
    sockets->fd = fd_take;
    int flags = fcntl(fd_take, F_GETFL); /* one of a service manager may block */
    int rc = flags < 0 || fcntl(fd_take, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
    if (rc == 0)
        rc = srv_listen(fd_take);
    if (rc == 0)
        rc = uv_poll_init(loop, &a->poll, fd_take);
    if (rc < 0) {
        close(fd_take);
        a->sockets->fd = -1;
        return rc;
    }
    init_handles(a, loop);
    uv_timer_start(&a->look, on_look, LOOK_MS, LOOK_MS);
    start_polling(a);
    return 0;
}

void srv_acceptor_closed(struct srv_acceptor *a)
{
    a->sockets->open--;
    if (!a->starved)
        start_polling(a);
}

static void end(struct srv_acceptor *a)
{
    if (a->sockets->fd < 0)
        return;
    uv_close((uv_handle_t *)&a->poll, NULL);
    uv_close((uv_handle_t *)&a->retry, NULL);
    uv_close((uv_handle_t *)&a->look, NULL);
    close(a->sockets->fd);
    a->sockets->fd = -1;
}

void srv_acceptor_quiesce(struct srv_acceptor *a)
{
    int more = a->sockets->fd >= 0;
    while (more && a->sockets->open < most(a))
        more = accept_one(a);
    end(a);
}

void srv_acceptor_finish(struct srv_acceptor *a)
{
    end(a);
}
