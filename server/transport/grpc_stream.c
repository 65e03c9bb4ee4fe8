/* Bytes -> messages -> calls -> answers, in order. A stream of many messages works on a few at a
 * time; what comes beyond that stays unread, so that the client's window closes. Nothing here waits
 * and nothing is sent: both are the connection's. */
#include "server/transport/grpc_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/grpc.h"
#include "protocol/infer.h"
#include "server/base/clock.h"
#include "server/handlers/call.h"
#include "server/handlers/rpc_handlers.h"
#include "server/transport/grpc_status.h"
#include "server/transport/grpc_stream_parts.h"
#include "server/transport/transport.h"

enum {
    AHEAD_MAX = 16,         /* messages of one stream in work */
    UNSENT_MAX = 256 << 10, /* bytes of answers that the client has not taken */
    PARTIAL_MIN = 64 << 20, /* unfinished messages of one connection */
    STREAM_BYTES = sizeof(struct srv_stream) + (2 << 10), /* with headers, and the library's own */
    CALL_BYTES = sizeof(struct rpc_call) + sizeof(struct srv_req),
    PARTIAL_BODIES = 4, /* or so many of the largest */
};

static struct rpc_call *call_of(const struct srv_call *c)
{
    return (struct rpc_call *)((char *)(uintptr_t)c - offsetof(struct rpc_call, call));
}

int srv_stream_takes_many(const struct srv_stream *st)
{
    return st->rpc &&
           (st->rpc->kind == SRV_RPC_INFER_STREAM || st->rpc->kind == SRV_RPC_REFLECTION);
}

static int is_busy(const struct srv_stream *st)
{
    return srv_stream_takes_many(st) && (st->n_calls >= AHEAD_MAX || st->h2->unsent > UNSENT_MAX);
}

/* Nobody will read the rest of its message. */
static void drop_partial(struct srv_stream *st)
{
    st->home->partial -= st->framing.used;
    proto_grpc_finish(&st->framing);
}

/* ---- what goes out ---- */

static void respond(struct srv_stream *st, const struct proto_h2_field *more, int n, int last)
{
    struct proto_h2_field fields[PROTO_H2_FIELDS_MAX] = {
        {"content-type", "application/grpc"}, {"grpc-accept-encoding", "identity, gzip, deflate"}};
    for (int i = 0; i < n && i + 2 < PROTO_H2_FIELDS_MAX; i++)
        fields[i + 2] = more[i];
    st->responded = 1;
    if (proto_h2_respond(st->h2, 200, fields, n + 2, last) < 0)
        proto_h2_reset(st->h2, PROTO_H2_INTERNAL_ERROR);
}

void srv_stream_send(struct srv_stream *st, char *message_take, size_t len)
{
    unsigned char prefix[PROTO_GRPC_PREFIX];
    if (!st->responded)
        respond(st, NULL, 0, 0);
    proto_grpc_prefix(prefix, (uint32_t)len, 0);
    if (srv_stream_takes_many(st)) { /* its call goes at once, and what that was charged */
        const struct srv_payer p = srv_stream_payer(st);
        srv_charge_anyway(&p, SRV_USE_ANSWER, len);
        st->unsent += len;
    }
    if (!message_take || proto_h2_write(st->h2, prefix, sizeof(prefix), message_take, len) < 0)
        proto_h2_reset(st->h2, PROTO_H2_INTERNAL_ERROR);
}

/* The last word: in trailers behind messages, or in the headers if there were none. */
void srv_stream_end(struct srv_stream *st, enum proto_rpc_status code, const char *sentence,
                    const struct srv_call *c)
{
    struct srv_grpc_status s;
    if (st->over)
        return;
    st->over = 1;
    drop_partial(st);
    srv_grpc_status_init(&s, code, sentence, c);
    if (!st->responded)
        respond(st, s.fields, s.n, 1);
    else if (proto_h2_finish(st->h2, s.fields, s.n) < 0)
        proto_h2_reset(st->h2, PROTO_H2_INTERNAL_ERROR);
}

/* ---- calls ---- */

const char *srv_stream_header(const struct proto_h2_stream *h2, const char *name)
{
    char lower[64];
    size_t n = 0;
    for (; name[n] && n + 1 < sizeof(lower); n++)
        lower[n] = (char)(name[n] | (name[n] >= 'A' && name[n] <= 'Z' ? 32 : 0));
    lower[n] = 0;
    return proto_h2_header(h2, lower);
}

static const char *call_header(const struct srv_call *c, const char *name)
{
    if (strcasecmp(name, "Content-Encoding") == 0)
        return NULL; /* gRPC compresses message by message */
    return srv_stream_header(call_of(c)->stream->h2, name);
}

static void pump(struct srv_stream *st);

static void call_answered(struct srv_call *c)
{
    struct srv_stream *st = call_of(c)->stream;
    pump(st);
    st->home->dirty(st->home);
}

static const struct srv_call_ops call_ops = {call_header, call_answered, NULL};

static void set_deadline(struct srv_stream *st, struct srv_call *c)
{
    struct srv_req *r = c->req;
    uint64_t usual =
        c->started_ns + (uint64_t)st->home->transport->env->cfg->default_timeout_ms * SRV_NS_PER_MS;
    r->deadline_given = st->deadline_ns != SRV_NEVER;
    r->deadline_ns = r->deadline_given ? st->deadline_ns : usual;
    r->client_fd = c->client_fd;
}

/* NULL: out of memory. */
static struct rpc_call *add_call(struct srv_stream *st)
{
    struct rpc_call *x = srv_stream_charge(st, CALL_BYTES) == 0 ? malloc(sizeof(*x)) : NULL;
    if (!x)
        return NULL;
    x->stream = st;
    x->next = NULL;
    srv_call_init(&x->call, st->home->transport->api, &call_ops);
    x->call.method = "POST";
    x->call.payer.connection = srv_account_ref(st->home->account);
    x->call.target = proto_h2_header(st->h2, ":path");
    x->call.client = st->home->client;
    x->call.port = SRV_PORT_GRPC;
    x->call.crowded = st->home->crowded;
    x->call.client_fd = st->home->client_fd;
    x->call.started_ns = srv_stream_takes_many(st) ? srv_now_ns() : st->opened_ns;
    x->call.route = st->rpc;
    x->call.plain = 1;
    *st->tail = x;
    st->tail = &x->next;
    st->n_calls++;
    srv_call_start(&x->call);
    if (st->rpc)
        srv_call_open(&x->call, -1);
    if (x->call.req)
        set_deadline(st, &x->call);
    return x;
}

static void remove_first_call(struct srv_stream *st)
{
    struct rpc_call *x = st->calls;
    st->calls = x->next;
    if (!st->calls)
        st->tail = &st->calls;
    st->n_calls--;
    srv_stream_uncharge(st, CALL_BYTES);
    srv_call_close(&x->call);
    free(x);
}

/* ---- answers ---- */

/* The answer of one message among many. */
static void send_part(struct srv_stream *st, struct srv_call *c)
{
    struct srv_reply *r = &c->reply;
    size_t len = 0;
    char *message;
    if (st->rpc->kind == SRV_RPC_REFLECTION) {
        if (r->status != 200) {
            srv_stream_end(st, proto_rpc_status_of(r->status), r->body ? r->body : "", c);
            return;
        }
        message = r->body;
        len = r->len;
        r->body = NULL;
    } else if (r->status == 200) {
        message = proto_infer_stream_reply(r->body, r->len, &len);
    } else {
        struct proto_span id = {NULL, 0};
        if (c->req && c->req->body)
            id = proto_infer_id(c->req->body, c->req->body_len);
        message = proto_infer_stream_error(r->body ? r->body : "", id, &len);
    }
    srv_stream_send(st, message, len);
}

static void send_only(struct srv_stream *st, struct srv_call *c)
{
    struct srv_reply *r = &c->reply;
    if (r->status != 200) {
        srv_stream_end(st, proto_rpc_status_of(r->status), r->body ? r->body : "", c);
        return;
    }
    srv_stream_send(st, r->body, r->len);
    r->body = NULL;
    srv_stream_end(st, PROTO_RPC_OK, "", c);
}

static void send_answers(struct srv_stream *st)
{
    while (st->calls && st->calls->call.reply.status && !st->over) {
        struct srv_call *c = &st->calls->call;
        if (srv_stream_takes_many(st)) {
            send_part(st, c);
            remove_first_call(st);
        } else {
            send_only(st, c); /* the call stays, to be logged when all is sent */
        }
    }
}

/* ---- messages ---- */

/* A fault of the stream, not of a message. */
void srv_stream_refuse(struct srv_stream *st, int http_status, const char *sentence)
{
    if (!srv_stream_takes_many(st) && st->calls && !st->calls->call.reply.status) {
        srv_call_error(&st->calls->call, http_status, "%s", sentence);
        send_answers(st);
    }
    srv_stream_end(st, proto_rpc_status_of(http_status), sentence, NULL);
}

static void watch(struct srv_stream *st)
{
    struct srv_call *c = &st->calls->call;
    size_t reply_len = 0;
    int rc = srv_rpc_watched(c->req, st->service);
    srv_req_take_body(c->req, NULL, 0, SRV_USE_MESSAGE); /* a watch may last for ever */
    if (rc < 0) {
        srv_stream_refuse(st, rc == -ENOMEM ? 503 : 400,
                          "the request is not a valid message of its type");
        return;
    }
    st->health = (int)srv_rpc_health(c->api, st->service);
    char *reply = proto_health_reply((enum proto_health)st->health, &reply_len);
    srv_stream_send(st, reply, reply_len);
}

/* All that was asked is here. */
static void ask(struct srv_stream *st, struct srv_call *c)
{
    st->asked = 1;
    if (st->rpc->kind == SRV_RPC_WATCH)
        watch(st);
    else
        srv_call_finish(c);
    send_answers(st);
}

/* From the connection to the request, which may have a key. */
static int pay(struct srv_stream *st, struct srv_req *r, size_t len)
{
    srv_stream_change(st->home, len, 0);
    return srv_charge(&r->payer, SRV_USE_MESSAGE, len);
}

/* The only message of a unary call waits for the end of the request: there may be another. */
static void take_message(struct srv_stream *st, void *message_take, size_t len, int compressed)
{
    struct rpc_call *x = srv_stream_takes_many(st) ? add_call(st) : st->calls;
    const char *fault = NULL;
    if (x && x->call.reply.status) { /* one among many, over its key's rate */
        srv_stream_change(st->home, len, 0);
        free(message_take);
        send_answers(st);
        return;
    }
    if (x && x->call.req && compressed && st->coding == PROTO_IDENTITY)
        fault = "a message is marked as compressed, but there is no grpc-encoding";
    else if (!srv_stream_takes_many(st) && st->got++ > 0)
        fault = "more than one message was sent";
    if (!x || !x->call.req || fault) {
        srv_stream_change(st->home, len, 0);
        free(message_take);
        srv_stream_refuse(st, fault ? 500 : 503, fault ? fault : "out of memory for the request");
        return;
    }
    if (pay(st, x->call.req, len) < 0) {
        free(message_take);
        srv_stream_refuse(st, 429, "the requests in flight use all the memory that they may");
        return;
    }
    srv_req_take_body(x->call.req, message_take, len, SRV_USE_MESSAGE);
    x->call.req->coding = compressed ? st->coding : PROTO_IDENTITY;
    if (srv_stream_takes_many(st))
        ask(st, &x->call);
}

static size_t partial_max(const struct srv_stream *st)
{
    size_t bodies = PARTIAL_BODIES * (size_t)st->home->transport->env->cfg->max_body;
    return bodies > PARTIAL_MIN ? bodies : PARTIAL_MIN;
}

/* Cuts messages out of the bytes as long as more of them are welcome; how many bytes it took. */
static size_t take_bytes(struct srv_stream *st, const char *data, size_t len)
{
    size_t taken = 0;
    while (taken < len && !st->over && !is_busy(st)) {
        void *message = NULL;
        size_t used = 0, message_len = 0, before = st->framing.used;
        int compressed = 0;
        int rc = proto_grpc_feed(&st->framing, data + taken, len - taken, &used, &message,
                                 &message_len, &compressed);
        st->home->partial += st->framing.used;
        st->home->partial -= before;
        taken += used;
        if (rc == 1)
            take_message(st, message, message_len, compressed);
        else if (rc == -EMSGSIZE)
            srv_stream_refuse(st, 413, "the message is larger than max_body");
        else if (rc == -EPROTO)
            srv_stream_refuse(st, 500, "the bytes are not those of gRPC messages");
        else if (rc == -EDQUOT)
            srv_stream_refuse(st, 429, "the requests in flight use all the memory that they may");
        else if (rc < 0)
            srv_stream_refuse(st, 503, "out of memory for the message");
        else if (st->home->partial > partial_max(st))
            srv_stream_refuse(st, 429, "too many unfinished messages on this connection");
    }
    return taken;
}

static void hold(struct srv_stream *st, const char *data, size_t len)
{
    if (st->over || !len)
        return;
    if (srv_stream_change(st->home, 0, len) < 0) {
        srv_stream_refuse(st, 429, "the requests in flight use all the memory that they may");
        return;
    }
    char *grown = realloc(st->held, st->held_len + len);
    if (!grown) {
        srv_stream_change(st->home, len, 0);
        srv_stream_refuse(st, 503, "out of memory for the message");
        return;
    }
    memcpy(grown + st->held_len, data, len);
    st->held = grown;
    st->held_len += len;
}

static void take_held(struct srv_stream *st)
{
    size_t n = take_bytes(st, st->held, st->held_len);
    proto_h2_consume(st->h2, n);
    st->held_len -= n;
    srv_stream_change(st->home, n, 0);
    if (st->held_len) {
        memmove(st->held, st->held + n, st->held_len);
        return;
    }
    free(st->held);
    st->held = NULL;
}

/* All that was asked is answered, and no more will be asked. */
static void check_end(struct srv_stream *st)
{
    if (!st->ended || st->over || st->held_len || st->health >= 0)
        return;
    if (!proto_grpc_at_boundary(&st->framing))
        srv_stream_refuse(st, 500, "the stream ends inside a message");
    else if (!srv_stream_takes_many(st) && st->got == 0)
        srv_stream_refuse(st, 500, "the request has no message");
    else if (!srv_stream_takes_many(st) && !st->asked)
        ask(st, &st->calls->call);
    else if (!st->calls)
        srv_stream_end(st, PROTO_RPC_OK, "", NULL);
}

static void pump(struct srv_stream *st)
{
    send_answers(st);
    while (st->held_len && !st->over && !is_busy(st))
        take_held(st);
    check_end(st);
}

/* ---- events ---- */

static void refuse_http(struct srv_stream *st, int status)
{
    const struct proto_h2_field allow = {"allow", "POST"};
    st->over = st->responded = 1;
    proto_h2_respond(st->h2, status, &allow, status == 405, 1);
}

static void read_timeout(struct srv_stream *st, const char *value)
{
    uint64_t us = 0;
    if (value && proto_grpc_timeout(value, strlen(value), &us) < 0)
        srv_stream_refuse(st, 400, "grpc-timeout is not valid");
    else if (value)
        st->deadline_ns =
            us < (SRV_NEVER - st->opened_ns) / 1000 ? st->opened_ns + us * 1000 : SRV_NEVER - 1;
}

/* Of a stream of many messages; each of these is checked, and charged, again. */
static void check_key(struct srv_stream *st)
{
    const struct srv_credentials given = {proto_h2_header(st->h2, "authorization"),
                                          proto_h2_header(st->h2, "x-api-key")};
    struct srv_verdict v = srv_auth(st->home->transport->api->keys, st->rpc->scopes, &given, 0, 0);
    if (v.status)
        srv_stream_refuse(st, v.status, v.sentence);
}

static void open_rpc(struct srv_stream *st)
{
    const char *path = proto_h2_header(st->h2, ":path");
    const char *coding = proto_h2_header(st->h2, "grpc-encoding");
    char sentence[PROTO_RPC_NAME_MAX + 64];
    st->rpc = path ? srv_route_find_rpc(st->home->transport->api->routes, path) : NULL;
    if (!srv_stream_takes_many(st) && !add_call(st)) {
        proto_h2_reset(st->h2, PROTO_H2_REFUSED_STREAM);
        st->over = 1;
        return;
    }
    snprintf(sentence, sizeof(sentence), "there is no method %.*s", PROTO_RPC_NAME_MAX,
             path ? path : "");
    if (!st->rpc)
        srv_stream_refuse(st, 501, sentence);
    else if (proto_coding_parse(coding, &st->coding) < 0)
        srv_stream_refuse(st, 501, "the grpc-encoding is not supported");
    else
        read_timeout(st, proto_h2_header(st->h2, "grpc-timeout"));
    if (srv_stream_takes_many(st))
        check_key(st);
    if (st->calls && st->calls->call.req)
        set_deadline(st, &st->calls->call);
    send_answers(st); /* out of memory for the call is an answer already */
}

int srv_stream_is_grpc(const struct proto_h2_stream *h2)
{
    static const char name[] = "application/grpc";
    const char *type = proto_h2_header(h2, "content-type");
    size_t n = sizeof(name) - 1;
    return type && strncasecmp(type, name, n) == 0 &&
           (type[n] == 0 || type[n] == ';' || type[n] == ' ' ||
            strncasecmp(type + n, "+proto", 6) == 0);
}

static void on_open(void *arg, struct proto_h2_stream *h2)
{
    struct srv_stream_home *home = arg;
    const struct srv_payer p = {&home->transport->api->sched->budget, home->account, NULL};
    int rc = srv_charge(&p, SRV_USE_STREAM, STREAM_BYTES);
    struct srv_stream *st = rc == 0 ? calloc(1, sizeof(*st)) : NULL;
    if (rc == 0 && !st)
        srv_discharge(&p, SRV_USE_STREAM, STREAM_BYTES);
    h2->user = st;
    if (!st) {
        proto_h2_reset(h2, PROTO_H2_REFUSED_STREAM);
        return;
    }
    st->events = &srv_stream_events;
    st->home = home;
    st->charged = STREAM_BYTES;
    st->h2 = h2;
    st->opened_ns = srv_now_ns();
    st->deadline_ns = SRV_NEVER;
    st->tail = &st->calls;
    st->health = -1;
    st->next = home->streams;
    if (st->next)
        st->next->prev = st;
    home->streams = st;
    proto_grpc_init(&st->framing, (size_t)home->transport->env->cfg->max_body, &home->room);
    const char *method = proto_h2_header(h2, ":method");
    if (h2->headers_too_large)
        refuse_http(st, 431);
    else if (!method || strcmp(method, "POST") != 0)
        refuse_http(st, 405);
    else if (!srv_stream_is_grpc(h2))
        refuse_http(st, 415);
    else
        open_rpc(st);
}

static void on_data(void *arg, struct proto_h2_stream *h2, const void *data, size_t len)
{
    struct srv_stream *st = h2->user;
    (void)arg;
    if (!st || st->over)
        return;
    if (st->held_len) {
        hold(st, data, len);
        return;
    }
    size_t n = take_bytes(st, data, len);
    proto_h2_consume(h2, n);
    hold(st, (const char *)data + n, len - n);
}

static void on_end(void *arg, struct proto_h2_stream *h2)
{
    struct srv_stream *st = h2->user;
    (void)arg;
    if (!st)
        return;
    st->ended = 1;
    pump(st);
}

static void on_drained(void *arg, struct proto_h2_stream *h2)
{
    struct srv_stream *st = h2->user;
    (void)arg;
    if (!st)
        return;
    srv_stream_forget_unsent(st);
    pump(st);
}

static void on_closed(void *arg, struct proto_h2_stream *h2, uint32_t error)
{
    struct srv_stream *st = h2->user;
    (void)arg;
    if (!st)
        return;
    while (st->calls) {
        struct srv_reply *r = &st->calls->call.reply;
        if (error)
            r->status = 0; /* nobody got it: logged as gone */
        remove_first_call(st);
    }
    if (st->prev)
        st->prev->next = st->next;
    else
        st->home->streams = st->next;
    if (st->next)
        st->next->prev = st->prev;
    srv_stream_forget_unsent(st);
    srv_stream_change(st->home, st->held_len, 0);
    srv_stream_uncharge(st, st->charged);
    drop_partial(st);
    free(st->held);
    free(st);
}

const struct proto_h2_events srv_stream_events = {on_open, on_data, on_end, on_drained, on_closed};
