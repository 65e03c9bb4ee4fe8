/* A stream whose request is one of a route: header section, body, answer. */
#include "server/transport/rest_stream.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/query.h"
#include "server/base/clock.h"
#include "server/handlers/call.h"
#include "server/transport/grpc_stream.h"
#include "server/transport/transport.h"

enum {
    NAME_ROOM = 48,
    DISCARD_MAX = 1 << 20, /* bytes of a refused body that are read: clients that are cut off while
                              they send may lose the answer */
};

struct srv_rest {
    const struct proto_h2_events *events; /* first */
    struct srv_call call;
    struct srv_stream_home *home;
    struct proto_h2_stream *h2;
    struct srv_rest *next, *prev;
    size_t discarded;
    int asked; /* the whole body is here */
    int over;  /* answered */
};

enum { STREAM_BYTES = sizeof(struct srv_rest) + (2 << 10) }; /* with the library's own */

static struct srv_payer payer_of(const struct srv_stream_home *home)
{
    return (struct srv_payer){&home->transport->api->sched->budget, home->account, NULL};
}

static struct srv_rest *rest_of(const struct srv_call *c)
{
    return (struct srv_rest *)((char *)(uintptr_t)c - offsetof(struct srv_rest, call));
}

/* ---- the answer ---- */

static const char *lower(const char *name, char buf[NAME_ROOM])
{
    size_t n = 0;
    for (; name[n] && n + 1 < NAME_ROOM; n++)
        buf[n] = (char)tolower((unsigned char)name[n]);
    buf[n] = 0;
    return buf;
}

/* What is there of a reply that grows. */
static int write_piece(struct srv_rest *x)
{
    struct srv_reply *r = &x->call.reply;
    int rc = r->len ? proto_h2_write(x->h2, NULL, 0, r->body, r->len) : 0;
    if (r->len) {
        r->body = NULL;
        r->len = 0;
    }
    return rc == 0 && r->whole ? proto_h2_finish(x->h2, NULL, 0) : rc;
}

static void answer(struct srv_rest *x)
{
    struct srv_reply *r = &x->call.reply;
    struct proto_h2_field fields[PROTO_H2_FIELDS_MAX];
    char names[SRV_REPLY_HEADERS][NAME_ROOM], length[24];
    int n = 0;
    x->over = 1;
    snprintf(length, sizeof(length), "%zu", r->len);
    if (r->type)
        fields[n++] = (struct proto_h2_field){"content-type", r->type};
    if (r->status != 204 && r->status != 304 && !r->grows)
        fields[n++] = (struct proto_h2_field){"content-length", length};
    fields[n++] = (struct proto_h2_field){"x-request-id", x->call.id};
    for (int i = 0; i < r->n_headers; i++)
        fields[n++] =
            (struct proto_h2_field){lower(r->headers[i].name, names[i]), r->headers[i].value};
    int bare = (!r->grows && (r->len == 0 || !r->body)) || strcmp(x->call.method, "HEAD") == 0;
    int rc = proto_h2_respond(x->h2, r->status, fields, n, bare);
    if (rc == 0 && !bare && r->grows) {
        rc = write_piece(x);
    } else if (rc == 0 && !bare) {
        rc = proto_h2_write(x->h2, NULL, 0, r->body, r->len);
        r->body = NULL;
        if (rc == 0)
            rc = proto_h2_finish(x->h2, NULL, 0);
    }
    if (rc < 0)
        proto_h2_reset(x->h2, PROTO_H2_INTERNAL_ERROR);
}

/* Refused with the body on its way: the answer waits for the end of one that is not too long. */
static void refuse(struct srv_rest *x)
{
    if (x->asked || x->call.declared > DISCARD_MAX || x->discarded > DISCARD_MAX)
        answer(x);
}

/* ---- what a call asks of its transport ---- */

static const char *call_header(const struct srv_call *c, const char *name)
{
    return srv_stream_header(rest_of(c)->h2, name);
}

static void call_answered(struct srv_call *c)
{
    struct srv_rest *x = rest_of(c);
    answer(x);
    x->home->dirty(x->home);
}

static void call_grew(struct srv_call *c)
{
    struct srv_rest *x = rest_of(c);
    if (write_piece(x) < 0)
        proto_h2_reset(x->h2, PROTO_H2_INTERNAL_ERROR);
    x->home->dirty(x->home);
}

static const struct srv_call_ops call_ops = {call_header, call_answered, call_grew};

/* ---- events ---- */

static int64_t declared_length(const struct srv_rest *x)
{
    const char *given = proto_h2_header(x->h2, "content-length");
    long long n = 0;
    if (given && proto_parse_int(given, 0, LLONG_MAX, &n) == 0)
        return n;
    return srv_method_parse(x->call.method) & (SRV_POST | SRV_PUT) ? -1 : 0;
}

static const struct proto_h2_events rest_events;

static void on_open(void *arg, struct proto_h2_stream *h2)
{
    struct srv_stream_home *home = arg;
    const struct srv_payer p = payer_of(home);
    int rc = srv_charge(&p, SRV_USE_STREAM, STREAM_BYTES);
    struct srv_rest *x = rc == 0 ? malloc(sizeof(*x)) : NULL;
    if (rc == 0 && !x)
        srv_discharge(&p, SRV_USE_STREAM, STREAM_BYTES);
    h2->user = x;
    if (!x) {
        proto_h2_reset(h2, PROTO_H2_REFUSED_STREAM);
        return;
    }
    x->events = &rest_events;
    x->home = home;
    x->h2 = h2;
    x->discarded = 0;
    x->asked = x->over = 0;
    x->prev = NULL;
    x->next = home->rests;
    if (x->next)
        x->next->prev = x;
    home->rests = x;
    srv_call_init(&x->call, home->transport->api, &call_ops);
    x->call.payer.connection = srv_account_ref(home->account);
    x->call.method = proto_h2_header(h2, ":method");
    x->call.target = proto_h2_header(h2, ":path");
    x->call.client = home->client;
    x->call.port = SRV_PORT_GRPC;
    x->call.crowded = home->crowded;
    x->call.client_fd = home->client_fd;
    x->call.started_ns = srv_now_ns();
    srv_call_start(&x->call);
    srv_call_open(&x->call, declared_length(x));
    if (x->call.reply.status)
        refuse(x);
}

static void on_data(void *arg, struct proto_h2_stream *h2, const void *data, size_t len)
{
    struct srv_rest *x = h2->user;
    (void)arg;
    proto_h2_consume(h2, len);
    if (x->over || (!x->call.reply.status && srv_call_body(&x->call, data, len) == 0))
        return;
    x->discarded += len;
    refuse(x);
}

static void on_end(void *arg, struct proto_h2_stream *h2)
{
    struct srv_rest *x = h2->user;
    (void)arg;
    if (x->over)
        return;
    x->asked = 1;
    if (!x->call.reply.status)
        srv_call_finish(&x->call);
    if (x->call.reply.status && !x->over)
        answer(x);
}

static void on_drained(void *arg, struct proto_h2_stream *h2)
{
    (void)arg;
    (void)h2;
}

static void on_closed(void *arg, struct proto_h2_stream *h2, uint32_t error)
{
    struct srv_rest *x = h2->user;
    const struct srv_payer p = payer_of(x->home);
    (void)arg;
    if (error)
        x->call.reply.status = 0; /* nobody got it: logged as gone */
    if (x->prev)
        x->prev->next = x->next;
    else
        x->home->rests = x->next;
    if (x->next)
        x->next->prev = x->prev;
    srv_call_close(&x->call);
    srv_discharge(&p, SRV_USE_STREAM, STREAM_BYTES);
    free(x);
}

static const struct proto_h2_events rest_events = {on_open, on_data, on_end, on_drained, on_closed};

void srv_rest_tick(struct srv_stream_home *home, uint64_t now)
{
    const struct cfg *cfg = home->transport->env->cfg;
    uint64_t patience = (uint64_t)cfg->idle_timeout_ms * SRV_NS_PER_MS;
    uint64_t body_limit = (uint64_t)cfg->body_timeout_ms * SRV_NS_PER_MS;
    for (struct srv_rest *x = home->rests; x; x = x->next) {
        struct srv_call *c = &x->call;
        if (x->over || x->asked)
            continue;
        if (!c->reply.status && c->req && c->req->deadline_ns && c->req->deadline_ns < now)
            srv_call_error(c, 504, "the deadline passed before the whole body was here");
        else if (!c->reply.status && now - c->started_ns > body_limit)
            srv_call_error(c, 408, "the body took longer than body_timeout_ms");
        else if (!c->reply.status || now - c->started_ns < patience)
            continue;
        answer(x);
    }
}

/* ---- whose stream it is ---- */

static void port_open(void *arg, struct proto_h2_stream *h2)
{
    struct srv_stream_home *home = arg;
    home->asked = 1;
    const char *path = proto_h2_header(h2, ":path");
    int rpc = h2->headers_too_large || !path || path[0] != '/' ||
              srv_route_find_rpc(home->transport->api->routes, path) || srv_stream_is_grpc(h2);
    (rpc ? &srv_stream_events : &rest_events)->open(arg, h2);
}

/* Both kinds begin with it. */
static const struct proto_h2_events *owner(const struct proto_h2_stream *h2)
{
    return *(const struct proto_h2_events *const *)h2->user;
}

static void port_data(void *arg, struct proto_h2_stream *h2, const void *data, size_t len)
{
    if (h2->user)
        owner(h2)->data(arg, h2, data, len);
}

static void port_end(void *arg, struct proto_h2_stream *h2)
{
    if (h2->user)
        owner(h2)->end(arg, h2);
}

static void port_drained(void *arg, struct proto_h2_stream *h2)
{
    if (h2->user)
        owner(h2)->drained(arg, h2);
}

static void port_closed(void *arg, struct proto_h2_stream *h2, uint32_t error)
{
    if (h2->user)
        owner(h2)->closed(arg, h2, error);
}

const struct proto_h2_events srv_port_events = {port_open, port_data, port_end, port_drained,
                                                port_closed};
