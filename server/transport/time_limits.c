/* Once a second all are looked at. A connection is ended by shutting its socket down, which its
 * library then sees as a client that left. */
#include "server/transport/time_limits.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "server/base/clock.h"
#include "server/transport/transport.h"

enum { LOOK_MS = 1000, TOGETHER = 256, LOOK_AT = 64 };

/* Silence is the library's to end; what drips the line of a request is not silent. */
#define IDLE_SLACK_NS (2000ull * SRV_NS_PER_MS)

static uint64_t limit_ns(const struct srv_time_limits *p, const struct srv_timed *peer)
{
    const struct cfg *cfg = p->transport->env->cfg;
    switch (peer->phase) {
    case SRV_TIMED_HEAD:
        return (uint64_t)cfg->header_timeout_ms * SRV_NS_PER_MS;
    case SRV_TIMED_IDLE:
        return (uint64_t)cfg->idle_timeout_ms * SRV_NS_PER_MS + IDLE_SLACK_NS;
    case SRV_TIMED_BODY:
    case SRV_TIMED_ANSWER:
        return (uint64_t)cfg->body_timeout_ms * SRV_NS_PER_MS;
    case SRV_TIMED_WAITS:
    case SRV_TIMED_PHASES:
        break;
    }
    return SRV_NEVER;
}

/* ---- the queues, one a phase, oldest first ---- */

static void append(struct srv_timed *peer)
{
    struct srv_time_limits *p = peer->limits;
    if (peer->evicted)
        return;
    peer->newer = NULL;
    peer->older = p->newest[peer->phase];
    *(peer->older ? &peer->older->newer : &p->oldest[peer->phase]) = peer;
    p->newest[peer->phase] = peer;
}

static void unqueue(struct srv_timed *peer)
{
    struct srv_time_limits *p = peer->limits;
    if (peer->evicted)
        return;
    *(peer->older ? &peer->older->newer : &p->oldest[peer->phase]) = peer->newer;
    *(peer->newer ? &peer->newer->older : &p->newest[peer->phase]) = peer->older;
}

int srv_time_limits_evict(struct srv_time_limits *p, enum srv_timed_phase phase, uint64_t before_ns)
{
    struct srv_timed *peer = p->oldest[phase];
    for (int i = 0; i < LOOK_AT && peer && peer->since_ns < before_ns; i++, peer = peer->newer) {
        int unread = 0;
        if (ioctl(peer->fd, FIONREAD, &unread) == 0 && unread > 0)
            continue;
        unqueue(peer);
        peer->evicted = 1;
        shutdown(peer->fd, SHUT_RDWR);
        return 1;
    }
    return 0;
}

/* ---- the looks ---- */

/* Its last byte is read, and none will follow: twice, so that what was read had time to be used. */
static void note_end(struct srv_timed *peer)
{
    int unread = 0;
    if (ioctl(peer->fd, FIONREAD, &unread) < 0 || unread > 0)
        return;
    if (peer->left)
        shutdown(peer->fd, SHUT_RDWR);
    peer->left = 1;
}

static void look_for_ends(struct srv_timed **peers, nfds_t n)
{
    struct pollfd fds[TOGETHER];
    for (nfds_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = peers[i]->fd, .events = POLLRDHUP};
    if (poll(fds, n, 0) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            note_end(peers[i]);
}

void srv_time_limits_look(struct srv_time_limits *p)
{
    struct srv_timed *some[TOGETHER];
    nfds_t n = 0;
    for (struct srv_timed *peer = p->list; peer; peer = peer->next) {
        if (peer->phase <= SRV_TIMED_BODY)
            some[n++] = peer;
        if (n == TOGETHER || (n > 0 && !peer->next)) {
            look_for_ends(some, n);
            n = 0;
        }
    }
}

static void on_timer(uv_timer_t *t)
{
    struct srv_time_limits *p = t->data;
    uint64_t now = srv_now_ns();
    for (struct srv_timed *peer = p->list; peer; peer = peer->next) {
        if (now - peer->since_ns > limit_ns(p, peer)) {
            p->sockets->cut++;
            peer->since_ns = now;
            shutdown(peer->fd, SHUT_RDWR);
        }
    }
    srv_time_limits_look(p);
}

int srv_time_limits_are_quiet(const struct srv_time_limits *p, uint64_t since_ns)
{
    for (const struct srv_timed *peer = p->list; peer; peer = peer->next)
        if (peer->phase == SRV_TIMED_WAITS || peer->phase == SRV_TIMED_ANSWER ||
            peer->since_ns > since_ns)
            return 0;
    return 1;
}

void srv_time_limits_init(struct srv_time_limits *p, struct srv_transport *t,
                          struct srv_sockets *sockets)
{
    *p = (struct srv_time_limits){.transport = t, .sockets = sockets};
    uv_timer_init(&t->env->loop, &p->timer);
    p->timer.data = p;
}

void srv_time_limits_finish(struct srv_time_limits *p)
{
    uv_close((uv_handle_t *)&p->timer, NULL);
}

struct srv_timed *srv_time_limits_add(struct srv_time_limits *p, int fd, void *owner)
{
    struct srv_timed *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->fd = fd;
    peer->owner = owner;
    peer->limits = p;
    append(peer);
    peer->next = p->list;
    if (p->list)
        p->list->prev = peer;
    else
        uv_timer_start(&p->timer, on_timer, LOOK_MS, LOOK_MS);
    p->list = peer;
    srv_timed_enter(peer, SRV_TIMED_HEAD);
    return peer;
}

void srv_time_limits_remove(struct srv_time_limits *p, struct srv_timed *peer)
{
    if (!peer)
        return;
    unqueue(peer);
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        p->list = peer->next;
    if (peer->next)
        peer->next->prev = peer->prev;
    if (!p->list && !uv_is_closing((uv_handle_t *)&p->timer))
        uv_timer_stop(&p->timer);
    free(peer);
}

void srv_timed_enter(struct srv_timed *peer, enum srv_timed_phase phase)
{
    unqueue(peer);
    peer->phase = phase;
    append(peer);
    peer->since_ns = srv_now_ns();
    peer->left = 0;
}
