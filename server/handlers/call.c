/* The part of an exchange that every route and every transport share. */
#include "server/handlers/call.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/call_note.h"
#include "server/handlers/client.h"
#include "server/handlers/cors.h"
#include "server/handlers/parameters.h"

/* ---- its name ---- */

static char *put_hex(char *to, uint64_t value)
{
    int shift = 60;
    while (shift > 0 && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[value >> shift & 15];
    return to;
}

/* Its own id if it is one that a log and a header can carry, else one of ours. */
static void choose_id(struct srv_call *c)
{
    const char *given = c->ops->header(c, "X-Request-Id");
    size_t len = given ? strlen(given) : 0;
    int good = len > 0 && len <= SRV_ID_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = given[i] > ' ' && given[i] < 0x7f;
    c->api->calls++;
    if (good) {
        memcpy(c->id, given, len + 1);
        return;
    }
    char *end = put_hex(c->id, c->api->metrics.started_ns); /* printf would be felt */
    *end++ = '-';
    *put_hex(end, c->api->calls) = 0;
}

static int is_hex(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && ((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
        i++;
    return i == n;
}

/* VERSION-TRACE-PARENT-FLAGS of W3C Trace Context 1
 * (https://www.w3.org/TR/trace-context-1/, 3.2.2): lower case, ids that are not zero, and of a
 * later version whatever stands behind a "-". */
static void take_trace(struct srv_call *c)
{
    enum { TRACE = 3, PARENT = 36, FLAGS = 53, END = 55 };
    static const char zero[] = "00000000000000000000000000000000";
    const char *t = c->ops->header(c, "traceparent");
    if (!t || strlen(t) < END || !is_hex(t, 2) || memcmp(t, "ff", 2) == 0 ||
        (t[END] && (memcmp(t, "00", 2) == 0 || t[END] != '-')))
        return;
    if (t[2] != '-' || t[PARENT - 1] != '-' || t[FLAGS - 1] != '-' || !is_hex(t + TRACE, 32) ||
        !is_hex(t + PARENT, 16) || !is_hex(t + FLAGS, 2) || memcmp(t + TRACE, zero, 32) == 0 ||
        memcmp(t + PARENT, zero, 16) == 0)
        return;
    memcpy(c->trace, t + TRACE, SRV_TRACE_MAX - 1);
    c->trace[SRV_TRACE_MAX - 1] = 0;
    /* Our own span: unlike any other of this process, and not zero. */
    uint64_t span = (c->api->metrics.started_ns ^ (c->api->calls * 0x9e3779b97f4a7c15u)) | 1;
    srv_call_header(c, "traceresponse", "00-%s-%016llx-%.2s", c->trace, (unsigned long long)span,
                    t + FLAGS);
}

/* ---- the exchange ---- */

/* Who needs a key, and may have none, is not told what is served. */
static void nothing_there(struct srv_call *c)
{
    char names[240] = "";
    if (!c->api->keys)
        srv_registry_names(c->api->sched->registry, names, sizeof(names));
    srv_call_error(c, 404, "there is nothing at this path (GET / lists all)%s%s",
                   names[0] ? "; the models are " : "", names);
}

static void find_route(struct srv_call *c)
{
    int rc;
    size_t len = strcspn(c->target, "?");
    c->route = srv_route_find(c->api->routes, c->target, len, c->params, &rc);
    if (!c->route || rc < 0) {
        if (rc < 0)
            srv_call_error(c, 400, "the path is not valid percent-encoded UTF-8");
        else
            nothing_there(c);
        return;
    }
    if (c->route->methods & srv_method_parse(c->method))
        return;
    if (srv_cors_preflight(c))
        return;
    char allow[64];
    srv_methods_text(c->route->methods, allow, sizeof(allow));
    srv_call_header(c, "Allow", "%s", allow);
    srv_call_error(c, 405, "this path takes %s", allow);
}

/* Its key, before a byte of its body. */
void srv_call_key(struct srv_call *c, unsigned scopes)
{
    if (!c->api->keys)
        return;
    const struct srv_credentials given = {
        .authorization = c->ops->header(c, "Authorization"),
        .api_key = c->ops->header(c, "X-API-Key"),
    };
    struct srv_verdict v = srv_auth(c->api->keys, scopes, &given, 1, srv_now_ns());
    if (v.by) {
        c->scopes = v.by->scopes;
        c->most_urgent = v.by->most_urgent;
        c->longest_ns = v.by->longest_ns;
        snprintf(c->key, sizeof(c->key), "%s", v.by->name);
        c->payer.key = srv_account_of_key(c->payer.budget, c->key);
    }
    if (!v.status)
        return;
    if (v.challenge)
        srv_call_header(c, "WWW-Authenticate", "%s", v.challenge);
    if (v.retry_after_s)
        srv_call_header(c, "Retry-After", "%d", v.retry_after_s);
    srv_call_error(c, v.status, "%s", v.sentence);
}

static size_t largest_body(const struct srv_call *c)
{
    size_t most = srv_budget_most(&c->api->sched->budget);
    size_t max_body = (size_t)c->api->env->cfg->max_body;
    return max_body < most ? max_body : most;
}

static void refuse_body(struct srv_call *c, int rc)
{
    if (rc == -EFBIG)
        srv_call_error(c, 413, "the body is larger than %zu bytes", largest_body(c));
    else if (rc == -EDQUOT)
        srv_call_no_room(c);
    else
        srv_call_error(c, 503, "out of memory for the body");
}

/* Whose turns its pictures take in the queue, and how far up they may go. */
static void set_client(const struct srv_call *c)
{
    char name[SRV_CLIENT_NAME_MAX];
    size_t len = srv_client_name(name, c->key, c->client ? c->client : "");
    srv_req_set_client(c->req, name, len);
    c->req->most_urgent = c->most_urgent;
    c->req->longest_ns = c->longest_ns;
}

static void late(struct srv_req *r, void *arg)
{
    struct srv_call *c = arg;
    (void)r;
    c->pending = 1; /* so that whatever replies wakes the transport */
    srv_call_late(c);
}

static void open_body(struct srv_call *c, int64_t declared)
{
    const char *given = c->ops->header(c, "Content-Encoding");
    enum proto_coding coding = PROTO_IDENTITY;
    if (given && given[0] && proto_coding_parse(given, &coding) < 0) {
        srv_call_header(c, "Accept-Encoding", "gzip, deflate");
        srv_call_error(c, 415, "the Content-Encoding of the body is neither gzip nor deflate");
        return;
    }
    int rc = srv_req_create(&c->req, c->api->sched, NULL, NULL);
    if (rc == 0) {
        set_client(c);
        if (!c->payer.connection)
            c->payer.connection = srv_account_create(c->payer.budget);
        srv_req_set_payer(c->req, c->payer.connection, c->payer.key);
        c->req->late = late;
        c->req->late_arg = c;
        c->req->coding = coding;
        rc = declared > 0 ? srv_req_expect(c->req, (size_t)declared) : 0;
    }
    if (rc < 0)
        refuse_body(c, rc);
}

void srv_call_init(struct srv_call *c, struct srv_api *api, const struct srv_call_ops *ops)
{
    memset(c, 0, offsetof(struct srv_call, id));
    memset(&c->reply, 0, offsetof(struct srv_reply, headers));
    c->id[0] = c->trace[0] = c->error[0] = 0;
    for (int i = 0; i < SRV_PARAMS; i++)
        c->params[i][0] = 0;
    c->api = api;
    c->ops = ops;
    c->client_fd = -1;
    c->payer.budget = &api->sched->budget;
}

void srv_call_start(struct srv_call *c)
{
    c->api->calls_open++;
    choose_id(c);
    take_trace(c);
    srv_cors_open(c);
}

/* Nobody would wait for what it starts. */
static void refuse_when_closing(struct srv_call *c)
{
    if (c->api->phase != SRV_CLOSING)
        return;
    c->reason = c->reply.status ? c->reason : SRV_REASON_stopping;
    srv_call_error(c, 503, "the server is stopping");
}

/* The second address is for those who run the server, and the reserve for those who watch it. */
static void check_place(struct srv_call *c)
{
    int infers = c->route->begin && !(c->route->scopes & SRV_SCOPE_ADMIN);
    if (c->port == SRV_PORT_ADMIN && infers) {
        srv_call_error(c, 404, "there is no inference at this address (admin_http)");
    } else if (c->crowded && !(c->route->scopes & SRV_SCOPE_OPEN)) {
        srv_call_header(c, "Retry-After", "1");
        srv_call_error(c, 503, "all connections are taken and at work");
    }
}

void srv_call_open(struct srv_call *c, int64_t declared)
{
    c->declared = declared;
    refuse_when_closing(c);
    if (!c->route && !c->reply.status)
        find_route(c);
    if (!c->reply.status)
        check_place(c);
    if (!c->reply.status)
        srv_call_key(c, c->route->scopes);
    if (!c->reply.status)
        srv_parameters_check(c);
    if (!c->reply.status && c->route->body)
        open_body(c, declared);
    if (!c->reply.status && c->route->begin)
        c->route->begin(c);
}

int srv_call_body(struct srv_call *c, const void *data, size_t len)
{
    if (c->reply.status)
        return -1;
    if (srv_call_is_late(c, 0)) {
        srv_call_error(c, 504, "the deadline passed before the whole body was here");
        return -1;
    }
    int rc = c->req ? srv_req_append(c->req, data, len) : 0; /* a GET's body is of no interest */
    if (rc < 0) {
        refuse_body(c, rc);
        srv_req_drop_body(c->req); /* the client may take its time to read that */
    }
    return rc < 0 ? -1 : 0;
}

static void inflate(struct srv_req *r, void *arg)
{
    (void)arg; /* the call may be gone */
    r->inflate_rc = srv_req_inflate(r, r->body_max);
}

static void inflated(struct srv_req *r, void *arg)
{
    struct srv_call *c = arg;
    c->pending = 1; /* so that whatever replies wakes the transport */
    if (r->inflate_rc == -EMSGSIZE)
        refuse_body(c, -EFBIG);
    else if (r->inflate_rc == -EINVAL)
        srv_call_error(c, 400, "the body is not what its Content-Encoding says");
    else if (r->inflate_rc < 0)
        refuse_body(c, r->inflate_rc);
    else
        c->route->finish(c);
}

void srv_call_finish(struct srv_call *c)
{
    c->pending = 0;
    refuse_when_closing(c);
    if (c->reply.status)
        return;
    if (c->req && c->req->coding != PROTO_IDENTITY) {
        if (srv_req_offload(c->req, inflate, inflated, c) < 0)
            srv_call_busy(c);
    } else {
        c->route->finish(c);
    }
    c->pending = !c->reply.status;
}

void srv_call_close(struct srv_call *c)
{
    uint64_t total = srv_now_ns() - c->started_ns;
    c->api->calls_open--;
    srv_metrics_call(c, total);
    srv_call_note(c, total);
    if (c->api->events.n > 0)
        srv_events_leave(c);
    if (c->req)
        srv_req_cancel(c->req); /* frees it at once if nothing of it is out */
    srv_discharge(&c->payer, SRV_USE_ANSWER, c->charged);
    srv_account_unref(c->payer.connection);
    srv_account_unref(c->payer.key);
    free(c->reply.body);
}
