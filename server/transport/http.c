/* libmicrohttpd gives a reply two chances: at the headers, which costs the connection, or once the
 * whole body is read. A refusal therefore discards a small body and keeps the connection, and cuts
 * a large one off at the headers. */
#include "server/transport/http.h"

#include "protocol/query.h"
#include "server/handlers/call.h"
#include "server/base/clock.h"
#include "server/transport/acceptor.h"
#include "server/transport/http_check.h"
#include "server/transport/listen.h"
#include "server/transport/time_limits.h"
#include "server/srv.h"
#include "server/transport/tls.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DISCARD_MAX = 1 << 20,        /* bytes of a refused body that are read to keep the connection */
    CONNECTION_MEMORY = 32 << 10, /* also a read: larger ones leave the cache, and every new
                                     connection faults them in */
    PIECE = 4 << 10,              /* of a reply that grows */
    RUNS_A_PUMP = 2,              /* then timers and other handles get a turn */
};

/* Who is refused asks again at once, and thousands a second would take the processor from those
 * that are served. A refusal for load is therefore held back for a moment, which costs a client
 * nothing that Retry-After does not ask of it. */
enum { REFUSAL_DELAY_MS = 20 };

/* A client that has just had an answer may be about to ask again. */
#define QUIET_NS (100ull * SRV_NS_PER_MS)
#define LATE_GRACE_NS (2000ull * SRV_NS_PER_MS) /* for the rest of a body that came too late */

struct srv_http {
    struct srv *srv;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    struct srv_acceptor acceptor;
    uv_timer_t refusals;
    struct exchange *held, **held_tail; /* suspended with their refusals, oldest first */
    struct srv_peers peers;
    int stopping; /* nobody may be suspended any more */
};

enum exchange_phase {
    AT_HEADERS,
    IN_BODY,
    DISCARDING, /* refused; the reply waits for the end of the body */
    WAITING,    /* suspended */
    GROWING,    /* suspended in the middle of a reply that grows */
    HELD,       /* suspended with its refusal */
    REPLIED,
};

struct exchange {
    struct srv_call call;
    struct srv_http *http;
    struct MHD_Connection *connection;
    struct srv_peer *peer;
    enum exchange_phase phase;
    size_t discarded;
    struct exchange *next_held;
    uint64_t held_until_ns;
    int astray; /* the request target is none of ours to answer */
    char client[64];
    char target[]; /* path and query of the request line; if it has none, the whole */
};

static struct exchange *exchange_of(const struct srv_call *c)
{
    return (struct exchange *)((char *)(uintptr_t)c - offsetof(struct exchange, call));
}

/* ---- what a call asks of its transport ---- */

static const char *call_header(const struct srv_call *c, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(c)->connection, MHD_HEADER_KIND, name);
}

static void call_answered(struct srv_call *c)
{
    MHD_resume_connection(exchange_of(c)->connection); /* the next pump calls on_request again */
}

static void call_grew(struct srv_call *c)
{
    struct exchange *x = exchange_of(c);
    if (x->phase != GROWING)
        return;
    x->phase = REPLIED;
    srv_peer_enter(x->peer, SRV_PEER_ANSWER);
    MHD_resume_connection(x->connection);
}

static const struct srv_call_ops call_ops = {call_header, call_answered, call_grew};

/* ---- replies ---- */

/* Pieces as they come; between them the connection sleeps. */
static ssize_t read_growing(void *cls, uint64_t at, char *buf, size_t max)
{
    struct exchange *x = cls;
    struct srv_reply *r = &x->call.reply;
    (void)at;
    if (r->len == 0) {
        if (r->whole)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (x->http->stopping)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        x->phase = GROWING;
        srv_peer_enter(x->peer, SRV_PEER_WAITS);
        MHD_suspend_connection(x->connection);
        return 0;
    }
    size_t n = r->len < max ? r->len : max;
    memcpy(buf, r->body, n);
    memmove(r->body, r->body + n, r->len - n);
    r->len -= n;
    return (ssize_t)n;
}

static enum MHD_Result queue_reply(struct exchange *x)
{
    struct srv_reply *r = &x->call.reply;
    struct MHD_Response *response =
        r->grows ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_growing, x, NULL)
        : r->body ? MHD_create_response_from_buffer(r->len, r->body, MHD_RESPMEM_MUST_FREE)
                  : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    if (!r->grows)
        r->body = NULL;
    x->phase = REPLIED;
    srv_peer_enter(x->peer, SRV_PEER_ANSWER);
    if (r->type)
        MHD_add_response_header(response, "Content-Type", r->type);
    MHD_add_response_header(response, "X-Request-Id", x->call.id);
    for (int i = 0; i < r->n_headers; i++)
        MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
    if (x->http->srv->phase >= SRV_DRAINING)
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result ok = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return ok;
}

/* ---- the three stages of a request ---- */

static void name_client(struct exchange *x)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    socklen_t len = i && i->client_addr && i->client_addr->sa_family == AF_INET6
                        ? sizeof(struct sockaddr_in6)
                        : sizeof(struct sockaddr_in);
    snprintf(x->client, sizeof(x->client), "local");
    if (i && i->client_addr && i->client_addr->sa_family != AF_UNIX)
        getnameinfo(i->client_addr, len, x->client, sizeof(x->client), NULL, 0, NI_NUMERICHOST);
}

static enum MHD_Result at_headers(struct exchange *x, const char *method, const char *version)
{
    struct srv_call *c = &x->call;
    struct srv_http_framing framing = {0};
    const char *sentence = NULL;
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    c->method = method;
    c->client_fd = i ? i->connect_fd : -1;
    if (c->srv->cfg->log_requests) /* the only reader */
        name_client(x);
    srv_call_start(c);
    srv_peer_enter(x->peer, SRV_PEER_BODY);
    int status = srv_http_check(x->connection, version, &framing, &sentence);
    if (!status && x->astray) {
        sentence = "the request target is neither a path nor an http URI with a host";
        status = 400;
    }
    if (status) {
        srv_call_error(c, status, "%s", sentence);
        return queue_reply(x);
    }
    srv_call_open(c, framing.declared);
    if (!c->reply.status) {
        x->phase = IN_BODY;
        return MHD_YES;
    }
    if (framing.declared > DISCARD_MAX || (framing.expects && framing.declared != 0))
        return queue_reply(x);
    x->phase = DISCARDING;
    return MHD_YES;
}

static enum MHD_Result in_body(struct exchange *x, const char *data, size_t len)
{
    struct srv_call *c = &x->call;
    if (x->phase != IN_BODY && srv_call_is_late(c, LATE_GRACE_NS))
        return MHD_NO; /* it drips, to keep the connection for ever */
    if (x->phase == IN_BODY && srv_call_body(c, data, len) == 0)
        return MHD_YES;
    x->phase = DISCARDING;
    x->discarded += len;
    return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static void on_refusals(uv_timer_t *t);

/* Lets those go whose time has come. */
static void release_held(struct srv_http *h)
{
    uint64_t now = srv_now_ns();
    while (h->held && h->held->held_until_ns <= now) {
        struct exchange *x = h->held;
        h->held = x->next_held;
        MHD_resume_connection(x->connection);
    }
    if (!h->held)
        h->held_tail = &h->held;
    else
        uv_timer_start(&h->refusals, on_refusals,
                       (h->held->held_until_ns - now) / SRV_NS_PER_MS + 1, 0);
}

static enum MHD_Result hold(struct exchange *x)
{
    struct srv_http *h = x->http;
    x->phase = HELD;
    srv_peer_enter(x->peer, SRV_PEER_WAITS);
    x->held_until_ns = srv_now_ns() + REFUSAL_DELAY_MS * SRV_NS_PER_MS;
    x->next_held = NULL;
    *h->held_tail = x;
    h->held_tail = &x->next_held;
    if (h->held == x) {
        uv_update_time(&h->srv->loop);
        uv_timer_start(&h->refusals, on_refusals, REFUSAL_DELAY_MS, 0);
    }
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

static enum MHD_Result at_end(struct exchange *x)
{
    struct srv_call *c = &x->call;
    if (x->phase == IN_BODY)
        srv_call_finish(c);
    if (c->reply.status == 429 && x->phase != HELD && x->http->srv->phase < SRV_DRAINING)
        return hold(x);
    if (!c->reply.status && x->http->stopping) {
        c->pending = 0; /* it is awake */
        srv_call_error(c, 503, "the server is stopping");
    }
    if (c->reply.status)
        return queue_reply(x);
    x->phase = WAITING;
    srv_peer_enter(x->peer, SRV_PEER_WAITS);
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)url;
    (void)connection;
    if (!x)
        return MHD_NO; /* out of memory at the request line: close */
    if (x->phase == AT_HEADERS)
        return at_headers(x, method, version);
    if (*size > 0) {
        size_t len = *size;
        *size = 0;
        return in_body(x, data, len);
    }
    if (x->phase == REPLIED)
        return MHD_YES;
    return at_end(x);
}

static struct srv_peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}

/* Of an absolute URI (RFC 9112 3.2.2: it MUST be accepted) the path counts alone: every host that
 * leads here, named in it or in Host, is this server. Room: strlen(uri) + 2. */
static int take_target(char *target, const char *uri)
{
    const char *path = uri;
    int rc = proto_target_path(uri, &path);
    int empty = rc == 0 && (*path == 0 || *path == '?');
    memcpy(target, "/", (size_t)empty);
    memcpy(target + empty, path, strlen(path) + 1);
    return rc;
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct srv_http *h = cls;
    struct srv_peer *peer = peer_of(connection);
    struct exchange *x = peer ? malloc(sizeof(*x) + strlen(uri) + 2) : NULL;
    if (!x)
        return NULL;
    x->astray = take_target(x->target, uri) < 0;
    x->http = h;
    x->connection = connection;
    x->peer = peer;
    x->phase = AT_HEADERS;
    x->discarded = 0;
    x->next_held = NULL;
    x->held_until_ns = 0;
    x->client[0] = 0;
    srv_call_init(&x->call, h->srv, &call_ops);
    x->call.target = x->target;
    x->call.client = x->client;
    x->call.started_ns = srv_now_ns();
    peer->exchange = x;
    return x;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)connection;
    (void)how;
    if (!x)
        return;
    if (x->phase != AT_HEADERS)
        srv_call_close(&x->call);
    srv_peer_enter(x->peer, SRV_PEER_HEAD);
    x->peer->exchange = NULL;
    free(x);
    *con_cls = NULL;
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *t)
{
    srv_http_pump(t->data);
}

void srv_http_pump(struct srv_http *h)
{
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

static void on_refusals(uv_timer_t *t)
{
    struct srv_http *h = t->data;
    release_held(h);
    srv_http_pump(h);
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
    srv_log(h->srv->log, SRV_DEBUG, "libmicrohttpd: %s", line);
}

/* Targets stay percent-encoded: routes decode what they take, once. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

/* The peer is also the one pointer of ours that a TLS session leads to: callbacks of GnuTLS have
 * no argument. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct srv_http *h = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *context = srv_peers_add(&h->peers, fd, h);
    } else {
        srv_peers_remove(&h->peers, *context);
        *context = NULL;
        srv_acceptor_closed(&h->acceptor);
    }
}

/* ---- new connections ---- */

static int take(void *owner, int fd, const struct sockaddr *address, socklen_t len)
{
    struct srv_http *h = owner;
    int open = h->acceptor.open;
    if (MHD_add_connection(h->daemon, fd, address, len) == MHD_YES)
        return 0;
    return h->acceptor.open < open ? 0 : -1; /* it may have come, gone and been counted already */
}

static void taken(void *owner)
{
    srv_http_pump(owner); /* what they ask is here already, as a rule */
}

static void make_room(void *owner)
{
    struct srv_http *h = owner;
    srv_peers_look(&h->peers);
    srv_http_pump(h);
}

static const struct srv_acceptor_ops acceptor_ops = {take, taken, make_room};

/* ---- TLS ---- */

static const struct srv_tls_set *tls_of(gnutls_session_t session)
{
    struct MHD_Connection *connection = gnutls_session_get_ptr(session);
    const struct srv_peer *peer = connection ? peer_of(connection) : NULL;
    const struct srv_http *h = peer ? peer->owner : NULL;
    return h ? h->srv->tls : NULL;
}

static int verify_client(gnutls_session_t session)
{
    const struct srv_tls_set *t = tls_of(session);
    return t ? srv_tls_verify_client(t, session) : GNUTLS_E_CERTIFICATE_ERROR;
}

static int choose_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                              const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                              gnutls_pcert_st **ret, unsigned *ret_len, gnutls_privkey_t *ret_key)
{
    const struct srv_tls_set *t = tls_of(session);
    (void)names;
    (void)n_names;
    (void)algorithms;
    (void)n_algorithms;
    return t ? srv_tls_offer(t, session, verify_client, ret, ret_len, ret_key) : -1;
}

static unsigned idle_seconds(const struct cfg *cfg)
{
    return (unsigned)((cfg->idle_timeout_ms + 999) / 1000);
}

static struct MHD_Daemon *start_daemon(struct srv_http *h)
{
    const struct cfg *cfg = h->srv->cfg;
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)choose_certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem *more = h->srv->tls ? tls : tls + 2;
    return MHD_start_daemon(
        (h->srv->tls ? MHD_USE_TLS : 0) | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, log_library, h,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)cfg->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        idle_seconds(cfg), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_URI_LOG_CALLBACK, on_request_line,
        h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static void init_handles(struct srv_http *h)
{
    int fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_loop_t *loop = &h->srv->loop;
    uv_timer_init(loop, &h->timer);
    uv_timer_init(loop, &h->refusals);
    uv_poll_init(loop, &h->poll, fd);
    h->held_tail = &h->held;
    h->timer.data = h->poll.data = h->refusals.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_readable);
}

int srv_http_start(struct srv_http **ret, struct srv *s, char *ret_bound, size_t bound_len,
                   char *err, size_t errlen)
{
    int fd, rc;
    struct srv_http *h = calloc(1, sizeof(*h));
    if (!h) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    h->srv = s;
    rc = srv_listen(&fd, s->systemd.http_fd, s->cfg->http, ret_bound, bound_len, err, errlen);
    if (rc < 0) {
        free(h);
        return rc;
    }
    h->daemon = start_daemon(h);
    if (!h->daemon) {
        close(fd);
        free(h);
        snprintf(err, errlen, "libmicrohttpd cannot start on %s", ret_bound);
        return -EIO;
    }
    srv_peers_init(&h->peers, s);
    init_handles(h);
    *ret = h; /* from here on its handles are the loop's: srv_http_stop() ends them */
    rc = srv_acceptor_start(&h->acceptor, &s->loop, s->log, fd, (int)s->cfg->max_connections,
                            &acceptor_ops, h);
    if (rc < 0)
        snprintf(err, errlen, "HTTP on %s: %s", ret_bound, uv_strerror(rc));
    return rc;
}

int srv_http_connections(const struct srv_http *h)
{
    return h->acceptor.open;
}

int srv_http_backlog(const struct srv_http *h)
{
    return srv_acceptor_backlog(&h->acceptor);
}

uint64_t srv_http_cut(const struct srv_http *h)
{
    return h->peers.cut;
}

int srv_http_is_quiet(const struct srv_http *h)
{
    return srv_peers_are_quiet(&h->peers, srv_now_ns() - QUIET_NS);
}

void srv_http_quiesce(struct srv_http *h)
{
    srv_acceptor_quiesce(&h->acceptor);
    srv_http_pump(h);
}

/* libmicrohttpd aborts when it is stopped with a connection suspended. */
static void resume_all(struct srv_http *h)
{
    h->stopping = 1;
    h->held = NULL;
    for (struct srv_peer *p = h->peers.list; p; p = p->next) {
        struct exchange *x = p->exchange;
        if (x && (x->phase == WAITING || x->phase == GROWING || x->phase == HELD))
            MHD_resume_connection(x->connection);
    }
    MHD_run(h->daemon);
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
    resume_all(h);
    MHD_stop_daemon(h->daemon);
    srv_peers_finish(&h->peers);
}

void srv_http_destroy(struct srv_http *h)
{
    free(h);
}
