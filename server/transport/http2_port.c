/* A connection reads into one buffer that all share, since bytes are used up at once, and writes
 * from one of its own: first at once, the rest when the socket takes it again. What a client does
 * not read stays in its streams, where windows bound it. With TLS, a pipe lies between the socket
 * and the session. */
#include "server/transport/http2_port.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "server/base/clock.h"
#include "server/transport/grpc_stream.h"
#include "server/transport/listen.h"
#include "server/transport/rest_stream.h"
#include "server/transport/slots.h"
#include "server/transport/tls_pipe.h"
#include "server/transport/transport.h"

enum {
    STREAMS_MAX = 256,
    HEADERS_MAX = 32 << 10,
    STREAM_WINDOW = 1 << 20,
    CONNECTION_WINDOW = 8 << 20,
    READ_SIZE = 64 << 10,
    WRITE_SIZE = 64 << 10,
    RECORD_SIZE = 16 << 10,
    FRAME_MAX = (16 << 10) + 512, /* the longest piece that the session hands out */
    WRITES_A_FLUSH = 16,          /* then others get a turn */
    TICK_MS = 1000,
    GOAWAY_MS = 50, /* between the announcement and the end: a round trip */
    BACKLOG = 4096,
};

#define IDLE_NS (1000ull * SRV_NS_PER_MS) /* then its place may be another's */

struct connection {
    struct srv_stream_home home; /* first: the arg of the session's events */
    struct srv_http2 *grpc;
    struct connection *next, *prev, *next_dirty;
    struct connection *older, *newer; /* of those that have asked nothing yet */
    struct srv_slot_address *place;
    int is_silent; /* it is one of them */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct proto_h2 *h2;
    struct srv_tls_pipe *tls; /* NULL: clear text */
    uv_write_t write;
    char *out; /* WRITE_SIZE; what is being written, but for TLS */
    int writing, dirty, closing, pinged;
    uint64_t heard_ns, wrote_ns;
    uint64_t unfinished, unfinished_ns; /* proto_h2_unfinished(), since when */
    char client[64];
};

struct srv_http2 {
    struct srv_transport *transport;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    int is_pipe, n;
    struct srv_slots slots;
    struct connection *oldest, *newest; /* that have asked nothing yet */
    int stalled; /* a connection waits to be accepted and there was no memory for it */
    struct connection *connections, *dirty;
    uv_timer_t tick, goaway;
    enum srv_phase phase; /* as watchers know it */
    int is_tls;
    struct srv_tls_port tls;
    char in[READ_SIZE], clear[RECORD_SIZE];
};

/* ---- the end of a connection ---- */

static void on_closed(uv_handle_t *h)
{
    struct connection *c = h->data;
    srv_tls_pipe_destroy(c->tls); /* what is being written is the pipe's */
    free(c->out);
    free(c);
}

static void unlink_dirty(struct connection *c)
{
    for (struct connection **at = &c->grpc->dirty; *at; at = &(*at)->next_dirty)
        if (*at == c) {
            *at = c->next_dirty;
            return;
        }
}

static void leave_silent(struct connection *c)
{
    struct srv_http2 *g = c->grpc;
    if (!c->is_silent)
        return;
    c->is_silent = 0;
    *(c->older ? &c->older->newer : &g->oldest) = c->newer;
    *(c->newer ? &c->newer->older : &g->newest) = c->older;
}

static void enter_silent(struct connection *c)
{
    struct srv_http2 *g = c->grpc;
    c->is_silent = 1;
    c->older = g->newest;
    *(c->older ? &c->older->newer : &g->oldest) = c;
    g->newest = c;
}

/* Not from within the session's events: it goes here, and with it its streams and calls. */
static void close_connection(struct connection *c)
{
    struct srv_http2 *g = c->grpc;
    if (c->closing)
        return;
    c->closing = 1;
    if (c->dirty)
        unlink_dirty(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        g->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    leave_silent(c);
    srv_slots_leave(&g->slots, c->place);
    g->transport->api->sockets[SRV_PORT_GRPC].open = --g->n;
    proto_h2_destroy(c->h2);
    c->h2 = NULL;
    srv_stream_home_finish(&c->home);
    uv_close(&c->u.handle, on_closed);
}

/* ---- writing ---- */

static void flush(struct connection *c);

static void on_written(uv_write_t *w, int status)
{
    struct connection *c = w->data;
    c->writing = 0;
    if (c->closing)
        return;
    if (status < 0) {
        close_connection(c);
        return;
    }
    c->wrote_ns = srv_now_ns();
    flush(c);
}

/* Frames into c->out; how many bytes, or -1. */
static long gather(struct connection *c)
{
    size_t n = 0;
    const void *piece;
    while (WRITE_SIZE - n >= FRAME_MAX) {
        long len = proto_h2_take(c->h2, &piece);
        if (len < 0 || (size_t)len > WRITE_SIZE - n)
            return -1;
        if (len == 0)
            break;
        memcpy(c->out + n, piece, (size_t)len);
        n += (size_t)len;
    }
    return (long)n;
}

/* What is to be written next: its length, or -1. */
static long next_bytes(struct connection *c, const void **ret)
{
    long n = !c->tls || srv_tls_pipe_is_open(c->tls) ? gather(c) : 0;
    *ret = c->out;
    if (n < 0 || !c->tls)
        return n;
    if (n > 0 && srv_tls_pipe_write(c->tls, c->out, (size_t)n) < 0)
        return -1;
    return srv_tls_pipe_take(c->tls, ret);
}

/* 1: there may be more to send at once. */
static int write_some(struct connection *c)
{
    const void *data;
    long n = next_bytes(c, &data);
    if (n < 0) {
        close_connection(c);
        return 0;
    }
    if (n == 0) {
        if (!proto_h2_is_done(c->h2))
            return 0;
        if (c->tls && srv_tls_pipe_end(c->tls))
            return 1;
        close_connection(c);
        return 0;
    }
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)n);
    int rc = uv_try_write(&c->u.stream, &buf, 1);
    if (rc == n) {
        c->wrote_ns = srv_now_ns();
        return 1;
    }
    if (rc < 0 && rc != UV_EAGAIN) {
        close_connection(c);
        return 0;
    }
    size_t sent = rc > 0 ? (size_t)rc : 0;
    buf = uv_buf_init((char *)(uintptr_t)data + sent, (unsigned)((size_t)n - sent));
    c->write.data = c;
    c->writing = 1;
    c->wrote_ns = srv_now_ns();
    if (uv_write(&c->write, &c->u.stream, &buf, 1, on_written) < 0) {
        c->writing = 0;
        close_connection(c);
    }
    return 0;
}

static void mark_dirty(struct connection *c)
{
    if (c->dirty || c->closing)
        return;
    c->dirty = 1;
    c->next_dirty = c->grpc->dirty;
    c->grpc->dirty = c;
}

static void on_dirty(struct srv_stream_home *home)
{
    mark_dirty((struct connection *)home);
}

static void flush(struct connection *c)
{
    int more = 1;
    for (int i = 0; i < WRITES_A_FLUSH && more && !c->writing && !c->closing; i++)
        more = write_some(c);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct connection *c = h->data;
    (void)suggested;
    *ret = uv_buf_init(c->grpc->in, READ_SIZE);
}

/* 0, or <0: this was all. */
static int take_tls(struct connection *c, const char *data, size_t len)
{
    struct srv_http2 *g = c->grpc;
    long n;
    srv_tls_pipe_feed(c->tls, data, len);
    while ((n = srv_tls_pipe_read(c->tls, g->clear, sizeof(g->clear))) > 0) {
        int rc = proto_h2_feed(c->h2, g->clear, (size_t)n);
        if (rc < 0)
            return rc;
    }
    return (int)n;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    if (n == 0 || c->closing)
        return;
    if (n < 0) {
        close_connection(c);
        return;
    }
    c->heard_ns = srv_now_ns();
    c->pinged = 0;
    if (c->grpc->n <= c->grpc->slots.limit)
        c->home.crowded = 0;
    int rc =
        c->tls ? take_tls(c, buf->base, (size_t)n) : proto_h2_feed(c->h2, buf->base, (size_t)n);
    if (c->home.asked)
        leave_silent(c);
    flush(c);
    if (rc == 0 || c->closing)
        return;
    if (c->tls && srv_tls_pipe_end(c->tls))
        flush(c);
    if (!c->closing)
        close_connection(c); /* the GOAWAY went out if the socket took it */
}

/* ---- accepting ---- */

/* Its place, and its name for the log. */
static int enter(struct connection *c)
{
    struct sockaddr_storage at = {.ss_family = AF_UNIX};
    int len = sizeof(at);
    snprintf(c->client, sizeof(c->client), "local");
    if (!c->grpc->is_pipe && uv_tcp_getpeername(&c->u.tcp, (struct sockaddr *)&at, &len) == 0)
        getnameinfo((struct sockaddr *)&at, (socklen_t)len, c->client, sizeof(c->client), NULL, 0,
                    NI_NUMERICHOST);
    c->home.client = c->client;
    return srv_slots_enter(&c->grpc->slots, (struct sockaddr *)&at, &c->place);
}

/* Told to go; what was asked at this very moment was not begun, and is asked elsewhere. */
static void dismiss(struct connection *c)
{
    proto_h2_end(c->h2);
    flush(c);
    close_connection(c);
}

/* The connection without streams that was not heard of for longest, if that is a while. */
static struct connection *most_idle(struct srv_http2 *g)
{
    struct connection *found = NULL;
    uint64_t before = srv_now_ns() - IDLE_NS;
    for (struct connection *c = g->connections; c; c = c->next)
        if (c->heard_ns < before && proto_h2_streams(c->h2) == 0) {
            before = c->heard_ns;
            found = c;
        }
    return found;
}

/* 0, or <0: there is no place for one more. */
static int make_room(struct connection *newcomer)
{
    struct srv_http2 *g = newcomer->grpc;
    if (g->n < g->slots.limit)
        return 0;
    struct connection *goes = g->oldest ? g->oldest : most_idle(g);
    if (goes) {
        srv_slots_bite(&g->slots, g->oldest ? SRV_SLOT_SILENT : SRV_SLOT_IDLE);
        dismiss(goes);
        return 0;
    }
    int fits = g->n < g->slots.limit + SRV_SLOTS_RESERVE;
    newcomer->home.crowded = 1;
    srv_slots_bite(&g->slots, fits ? SRV_SLOT_RESERVE : SRV_SLOT_FULL);
    return fits ? 0 : -EUSERS;
}

static int init_stream(struct srv_http2 *g, uv_tcp_t *tcp, uv_pipe_t *pipe)
{
    return g->is_pipe ? uv_pipe_init(&g->transport->env->loop, pipe, 0)
                      : uv_tcp_init(&g->transport->env->loop, tcp);
}

static int start_session(struct connection *c)
{
    static const struct proto_h2_limits limits = {STREAMS_MAX, HEADERS_MAX, STREAM_WINDOW,
                                                  CONNECTION_WINDOW};
    uv_os_fd_t fd = -1;
    if (proto_h2_create(&c->h2, &limits, &srv_port_events, &c->home) < 0)
        return -ENOMEM;
    if (c->grpc->is_tls && srv_tls_pipe_create(&c->tls, &c->grpc->tls, c->home.transport->tls) < 0)
        return -ENOMEM;
    if (!c->grpc->is_pipe)
        uv_tcp_nodelay(&c->u.tcp, 1);
    uv_fileno(&c->u.handle, &fd);
    c->home.client_fd = fd;
    int rc = enter(c);
    if (rc == 0)
        rc = make_room(c);
    return rc < 0 ? rc : uv_read_start(&c->u.stream, on_alloc, on_read);
}

static void refuse_connection(struct connection *c)
{
    c->closing = 1;
    srv_slots_leave(&c->grpc->slots, c->place);
    proto_h2_destroy(c->h2);
    srv_stream_home_finish(&c->home);
    uv_close(&c->u.handle, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct srv_http2 *g = listener->data;
    struct connection *c = status < 0 ? NULL : calloc(1, sizeof(*c));
    g->stalled = status >= 0 && !c;
    if (!c)
        return;
    c->grpc = g;
    srv_stream_home_init(&c->home, g->transport);
    c->home.dirty = on_dirty;
    c->out = malloc(WRITE_SIZE);
    if (init_stream(g, &c->u.tcp, &c->u.pipe) < 0) {
        srv_stream_home_finish(&c->home);
        free(c->out);
        free(c);
        return;
    }
    c->u.handle.data = c;
    c->heard_ns = c->wrote_ns = srv_now_ns();
    if (uv_accept(listener, &c->u.stream) < 0 || !c->out || start_session(c) < 0) {
        refuse_connection(c);
        return;
    }
    c->next = g->connections;
    if (c->next)
        c->next->prev = c;
    g->connections = c;
    enter_silent(c);
    g->transport->api->sockets[SRV_PORT_GRPC].open = ++g->n;
    flush(c); /* our settings */
}

/* ---- time ---- */

/* Silent for too long: an idle connection is told to go, one with streams has to answer a ping, and
 * one that does not take what we write is cut. */
static void check_idle(struct connection *c, uint64_t now)
{
    uint64_t limit = (uint64_t)c->grpc->transport->env->cfg->idle_timeout_ms * SRV_NS_PER_MS;
    if (c->writing && now - c->wrote_ns > limit) {
        close_connection(c);
        return;
    }
    int streams = proto_h2_streams(c->h2);
    if (streams == 0 && c->home.crowded && c->home.asked) { /* as "Connection: close" */
        dismiss(c);
        return;
    }
    if (now - c->heard_ns <= limit)
        return;
    if (streams == 0) {
        dismiss(c);
    } else if (now - c->heard_ns > 2 * limit) {
        close_connection(c);
    } else if (!c->pinged) {
        c->pinged = 1;
        proto_h2_ping(c->h2);
        flush(c);
    }
}

/* A greeting, a head, a frame of which a byte comes now and then keeps a connection from being
 * idle. */
static void check_unfinished(struct connection *c, uint64_t now)
{
    uint64_t limit = (uint64_t)c->grpc->transport->env->cfg->header_timeout_ms * SRV_NS_PER_MS;
    uint64_t what = proto_h2_unfinished(c->h2);
    if (what == 0 || what != c->unfinished) {
        c->unfinished = what;
        c->unfinished_ns = now;
    } else if (now - c->unfinished_ns > limit) {
        close_connection(c);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct srv_http2 *g = t->data;
    uint64_t now = srv_now_ns();
    if (g->stalled)
        on_connection(&g->listener.stream, 0);
    for (struct connection *c = g->connections, *next; c; c = next) {
        next = c->next;
        proto_h2_tick(c->h2);
        srv_stream_tick(&c->home, now);
        srv_rest_tick(&c->home, now);
        flush(c);
        if (!c->closing)
            check_unfinished(c, now);
        if (!c->closing)
            check_idle(c, now);
    }
}

void srv_http2_pump(struct srv_http2 *g)
{
    if (!g)
        return;
    if (g->phase != g->transport->api->phase) {
        g->phase = g->transport->api->phase;
        for (struct connection *c = g->connections; c; c = c->next) {
            srv_stream_tick(&c->home, srv_now_ns());
            mark_dirty(c);
        }
    }
    while (g->dirty) {
        struct connection *c = g->dirty;
        g->dirty = c->next_dirty;
        c->dirty = 0;
        flush(c);
    }
}

/* ---- start and end ---- */

static int start_listener(struct srv_http2 *g, int fd)
{
    int rc = init_stream(g, &g->listener.tcp, &g->listener.pipe);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    g->listener.handle.data = g;
    rc = g->is_pipe ? uv_pipe_open(&g->listener.pipe, fd) : uv_tcp_open(&g->listener.tcp, fd);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : uv_listen(&g->listener.stream, BACKLOG, on_connection);
}

int srv_http2_start(struct srv_http2 **ret, struct srv_transport *t, int fd_take, char *err,
                    size_t errlen)
{
    struct srv_http2 *g = calloc(1, sizeof(*g));
    if (!g) {
        close(fd_take);
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    g->transport = t;
    g->phase = t->api->phase;
    g->is_tls = t->tls != NULL;
    int rc = g->is_tls ? srv_tls_port_init(&g->tls) : 0;
    if (rc == 0)
        rc = srv_slots_init(&g->slots, t->env, &t->api->sockets[SRV_PORT_GRPC],
                            (int)t->env->cfg->max_connections);
    if (rc < 0) {
        snprintf(err, errlen, "gRPC: TLS or the table of connections cannot start");
        close(fd_take);
        srv_http2_destroy(g);
        return rc;
    }
    g->is_pipe = srv_is_unix(fd_take);
    uv_timer_init(&t->env->loop, &g->tick);
    uv_timer_init(&t->env->loop, &g->goaway);
    g->tick.data = g->goaway.data = g;
    uv_timer_start(&g->tick, on_tick, TICK_MS, TICK_MS);
    *ret = g; /* from here on its handles are the loop's: srv_http2_stop() ends them */
    rc = start_listener(g, fd_take);
    if (rc < 0)
        snprintf(err, errlen, "gRPC: %s", uv_strerror(rc));
    return rc;
}

static void close_handle(uv_handle_t *h)
{
    if (h->type != UV_UNKNOWN_HANDLE && !uv_is_closing(h))
        uv_close(h, NULL);
}

static void on_goaway(uv_timer_t *t)
{
    struct srv_http2 *g = t->data;
    for (struct connection *c = g->connections, *next; c; c = next) {
        next = c->next;
        proto_h2_end(c->h2);
        flush(c);
    }
}

void srv_http2_quiesce(struct srv_http2 *g)
{
    if (!g)
        return;
    close_handle(&g->listener.handle);
    for (struct connection *c = g->connections, *next; c; c = next) {
        next = c->next;
        srv_stream_drain(&c->home);
        proto_h2_announce_end(c->h2);
        flush(c);
    }
    uv_timer_start(&g->goaway, on_goaway, GOAWAY_MS, 0);
}

void srv_http2_stop(struct srv_http2 *g)
{
    if (!g)
        return;
    for (struct connection *c = g->connections; c; c = g->connections)
        close_connection(c);
    close_handle(&g->listener.handle);
    close_handle((uv_handle_t *)&g->tick);
    close_handle((uv_handle_t *)&g->goaway);
}

void srv_http2_destroy(struct srv_http2 *g)
{
    if (!g)
        return;
    srv_slots_finish(&g->slots);
    srv_tls_port_finish(&g->tls);
    free(g);
}
