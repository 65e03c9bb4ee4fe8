/* libmicrohttpd on the loop: its epoll set under a uv_poll, its timeout in a timer, and connections
 * from an acceptor of our own. */
#include "server/transport/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/transport/http_exchange.h"
#include "server/transport/https.h"
#include "server/transport/listen.h"
#include "server/transport/tls.h"
#include "server/transport/transport.h"

enum {
    LINGER_BYTES = 64 << 20,      /* at least */
    CONNECTION_MEMORY = 32 << 10, /* also a read: larger ones leave the cache, and every new
                                     connection faults them in */
    RUNS_A_PUMP = 2,              /* then timers and other handles get a turn */
};

/* A client that has just had an answer may be about to ask again. */
#define QUIET_NS (100ull * SRV_NS_PER_MS)
#define IDLE_NS (1000ull * SRV_NS_PER_MS) /* then its place may be another's */
#define LOOK_NS (50ull * SRV_NS_PER_MS)   /* between looks at all connections */

/* ---- the loop ---- */

static void on_timer(uv_timer_t *t)
{
    srv_http_pump(t->data);
}

void srv_http_pump(struct srv_http *h)
{
    if (!h)
        return;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    enum MHD_Result timed = MHD_YES;
    for (int i = 0; i < RUNS_A_PUMP && timed == MHD_YES && ms == 0; i++) {
        MHD_run(h->daemon);
        timed = MHD_get_timeout(h->daemon, &ms);
    }
    if (timed == MHD_YES)
        uv_timer_start(&h->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&h->timer);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    srv_http_pump(p->data);
}

static void log_library(void *cls, const char *fmt, va_list ap)
{
    struct srv_http *h = cls;
    char line[512];
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\n")] = 0;
    int status = 0;
    if (strncmp(line, SRV_HTTPS_FAILED, strlen(SRV_HTTPS_FAILED)) == 0)
        srv_https_alert(&h->https);
    if (sscanf(line, "Error processing request (HTTP response code is %d", &status) != 1) {
        srv_log(h->transport->env->log, SRV_DEBUG, "libmicrohttpd: %s", line);
        return;
    }
    srv_log(h->transport->env->log, SRV_INFO,
            "libmicrohttpd refuses a request that it cannot read: %d", status);
    srv_exchange_refused_by_library(h, status);
}

/* Targets stay percent-encoded: routes decode what they take, once. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

/* Whether its client may still be sending: then the connection keeps its place. */
static int lingers(struct srv_http *h, const struct srv_timed *peer)
{
    int unread = 0;
    if (!peer || h->stopping)
        return 0;
    if (!peer->lingers && (ioctl(peer->fd, FIONREAD, &unread) < 0 || unread == 0))
        return 0;
    return srv_linger_add(&h->linger, peer->fd) == 0;
}

static void on_lingered(void *owner)
{
    struct srv_http *h = owner;
    srv_acceptor_closed(&h->acceptor);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct srv_http *h = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        struct srv_timed *peer = *context = srv_time_limits_add(&h->peers, fd, h);
        if (peer) {
            peer->place = h->arriving;
            peer->crowded = h->arriving_crowded;
            h->arriving = NULL;
        }
        if (h->tls && peer)
            peer->tls = srv_https_begin(&h->https, connection, fd);
    } else {
        struct srv_timed *peer = *context;
        int stays = lingers(h, peer);
        if (peer) {
            srv_https_end(peer->tls);
            srv_slots_leave(&h->slots, peer->place);
        }
        srv_time_limits_remove(&h->peers, peer);
        *context = NULL;
        if (!stays)
            srv_acceptor_closed(&h->acceptor);
    }
}

/* ---- new connections ---- */

static int take(void *owner, int fd, const struct sockaddr *address, socklen_t len, int crowded)
{
    struct srv_http *h = owner;
    const int before = h->sockets->open;
    if (srv_slots_enter(&h->slots, address, &h->arriving) < 0) {
        close(fd);
        return -1;
    }
    h->arriving_crowded = crowded;
    if (crowded)
        srv_slots_bite(&h->slots, SRV_SLOT_RESERVE);
    enum MHD_Result added = MHD_add_connection(h->daemon, fd, address, len);
    srv_slots_leave(&h->slots, h->arriving); /* unless a connection has it now */
    h->arriving = NULL;
    if (added == MHD_YES)
        return 0;
    return h->sockets->open < before ? 0 : -1; /* it may have come, gone and been counted already */
}

static void taken(void *owner)
{
    srv_http_pump(owner); /* what they ask is here already, as a rule */
}

/* Those that have sent no request first, then those that have not asked for a while: who is just
 * about to ask again would find the connection closed under its request. */
static int evict(struct srv_http *h, uint64_t now)
{
    if (srv_time_limits_evict(&h->peers, SRV_TIMED_HEAD, now))
        srv_slots_bite(&h->slots, SRV_SLOT_SILENT);
    else if (srv_time_limits_evict(&h->peers, SRV_TIMED_IDLE, now - IDLE_NS))
        srv_slots_bite(&h->slots, SRV_SLOT_IDLE);
    else
        return 0;
    return 1;
}

static void make_room(void *owner, int wanted)
{
    struct srv_http *h = owner;
    srv_http_pump(h); /* who has sent a request is known as one who has */
    uint64_t now = srv_now_ns();
    int before = h->sockets->open;
    srv_linger_yield(&h->linger); /* they have had their answers */
    wanted -= before - h->sockets->open;
    while (wanted > 0 && evict(h, now))
        wanted--;
    if (wanted > 0 && now - h->looked_ns > LOOK_NS) { /* at every one of them */
        h->looked_ns = now;
        srv_time_limits_look(&h->peers);
    }
    srv_http_pump(h);
    if (h->sockets->open >= h->slots.limit + SRV_SLOTS_RESERVE)
        srv_slots_bite(&h->slots, SRV_SLOT_FULL);
}

static const struct srv_acceptor_ops acceptor_ops = {take, taken, make_room};

static struct MHD_Daemon *start_daemon(struct srv_http *h)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)srv_https_certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)srv_tls_policy()},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem *more = h->tls ? tls : tls + 2;
    return MHD_start_daemon(
        (h->tls ? MHD_USE_TLS : 0) | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
        0, NULL, NULL, srv_exchange_request, h, MHD_OPTION_EXTERNAL_LOGGER, log_library, h,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(h->slots.limit + SRV_SLOTS_RESERVE),
        MHD_OPTION_CONNECTION_TIMEOUT, h->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, srv_exchange_completed, h,
        MHD_OPTION_URI_LOG_CALLBACK, srv_exchange_line, h, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static void init_handles(struct srv_http *h)
{
    int fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_loop_t *loop = &h->transport->env->loop;
    uv_timer_init(loop, &h->timer);
    uv_timer_init(loop, &h->refusals);
    h->held_tail = &h->held;
    uv_poll_init(loop, &h->poll, fd);
    h->timer.data = h->poll.data = h->refusals.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_readable);
}

/* Clients that do not look at the answer before they have sent everything get it all the same. */
static uint64_t linger_bytes(const struct cfg *cfg)
{
    uint64_t some = 4 * (uint64_t)cfg->max_body;
    return some > LINGER_BYTES ? some : LINGER_BYTES;
}

static int start_library(struct srv_http *h, int limit, char *err, size_t errlen)
{
    int rc = srv_slots_init(&h->slots, h->transport->env, h->sockets, limit);
    if (rc < 0) {
        snprintf(err, errlen, "%s: %s", h->sockets->port, strerror(-rc));
        return rc;
    }
    h->idle_s = (unsigned)((h->transport->env->cfg->idle_timeout_ms + 999) / 1000);
    h->daemon = start_daemon(h);
    if (h->daemon)
        return 0;
    srv_slots_finish(&h->slots);
    snprintf(err, errlen, "%s: libmicrohttpd cannot start", h->sockets->port);
    return -EIO;
}

int srv_http_start(struct srv_http **ret, struct srv_transport *t, enum srv_port port, int fd_take,
                   int limit, char *err, size_t errlen)
{
    struct srv_http *h = calloc(1, sizeof(*h));
    if (!h) {
        close(fd_take);
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    h->transport = t;
    h->https.transport = t;
    h->port = port;
    h->sockets = &t->api->sockets[port];
    /* a socket file is guarded by its folder */
    h->tls = t->tls && !(port == SRV_PORT_ADMIN && srv_is_unix(fd_take));
    int rc = start_library(h, limit, err, errlen);
    if (rc < 0) {
        close(fd_take);
        free(h);
        return rc;
    }
    srv_time_limits_init(&h->peers, t, h->sockets);
    srv_linger_init(&h->linger, &t->env->loop, linger_bytes(t->env->cfg), on_lingered, h);
    init_handles(h);
    *ret = h; /* from here on its handles are the loop's: srv_http_stop() ends them */
    rc = srv_acceptor_start(&h->acceptor, &t->env->loop, t->env->log, h->sockets, fd_take, limit,
                            SRV_SLOTS_RESERVE, &acceptor_ops, h);
    if (rc < 0)
        snprintf(err, errlen, "%s: %s", h->sockets->port, uv_strerror(rc));
    return rc;
}

int srv_http_is_quiet(const struct srv_http *h)
{
    uint64_t since = srv_now_ns() - QUIET_NS;
    return srv_time_limits_are_quiet(&h->peers, since) && srv_linger_is_quiet(&h->linger, since);
}

void srv_http_quiesce(struct srv_http *h)
{
    if (!h)
        return;
    srv_acceptor_quiesce(&h->acceptor);
    srv_http_pump(h);
}

void srv_http_stop(struct srv_http *h)
{
    if (!h)
        return;
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, NULL);
    uv_close((uv_handle_t *)&h->timer, NULL);
    uv_close((uv_handle_t *)&h->refusals, NULL);
    srv_acceptor_finish(&h->acceptor);
    srv_exchanges_resume(h); /* libmicrohttpd aborts when it is stopped with one suspended */
    MHD_run(h->daemon);
    MHD_stop_daemon(h->daemon);
    srv_time_limits_finish(&h->peers);
    srv_linger_finish(&h->linger);
}

void srv_http_destroy(struct srv_http *h)
{
    if (!h)
        return;
    srv_slots_finish(&h->slots);
    free(h);
}
