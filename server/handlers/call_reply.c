/* What handlers do with a call: look at its query, and reply. */
#include "server/handlers/call.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/query.h"
#include "protocol/reply.h"
#include "server/base/clock.h"
#include "server/handlers/api.h"

int srv_call_is_late(const struct srv_call *c, uint64_t grace_ns)
{
    uint64_t now = srv_now_ns();
    return c->req && c->req->deadline_ns < now && now - c->req->deadline_ns > grace_ns;
}

/* Who looks after the server must hear of it just when there is no room: the port admin_http has
 * few connections, and what is small could not fill anything. */
static int charge_answer(const struct srv_call *c, size_t len)
{
    enum { SMALL = 4096 };
    if (len > SMALL && c->port != SRV_PORT_ADMIN)
        return srv_charge(&c->payer, SRV_USE_ANSWER, len);
    srv_charge_anyway(&c->payer, SRV_USE_ANSWER, len);
    return 0;
}

void srv_call_reply(struct srv_call *c, int status, const char *type, char *body_take, size_t len)
{
    static const char out_of_memory[] = "{\"error\":\"out of memory\"}";
    struct srv_reply *r = &c->reply;
    if (r->status) {
        free(body_take);
        return;
    }
    if (status < 400 && srv_call_is_late(c, 0)) {
        free(body_take);
        srv_call_late(c);
        return;
    }
    if (body_take && status < 400 && charge_answer(c, len) < 0) {
        free(body_take);
        srv_call_no_room(c);
        return;
    }
    if (status < 400)
        c->charged += body_take ? len : 0;
    r->status = status;
    r->type = type;
    r->body = body_take;
    r->len = len;
    if (!body_take) {
        const char *text = c->plain ? "out of memory" : out_of_memory;
        r->status = 503;
        r->type = c->plain ? "text/plain" : "application/json";
        r->body = strdup(text); /* NULL again: an empty body */
        r->len = r->body ? strlen(text) : 0;
    }
    if (c->pending) {
        c->pending = 0;
        c->ops->answered(c);
    }
}

void srv_call_stream(struct srv_call *c, int status, const char *type)
{
    struct srv_reply *r = &c->reply;
    assert(!r->status && c->pending);
    r->status = status;
    r->type = type;
    r->grows = 1;
    c->pending = 0;
    c->ops->answered(c);
}

void srv_call_append(struct srv_call *c, char *data_take, size_t len)
{
    struct srv_reply *r = &c->reply;
    char *all = data_take;
    if (r->body && data_take) {
        all = realloc(r->body, r->len + len);
        if (all) {
            r->body = all;
            memcpy(all + r->len, data_take, len);
        }
        free(data_take);
    } else if (data_take) {
        r->body = data_take;
        r->len = 0;
    }
    if (!all)
        return;
    srv_charge_anyway(&c->payer, SRV_USE_ANSWER, len); /* there are as many pieces as jobs */
    c->charged += len;
    r->len += len;
    c->ops->grew(c);
}

void srv_call_stream_end(struct srv_call *c)
{
    c->reply.whole = 1;
    c->ops->grew(c);
}

void srv_call_error(struct srv_call *c, int status, const char *fmt, ...)
{
    char sentence[SRV_ERROR_MAX];
    va_list ap;
    if (status == 503 && c->req && c->req->arena.refused && !c->reply.status &&
        c->api->phase < SRV_CLOSING) {
        srv_call_no_room(c); /* it was not memory that was missing */
        return;
    }
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);
    if (!c->reply.status)
        memcpy(c->error, sentence, strlen(sentence) + 1);
    size_t len = strlen(sentence);
    char *body = c->plain ? strdup(sentence) : proto_reply_error(sentence, &len);
    srv_call_reply(c, status, c->plain ? "text/plain" : "application/json", body, len);
}

void srv_call_header(struct srv_call *c, const char *name, const char *fmt, ...)
{
    struct srv_reply *r = &c->reply;
    assert(r->n_headers < SRV_REPLY_HEADERS);
    struct srv_header *h = &r->headers[r->n_headers++];
    va_list ap;
    h->name = name;
    va_start(ap, fmt);
    vsnprintf(h->value, sizeof(h->value), fmt, ap);
    va_end(ap);
}

void srv_call_late(struct srv_call *c)
{
    srv_call_error(c, 504, "the answer would come after its deadline");
}

void srv_call_no_room(struct srv_call *c)
{
    if (c->req)
        c->req->refusal = SRV_REFUSAL_MEMORY;
    srv_call_header(c, "Retry-After", "1");
    srv_call_error(c, 429, "the requests in flight use all the memory that they may");
}

void srv_call_busy(struct srv_call *c)
{
    c->reason = c->reply.status ? c->reason : SRV_REASON_work;
    srv_call_header(c, "Retry-After", "1");
    srv_call_error(c, 429, "too many requests wait");
}

int srv_call_query(struct srv_call *c, const char *name, char *buf, size_t len)
{
    const char *p = strchr(c->target, '?');
    size_t name_len = strlen(name);
    while (p) {
        p++;
        size_t n = strcspn(p, "&");
        if (n >= name_len && memcmp(p, name, name_len) == 0 &&
            (n == name_len || p[name_len] == '=')) {
            const char *value = p + name_len + (n > name_len);
            if (proto_percent_decode(value, (size_t)(p + n - value), buf, len) >= 0)
                return 1;
            srv_call_error(c, 400, "the value of %s in the query is not valid", name);
            return -1;
        }
        p = strchr(p, '&');
    }
    return 0;
}

int srv_call_query_int(struct srv_call *c, const char *name, long long min, long long max,
                       long long *ret)
{
    char text[32];
    int there = srv_call_query(c, name, text, sizeof(text));
    if (there <= 0)
        return there;
    if (proto_parse_int(text, min, max, ret) == 0)
        return 1;
    if (max == LLONG_MAX)
        srv_call_error(c, 400, "%s must be a whole number, at least %lld", name, min);
    else
        srv_call_error(c, 400, "%s must be a whole number from %lld to %lld", name, min, max);
    return -1;
}
