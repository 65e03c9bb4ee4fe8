/* What is neither slow nor failed costs two comparisons. */
#include "server/handlers/recent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/buffer.h"

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static const char *copy(char *to, size_t len, const char *from)
{
    if (!from)
        return NULL;
    snprintf(to, len, "%s", from);
    return to;
}

static void keep(struct srv_recent_one *o, const struct srv_log_request *l, uint64_t now)
{
    o->at_ms = now;
    o->line = *l;
    o->line.id = copy(o->id, sizeof(o->id), l->id);
    o->line.client = copy(o->client, sizeof(o->client), l->client);
    o->line.key = copy(o->key, sizeof(o->key), l->key);
    o->line.method = copy(o->method, sizeof(o->method), l->method);
    o->line.path = copy(o->path, sizeof(o->path), l->path);
    o->line.error = copy(o->error, sizeof(o->error), l->error);
    o->line.model = copy(o->model, sizeof(o->model), l->model);
    o->line.variant = copy(o->variant, sizeof(o->variant), l->variant);
    o->line.trace = copy(o->trace, sizeof(o->trace), l->trace);
}

/* Minutes that have passed make room. */
static struct srv_recent_one *this_minute(struct srv_recent *r, uint64_t now)
{
    uint64_t minute = now / 60000, passed = minute - r->minute;
    for (uint64_t i = 0; i < passed && i < SRV_RECENT_MINUTES; i++)
        memset(r->slowest[(minute - i) % SRV_RECENT_MINUTES], 0, sizeof(r->slowest[0]));
    r->minute = minute;
    return r->slowest[minute % SRV_RECENT_MINUTES];
}

static void add_slow(struct srv_recent *r, const struct srv_log_request *l, uint64_t now)
{
    struct srv_recent_one *all = this_minute(r, now), *least = &all[0];
    for (int i = 1; i < SRV_RECENT_SLOWEST; i++)
        if (all[i].line.total_ns < least->line.total_ns)
            least = &all[i];
    if (l->total_ns > least->line.total_ns)
        keep(least, l, now);
}

void srv_recent_add(struct srv_recent *r, const struct srv_log_request *l, enum srv_reason why)
{
    if (why)
        keep(&r->failed[why][r->failures[why]++ % SRV_RECENT_FAILED], l, wall_ms());
    else if (l->model) /* what infers nothing may wait for its client for ever: a watch, a list */
        add_slow(r, l, wall_ms());
}

/* ---- as JSON ---- */

static void put_string(struct proto_buf *b, const char *key, const char *value)
{
    if (!value)
        return;
    proto_buf_key(b, key);
    proto_buf_quoted(b, value);
}

static void put_ms(struct proto_buf *b, const char *key, uint64_t ns)
{
    proto_buf_key(b, key);
    proto_buf_float(b, (float)((double)(ns / 1000) / 1e3));
}

static void put_stages(struct proto_buf *b, const struct srv_log_request *l)
{
    put_string(b, "model", l->model);
    put_string(b, "variant", l->variant);
    proto_buf_key(b, "images");
    proto_buf_int(b, l->images);
    proto_buf_key(b, "batch");
    proto_buf_int(b, l->batch);
    proto_buf_key(b, "timing_ms");
    proto_buf_text(b, "{");
    put_ms(b, "queue", l->queue_ns);
    put_ms(b, "decode", l->decode_ns);
    put_ms(b, "preprocess", l->preprocess_ns);
    put_ms(b, "inference", l->inference_ns);
    proto_buf_text(b, "}");
}

static void put_one(struct proto_buf *b, const struct srv_recent_one *o)
{
    char stamp[32];
    time_t t = (time_t)(o->at_ms / 1000);
    struct tm tm;
    size_t n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
    snprintf(stamp + n, sizeof(stamp) - n, ".%03uZ", (unsigned)(o->at_ms % 1000));
    proto_buf_next(b);
    proto_buf_text(b, "{");
    put_string(b, "time", stamp);
    put_string(b, "id", o->line.id);
    put_string(b, "trace", o->line.trace);
    put_string(b, "client", o->line.client && o->line.client[0] ? o->line.client : NULL);
    put_string(b, "key", o->line.key);
    put_string(b, "method", o->line.method);
    put_string(b, "path", o->line.path);
    proto_buf_key(b, "status");
    proto_buf_int(b, o->line.status);
    put_string(b, "reason", o->line.reason);
    put_string(b, "error", o->line.error);
    if (o->line.model)
        put_stages(b, &o->line);
    put_ms(b, "total_ms", o->line.total_ns);
    proto_buf_text(b, "}");
}

static int slower(const void *a, const void *b)
{
    const struct srv_recent_one *x = *(const struct srv_recent_one *const *)a,
                                *y = *(const struct srv_recent_one *const *)b;
    return (x->line.total_ns < y->line.total_ns) - (x->line.total_ns > y->line.total_ns);
}

static int later(const void *a, const void *b)
{
    const struct srv_recent_one *x = *(const struct srv_recent_one *const *)a,
                                *y = *(const struct srv_recent_one *const *)b;
    return (x->at_ms < y->at_ms) - (x->at_ms > y->at_ms);
}

static void put_list(struct proto_buf *b, const struct srv_recent_one *all, int n,
                     int (*order)(const void *a, const void *b))
{
    enum { MOST = SRV_REASONS * SRV_RECENT_FAILED + SRV_RECENT_MINUTES * SRV_RECENT_SLOWEST };
    const struct srv_recent_one *sorted[MOST];
    size_t there = 0;
    for (int i = 0; i < n; i++)
        if (all[i].at_ms)
            sorted[there++] = &all[i];
    qsort(sorted, there, sizeof(sorted[0]), order);
    proto_buf_text(b, "[");
    for (size_t i = 0; i < there; i++)
        put_one(b, sorted[i]);
    proto_buf_text(b, "]");
}

char *srv_recent_json(struct srv_recent *r, size_t *ret_len)
{
    struct proto_buf b = {0};
    this_minute(r, wall_ms());
    proto_buf_text(&b, "{");
    proto_buf_key(&b, "slowest");
    put_list(&b, r->slowest[0], SRV_RECENT_MINUTES * SRV_RECENT_SLOWEST, slower);
    proto_buf_key(&b, "failed");
    put_list(&b, r->failed[0], SRV_REASONS * SRV_RECENT_FAILED, later);
    proto_buf_text(&b, "}");
    return proto_buf_take(&b, ret_len);
}
