/* Only differences of counters that are there anyway: who does not watch costs nothing. */
#include "server/handlers/events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/buffer.h"
#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"

enum { TICK_MS = 1000, FIRST_MS = 200, ROWS = 32 };

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t sum_of(const struct srv_buckets *b)
{
    uint64_t n = 0;
    for (int i = 0; i <= SRV_EDGES_MAX; i++)
        n += b->n[i];
    return n;
}

static void put(struct proto_buf *b, const char *key, double value)
{
    proto_buf_key(b, key);
    proto_buf_float(b, (float)value);
}

/* What has come since the last look, and the look itself becomes the last. */
static double since(uint64_t *last, uint64_t now)
{
    uint64_t before = *last;
    *last = now;
    return now > before ? (double)(now - before) : 0;
}

static void put_rates(struct proto_buf *b, struct srv_api *api)
{
    struct srv_events *e = &api->events;
    const struct srv_counters *c = &api->sched->counters;
    const struct srv_pool_state pool = srv_pool_state(api->sched->pool);
    uint64_t refused = 0;
    double seconds = since(&e->at_ns, srv_now_ns()) / 1e9;
    seconds = seconds > 0.001 ? seconds : 0.001;
    for (int i = 1; i < SRV_REASONS; i++)
        refused += api->metrics.reasons[i];
    double runs = since(&e->batches, sum_of(&c->batch));
    double images = since(&e->batched, (uint64_t)c->batch.sum);
    double busy = since(&e->busy_ns, pool.busy_ns) / 1e9, cpu = since(&e->cpu_ns, cpu_ns()) / 1e9;
    put(b, "answers_per_s", since(&e->answered, sum_of(&c->stage[SRV_TOTAL])) / seconds);
    put(b, "refused_per_s", since(&e->refused, refused) / seconds);
    put(b, "images_per_s", images / seconds);
    put(b, "batch", runs > 0 ? images / runs : 0);
    put(b, "workers", api->sched->pool->n);
    put(b, "busy", busy / seconds / api->sched->pool->n);
    put(b, "cpu", cpu / seconds);
    put(b, "queue", (double)pool.queued);
    put(b, "running", (double)pool.running);
}

static void put_times(struct proto_buf *b, struct srv_api *api)
{
    struct srv_counters *c = &api->sched->counters;
    static const char *const keys[] = {"p50_ms", "p99_ms"};
    static const double ranks[] = {0.5, 0.99};
    srv_counters_turn(c);
    for (int i = 0; i < 2; i++)
        put(b, keys[i],
            (double)srv_histogram_quantile(&c->window[0][SRV_TOTAL], &c->window[1][SRV_TOTAL],
                                           ranks[i]) /
                1e6);
    put(b, "connections", api->sockets[SRV_PORT_HTTP].open + api->sockets[SRV_PORT_GRPC].open);
    put(b, "open", api->calls_open);
    put(b, "uptime_s", (double)(srv_now_ns() - api->metrics.started_ns) / 1e9);
}

static void put_families(struct proto_buf *b, const struct srv_registry *r)
{
    proto_buf_key(b, "families");
    proto_buf_text(b, "[");
    for (int i = 0; i < r->n_families && i < ROWS; i++) {
        const struct srv_family *f = r->families[i];
        proto_buf_next(b);
        proto_buf_text(b, "{");
        proto_buf_key(b, "name");
        proto_buf_quoted(b, f->name);
        proto_buf_key(b, "variant");
        proto_buf_quoted(b, f->variants[f->level]->info->variant);
        put(b, "level", f->level);
        put(b, "variants", f->n);
        proto_buf_text(b, "}");
    }
    proto_buf_text(b, "]");
}

static void put_models(struct proto_buf *b, const struct srv_registry *r)
{
    proto_buf_key(b, "models");
    proto_buf_text(b, "[");
    for (int i = 0; i < r->n && i < ROWS; i++) {
        const struct srv_model *m = r->models[i];
        proto_buf_next(b);
        proto_buf_text(b, "{");
        proto_buf_key(b, "name");
        proto_buf_quoted(b, m->info->name);
        proto_buf_key(b, "version");
        proto_buf_quoted(b, m->info->version);
        put(b, "images", (double)m->stats.images_ok);
        proto_buf_text(b, "}");
    }
    proto_buf_text(b, "]");
}

static char *make_line(struct srv_api *api, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{");
    put_rates(&b, api);
    put_times(&b, api);
    put_families(&b, api->sched->registry);
    put_models(&b, api->sched->registry);
    proto_buf_text(&b, "}\n");
    return proto_buf_take(&b, ret_len);
}

static void tell(struct srv_call *c, const char *line, size_t len)
{
    char *mine = c->reply.len < SRV_WATCH_UNREAD ? malloc(len) : NULL; /* it does not read */
    if (!mine)
        return;
    memcpy(mine, line, len);
    srv_call_append(c, mine, len);
}

static void on_tick(uv_timer_t *t)
{
    struct srv_api *api = t->data;
    struct srv_events *e = &api->events;
    size_t len = 0;
    char *line = make_line(api, &len);
    for (int i = e->n - 1; i >= 0; i--) {
        struct srv_call *c = e->watchers[i];
        int last = ++e->lines[i] >= SRV_WATCH_LINES || api->phase != SRV_SERVING;
        if (!c->reply.status) {
            srv_call_header(c, "Cache-Control", "no-store");
            srv_call_stream(c, 200, "application/x-ndjson");
        }
        if (line)
            tell(c, line, len);
        if (!last)
            continue;
        srv_events_leave(c);
        srv_call_stream_end(c);
    }
    free(line);
    api->sched->answered(api->sched->arg);
}

void srv_events_leave(struct srv_call *c)
{
    struct srv_events *e = &c->api->events;
    int i = 0;
    while (i < e->n && e->watchers[i] != c)
        i++;
    if (i == e->n)
        return;
    e->n--;
    e->watchers[i] = e->watchers[e->n];
    e->lines[i] = e->lines[e->n];
    if (e->n == 0)
        uv_timer_stop(&e->timer);
}

void srv_events_finish(struct srv_call *c)
{
    struct srv_api *api = c->api;
    struct srv_events *e = &api->events;
    long long lines = SRV_WATCH_LINES;
    if (srv_call_query_int(c, "lines", 1, SRV_WATCH_LINES, &lines) < 0)
        return;
    if (e->n == SRV_WATCHERS_MAX || (!e->made && uv_timer_init(&api->env->loop, &e->timer) < 0)) {
        srv_call_busy(c);
        return;
    }
    e->made = 1;
    e->timer.data = api;
    uv_unref((uv_handle_t *)&e->timer);
    if (e->n == 0) {
        size_t len;
        free(make_line(api, &len)); /* from here on it is counted */
        uv_update_time(&api->env->loop);
        uv_timer_start(&e->timer, on_tick, FIRST_MS, TICK_MS);
    }
    e->watchers[e->n] = c;
    e->lines[e->n++] = SRV_WATCH_LINES - (int)lines;
}
