/* libmicrohttpd gives a reply two chances: at the headers, which costs the connection, or once the
 * whole body is read. A refusal therefore discards a small body and keeps the connection, cuts a
 * large one off at the headers, and goes past libmicrohttpd in the middle of one that turns out to
 * be large. */
#include "server/transport/http_exchange.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/query.h"
#include "server/base/clock.h"
#include "server/transport/http.h"
#include "server/transport/http_check.h"
#include "server/transport/http_raw.h"
#include "server/transport/transport.h"

enum {
    DISCARD_MAX = 1 << 20, /* bytes of a refused body that are read to keep the connection */
    PIECE = 4 << 10,       /* of a reply that grows */
};

/* Who is refused asks again at once, and thousands a second would take the processor from those
 * that are served. A refusal for load is therefore held back for a moment, which costs a client
 * nothing that Retry-After does not ask of it. */
enum { REFUSAL_DELAY_MS = 20 };

#define LATE_GRACE_NS (2000ull * SRV_NS_PER_MS) /* for the rest of a body that came too late */

static struct srv_exchange *exchange_of(const struct srv_call *c)
{
    return (struct srv_exchange *)((char *)(uintptr_t)c - offsetof(struct srv_exchange, call));
}

/* ---- what a call asks of its transport ---- */

static const char *call_header(const struct srv_call *c, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(c)->connection, MHD_HEADER_KIND, name);
}

/* The next pump asks for it again; before it reads, which matters where the client has closed its
 * side: libmicrohttpd would take that for its end. It looks first at connections that have a
 * timeout other than the usual one, so this gets one until its reply is there. */
static void wake(struct srv_exchange *x)
{
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, x->http->idle_s + 1);
    x->woken = 1;
    MHD_resume_connection(x->connection);
}

static void settle(struct srv_exchange *x)
{
    if (x->woken)
        MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, x->http->idle_s);
    x->woken = 0;
}

static void call_answered(struct srv_call *c)
{
    wake(exchange_of(c));
}

static void call_grew(struct srv_call *c)
{
    struct srv_exchange *x = exchange_of(c);
    if (x->phase != SRV_GROWING)
        return;
    x->phase = SRV_REPLIED;
    srv_timed_enter(x->peer, SRV_TIMED_ANSWER);
    MHD_resume_connection(x->connection);
}

static const struct srv_call_ops call_ops = {call_header, call_answered, call_grew};

/* ---- replies ---- */

/* Pieces as they come; between them the connection sleeps. */
static ssize_t read_growing(void *cls, uint64_t at, char *buf, size_t max)
{
    struct srv_exchange *x = cls;
    struct srv_reply *r = &x->call.reply;
    (void)at;
    if (r->len == 0) {
        if (r->whole)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (x->http->stopping)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        x->phase = SRV_GROWING;
        srv_timed_enter(x->peer, SRV_TIMED_WAITS);
        MHD_suspend_connection(x->connection);
        return 0;
    }
    size_t n = r->len < max ? r->len : max;
    memcpy(buf, r->body, n);
    memmove(r->body, r->body + n, r->len - n);
    r->len -= n;
    return (ssize_t)n;
}

static enum MHD_Result queue_reply(struct srv_exchange *x)
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
    x->phase = SRV_REPLIED;
    srv_timed_enter(x->peer, SRV_TIMED_ANSWER);
    if (r->type)
        MHD_add_response_header(response, "Content-Type", r->type);
    MHD_add_response_header(response, "X-Request-Id", x->call.id);
    for (int i = 0; i < r->n_headers; i++)
        MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
    if (x->http->transport->api->phase > SRV_SERVING || x->peer->crowded)
        MHD_add_response_header(response, "Connection", "close");
    settle(x);
    enum MHD_Result ok = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return ok;
}

/* ---- the three stages of a request ---- */

static void name_client(struct srv_exchange *x)
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

/* At the headers, while the body comes. */
static enum MHD_Result refuse_unread(struct srv_exchange *x)
{
    x->peer->lingers = 1;
    return queue_reply(x);
}

/* In the middle of a body of which there was too much: MHD_NO closes the connection. */
static enum MHD_Result refuse_rest(struct srv_exchange *x)
{
    x->peer->lingers = srv_http_raw(x->connection, &x->call) == 0;
    return MHD_NO;
}

/* What every exchange begins with. */
static void start_call(struct srv_exchange *x, const char *method)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    x->call.method = method;
    x->call.client_fd = i ? i->connect_fd : -1;
    name_client(x);
    srv_call_start(&x->call);
}

/* One of the reserve has a place like any other as soon as there is one. */
static void take_place(struct srv_exchange *x)
{
    if (x->http->sockets->open <= x->http->slots.limit)
        x->peer->crowded = 0;
    x->call.crowded = x->peer->crowded;
}

static enum MHD_Result at_headers(struct srv_exchange *x, const struct srv_http_line *line)
{
    struct srv_call *c = &x->call;
    struct srv_http_framing framing = {0};
    const char *sentence = NULL;
    start_call(x, line->method);
    srv_timed_enter(x->peer, SRV_TIMED_BODY);
    int status = srv_http_check(x->connection, line, &framing, &sentence);
    if (!status && x->astray) {
        sentence = "the request target is neither a path nor an http URI with a host";
        status = 400;
    }
    if (status) {
        srv_call_error(c, status, "%s", sentence);
        return refuse_unread(x);
    }
    take_place(x);
    srv_call_open(c, framing.declared);
    if (!c->reply.status) {
        x->phase = SRV_IN_BODY;
        return MHD_YES;
    }
    if (framing.declared > DISCARD_MAX || (framing.expects && framing.declared != 0))
        return refuse_unread(x);
    x->phase = SRV_DISCARDING;
    return MHD_YES;
}

static enum MHD_Result in_body(struct srv_exchange *x, const char *data, size_t len)
{
    struct srv_call *c = &x->call;
    if (x->phase != SRV_IN_BODY && srv_call_is_late(c, LATE_GRACE_NS))
        return refuse_rest(x); /* it drips, to keep the connection for ever */
    if (x->phase == SRV_IN_BODY && srv_call_body(c, data, len) == 0)
        return MHD_YES;
    x->phase = SRV_DISCARDING;
    x->discarded += len;
    return x->discarded > DISCARD_MAX ? refuse_rest(x) : MHD_YES;
}

static void on_refusals(uv_timer_t *t);

/* Lets those go whose time has come. */
static void release_held(struct srv_http *h)
{
    uint64_t now = srv_now_ns();
    while (h->held && h->held->held_until_ns <= now) {
        struct srv_exchange *x = h->held;
        h->held = x->next_held;
        wake(x);
    }
    if (!h->held)
        h->held_tail = &h->held;
    else
        uv_timer_start(&h->refusals, on_refusals,
                       (h->held->held_until_ns - now) / SRV_NS_PER_MS + 1, 0);
}

static void on_refusals(uv_timer_t *t)
{
    struct srv_http *h = t->data;
    release_held(h);
    srv_http_pump(h);
}

static enum MHD_Result hold(struct srv_exchange *x)
{
    struct srv_http *h = x->http;
    x->phase = SRV_HELD;
    srv_timed_enter(x->peer, SRV_TIMED_WAITS);
    x->held_until_ns = srv_now_ns() + REFUSAL_DELAY_MS * SRV_NS_PER_MS;
    x->next_held = NULL;
    *h->held_tail = x;
    h->held_tail = &x->next_held;
    if (h->held == x) {
        uv_update_time(&h->transport->env->loop);
        uv_timer_start(&h->refusals, on_refusals, REFUSAL_DELAY_MS, 0);
    }
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

static enum MHD_Result at_end(struct srv_exchange *x)
{
    struct srv_call *c = &x->call;
    if (x->phase == SRV_IN_BODY)
        srv_call_finish(c);
    if (c->reply.status == 429 && x->phase != SRV_HELD &&
        x->http->transport->api->phase < SRV_DRAINING)
        return hold(x);
    if (!c->reply.status && x->http->stopping) {
        c->pending = 0; /* it is awake */
        srv_call_error(c, 503, "the server is stopping");
    }
    if (c->reply.status)
        return queue_reply(x);
    x->phase = SRV_WAITING;
    srv_timed_enter(x->peer, SRV_TIMED_WAITS);
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

enum MHD_Result srv_exchange_request(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *size, void **con_cls)
{
    struct srv_exchange *x = *con_cls;
    (void)cls;
    (void)connection;
    if (!x)
        return MHD_NO; /* out of memory at the request line: close */
    if (x->phase == SRV_AT_HEADERS)
        return at_headers(x, &(struct srv_http_line){method, url, version, x->target_len});
    if (*size > 0) {
        size_t len = *size;
        *size = 0;
        return in_body(x, data, len);
    }
    if (x->phase == SRV_REPLIED)
        return MHD_YES;
    return at_end(x);
}

struct srv_timed *srv_timed_of(struct MHD_Connection *connection)
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

void *srv_exchange_line(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct srv_http *h = cls;
    struct srv_timed *peer = srv_timed_of(connection);
    struct srv_exchange *x = peer ? malloc(sizeof(*x) + strlen(uri) + 2) : NULL;
    if (!x)
        return NULL;
    x->target_len = strlen(uri);
    x->astray = take_target(x->target, uri) < 0;
    x->http = h;
    x->connection = connection;
    x->peer = peer;
    x->phase = SRV_AT_HEADERS;
    x->discarded = 0;
    x->woken = 0;
    x->next_held = NULL;
    x->held_until_ns = 0;
    x->client[0] = 0;
    srv_call_init(&x->call, h->transport->api, &call_ops);
    x->call.port = h->port;
    x->call.target = x->target;
    x->call.client = x->client;
    x->call.started_ns = srv_now_ns();
    peer->exchange = x;
    if (peer->phase == SRV_TIMED_IDLE)
        srv_timed_enter(peer, SRV_TIMED_HEAD);
    return x;
}

/* ---- what libmicrohttpd refuses by itself ---- */

/* The page has been sent; ours is to count it, and to log it with the request that it answered. */
static void note_library_page(struct srv_exchange *x, int status)
{
    if (x->phase == SRV_AT_HEADERS)
        start_call(x, "-");
    x->phase = SRV_REPLIED;
    x->peer->lingers = 1;
    x->call.reply.status = status;
}

/* It has read the whole head, has not called us, and has no answer yet. */
static int is_being_refused(const struct srv_exchange *x)
{
    return x && x->phase == SRV_AT_HEADERS &&
           MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) &&
           !MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
}

static const char *why_refused(const struct srv_exchange *x, int status)
{
    if (status == 413)
        return "the Content-Length is too large for a number";
    if (status != 400)
        return "the head of the request is too large";
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Host")
               ? "there must be one Content-Length, a whole number"
               : "a request of HTTP/1.1 needs a Host header";
}

/* What libmicrohttpd 0.9.75 refuses while it looks at a complete head it answers twice, for it
 * forgets at once that it has. So it is answered here, and its own pages find the way closed. */
void srv_exchange_refused_by_library(struct srv_http *h, int status)
{
    h->sockets->refused++;
    for (struct srv_timed *p = h->peers.list; p; p = p->next) {
        struct srv_exchange *x = p->exchange;
        if (!is_being_refused(x))
            continue;
        start_call(x, "-"); /* it does not tell the method either */
        srv_call_error(&x->call, status, "%s", why_refused(x, status));
        srv_http_raw(x->connection, &x->call);
        srv_http_raw_end(x->connection);
        x->phase = SRV_REPLIED;
        p->lingers = 1;
        return;
    }
}

void srv_exchange_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                            enum MHD_RequestTerminationCode how)
{
    struct srv_exchange *x = *con_cls;
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    (void)cls;
    (void)how;
    if (!x)
        return;
    if (status && x->phase != SRV_REPLIED)
        note_library_page(x, (int)status->http_status);
    if (x->phase != SRV_AT_HEADERS)
        srv_call_close(&x->call);
    settle(x);
    srv_timed_enter(x->peer, SRV_TIMED_IDLE);
    x->peer->exchange = NULL;
    free(x);
    *con_cls = NULL;
}

void srv_exchanges_resume(struct srv_http *h)
{
    h->stopping = 1;
    h->held = NULL;
    for (struct srv_timed *p = h->peers.list; p; p = p->next) {
        struct srv_exchange *x = p->exchange;
        if (x && (x->phase == SRV_WAITING || x->phase == SRV_HELD))
            wake(x);
        else if (x && x->phase == SRV_GROWING)
            MHD_resume_connection(x->connection);
    }
}
