/* Counts on the loop thread, so nothing here is atomic. */
#include "server/handlers/metrics.h"

#include "protocol/utf8.h"
#include "server/base/backlog.h"
#include "server/base/clock.h"
#include "server/repository/registry.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/request.h"
#include "server/handlers/route.h"
#include "server/handlers/api.h"

#include <malloc.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last stands for all others. */
static const int codes[SRV_CODES] = {200, 304, 400, 401, 403, 404, 405, 408, 409, 413,
                                     415, 422, 429, 499, 500, 501, 503, 504, 505, 0};

static int code_index(int status)
{
    int i = 0;
    while (i < SRV_CODES - 1 && codes[i] != status)
        i++;
    return i;
}

void srv_metrics_request(struct srv_api *api, const struct srv_route *r, int status,
                         uint64_t total_ns)
{
    struct srv_metrics *m = &api->metrics;
    m->requests[r ? r - api->routes : SRV_ROWS - 1][code_index(status)]++;
    if (r && r->body == 1 && status == 200)
        srv_count_stage(&api->sched->counters, SRV_TOTAL, total_ns);
}

/* ---- Prometheus text ---- */

static const char *const stage_names[SRV_STAGES] = {"queue", "decode", "preprocess", "inference",
                                                    "total"};

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP mobilenetd_%s %s\n# TYPE mobilenetd_%s %s\n", name, help, name, type);
}

static void one(FILE *f, const char *name, const char *type, const char *help, double value)
{
    head(f, name, type, help);
    fprintf(f, "mobilenetd_%s %.15g\n", name, value);
}

/* What clients of the repository wrote (names of folders, members of manifests) must not end the
 * value or the line, and must be UTF-8: one bad byte and the scraper takes nothing at all. */
static void put_value(FILE *f, const char *s)
{
    size_t n = 0;
    for (size_t left = strlen(s); left > 0; s += n, left -= n) {
        int valid = proto_utf8_char(s, left);
        n = valid > 0 ? (size_t)valid : 1;
        if (!valid)
            fputs("\xef\xbf\xbd", f);
        else if (*s == '\n')
            fputs("\\n", f);
        else
            fprintf(f, "%s%.*s", *s == '"' || *s == '\\' ? "\\" : "", (int)n, s);
    }
}

/* `mobilenetd_NAME{KEY="VALUE",…} `, from pairs with a NULL behind the last; the sample follows. */
static void labelled(FILE *f, const char *name, ...) __attribute__((sentinel));
static void labelled(FILE *f, const char *name, ...)
{
    const char *key, *before = "{";
    va_list ap;
    fprintf(f, "mobilenetd_%s", name);
    va_start(ap, name);
    while ((key = va_arg(ap, const char *))) {
        fprintf(f, "%s%s=\"", before, key);
        put_value(f, va_arg(ap, const char *));
        putc('"', f);
        before = ",";
    }
    va_end(ap);
    fputs("} ", f);
}

static void count(FILE *f, uint64_t value)
{
    fprintf(f, "%llu\n", (unsigned long long)value);
}

static void put_requests(FILE *f, const struct srv_api *api)
{
    head(f, "requests_total", "counter",
         "Answered requests by route or procedure and status, in HTTP's numbers.");
    for (int r = 0; r < SRV_ROWS; r++) {
        const char *route = r < SRV_ROWS - 1 ? api->routes[r].pattern : "none";
        for (int c = 0; c < SRV_CODES; c++)
            if (api->metrics.requests[r][c] > 0)
                fprintf(f, "mobilenetd_requests_total{route=\"%s\",code=\"%d\"} %llu\n", route,
                        codes[c], (unsigned long long)api->metrics.requests[r][c]);
    }
}

static void put_stages(FILE *f, const struct srv_counters *m)
{
    static const double edges_ms[] = {0.1, 0.25, 0.5, 1,   2.5,  5,    10,   25,
                                      50,  100,  250, 500, 1000, 2500, 5000, 10000};
    head(f, "stage_seconds", "histogram",
         "Time of images by stage, and of whole requests (total).");
    for (int s = 0; s < SRV_STAGES; s++) {
        const struct srv_histogram *h = &m->stage[s];
        const char *name = stage_names[s];
        for (size_t i = 0; i < sizeof(edges_ms) / sizeof(edges_ms[0]); i++)
            fprintf(f, "mobilenetd_stage_seconds_bucket{stage=\"%s\",le=\"%g\"} %llu\n", name,
                    edges_ms[i] / 1e3,
                    (unsigned long long)srv_histogram_at_most(h, (uint64_t)(edges_ms[i] * 1e6)));
        fprintf(f, "mobilenetd_stage_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %llu\n", name,
                (unsigned long long)h->count);
        fprintf(f, "mobilenetd_stage_seconds_sum{stage=\"%s\"} %.9f\n", name,
                (double)h->sum_ns / 1e9);
        fprintf(f, "mobilenetd_stage_seconds_count{stage=\"%s\"} %llu\n", name,
                (unsigned long long)h->count);
    }
    head(f, "stage_quantile_seconds", "gauge",
         "Percentiles of the last 30 to 60 seconds by stage.");
    static const double quantiles[] = {0.5, 0.9, 0.99};
    for (int s = 0; s < SRV_STAGES; s++)
        for (int i = 0; i < 3; i++)
            fprintf(
                f, "mobilenetd_stage_quantile_seconds{stage=\"%s\",quantile=\"%g\"} %.9f\n",
                stage_names[s], quantiles[i],
                (double)srv_histogram_quantile2(&m->window[0][s], &m->window[1][s], quantiles[i]) /
                    1e9);
}

static void put_batches(FILE *f, const struct srv_counters *m)
{
    uint64_t sum = 0;
    head(f, "batch_size", "histogram", "Images that ran together.");
    for (int b = 0; b < SRV_BATCH_BUCKETS; b++) {
        sum += m->batches[b];
        fprintf(f, "mobilenetd_batch_size_bucket{le=\"%d\"} %llu\n", 1 << b,
                (unsigned long long)sum);
    }
    fprintf(f, "mobilenetd_batch_size_bucket{le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    fprintf(f, "mobilenetd_batch_size_sum %llu\n", (unsigned long long)m->batch_images);
    fprintf(f, "mobilenetd_batch_size_count %llu\n", (unsigned long long)sum);
}

static void put_images(FILE *f, const struct srv_registry *r)
{
    head(f, "images_total", "counter", "Images by model and outcome.");
    for (int i = 0; i < r->n; i++) {
        const struct srv_model_stats *s = &r->models[i]->stats;
        const struct {
            const char *outcome;
            uint64_t n;
        } rows[] = {{"ok", s->images_ok},
                    {"failed", s->images_failed},
                    {"expired", s->expired},
                    {"late", s->late},
                    {"gone", s->gone},
                    {"refused_queue", s->refused},
                    {"refused_deadline", s->hopeless}};
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            labelled(f, "images_total", "model", r->models[i]->info->name, "version",
                     r->models[i]->info->version, "outcome", rows[k].outcome, NULL);
            count(f, rows[k].n);
        }
    }
}

static void of_model(FILE *f, const char *name, const struct srv_model *m, double value)
{
    labelled(f, name, "model", m->info->name, "version", m->info->version, NULL);
    fprintf(f, "%.15g\n", value);
}

/* Versions beside the standard one that have a name. */
static void put_labels(FILE *f, const struct srv_registry *r)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } rows[] = {
        {"label_requests_total", "Requests that a label got, by its share or its name.",
         offsetof(struct srv_label, requests)},
        {"label_compared_total", "Images that the standard version was asked for, too, by label.",
         offsetof(struct srv_label, compared)},
        {"label_disagreed_total", "Of those, images with another best class.",
         offsetof(struct srv_label, disagreed)},
        {"label_uncompared_total", "Images that there was no time to compare.",
         offsetof(struct srv_label, uncompared)},
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(f, rows[k].name, "counter", rows[k].help);
        for (int i = 0; i < r->n_services; i++)
            for (int n = 0; n < r->services[i].n_labels; n++) {
                const struct srv_label *l = &r->services[i].labels[n];
                uint64_t value;
                memcpy(&value, (const char *)l + rows[k].at, sizeof(value));
                labelled(f, rows[k].name, "model", r->services[i].name, "label", l->name, "version",
                         l->model->info->version, NULL);
                count(f, value);
            }
    }
}

static void put_models(FILE *f, struct srv_api *api)
{
    const struct srv_registry *r = api->sched->registry;
    put_images(f, r);
    head(f, "queue_depth", "gauge", "Images that wait, by model.");
    for (int i = 0; i < r->n; i++)
        of_model(f, "queue_depth", r->models[i],
                 (double)srv_pool_queued(api->sched->pool, r->models[i], NULL));
    head(f, "model_batches_total", "counter", "Runs of the network, by model.");
    for (int i = 0; i < r->n; i++)
        of_model(f, "model_batches_total", r->models[i], (double)r->models[i]->stats.batches);
    head(f, "model_inference_seconds_total", "counter", "Time in the network, by model.");
    for (int i = 0; i < r->n; i++)
        of_model(f, "model_inference_seconds_total", r->models[i],
                 (double)r->models[i]->stats.inference_ns / 1e9);
    head(f, "model_run_seconds", "gauge", "Average run of one image on one core, by model.");
    for (int i = 0; i < r->n; i++)
        of_model(f, "model_run_seconds", r->models[i], r->models[i]->run_ns / 1e9);
    head(f, "model_batch_limit", "gauge",
         "Largest batch that paid when it was measured, by model.");
    for (int i = 0; i < r->n; i++)
        of_model(f, "model_batch_limit", r->models[i], r->models[i]->batch_limit);
    head(f, "model_info", "gauge", "1 for every model that is served.");
    for (int i = 0; i < r->n; i++) {
        const struct eng_model_info *m = r->models[i]->info;
        labelled(f, "model_info", "model", m->name, "version", m->version, "family", m->family,
                 "variant", m->variant, "precision", m->precision, "isa", m->isa, NULL);
        count(f, 1);
    }
}

static const struct srv_control *control_of(const struct srv_family *f)
{
    static const struct srv_control none;
    return f->control ? f->control : &none;
}

static void put_families(FILE *f, const struct srv_registry *r)
{
    static const struct {
        enum srv_ladder_reason reason;
        const char *direction, *name;
    } rows[] = {{SRV_LADDER_QUEUE, "down", "queue"},
                {SRV_LADDER_LATENCY, "down", "latency"},
                {SRV_LADDER_LOAD, "up", "load"},
                {SRV_LADDER_OFF, "up", "off"}};
    head(f, "family_level", "gauge",
         "Place of the variant that runs now, 0 = the best, by family.");
    for (int i = 0; i < r->n_families; i++) {
        const struct srv_family *y = r->families[i];
        labelled(f, "family_level", "family", y->name, "variant",
                 y->variants[y->level]->info->variant, NULL);
        fprintf(f, "%d\n", y->level);
    }
    head(f, "family_switches_total", "counter", "Changes of the variant, by family and reason.");
    for (int i = 0; i < r->n_families; i++)
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            labelled(f, "family_switches_total", "family", r->families[i]->name, "direction",
                     rows[k].direction, "reason", rows[k].name, NULL);
            count(f, control_of(r->families[i])->law.switches[rows[k].reason]);
        }
    head(f, "family_degraded_total", "counter", "Images answered by a lower variant, by family.");
    for (int i = 0; i < r->n_families; i++) {
        labelled(f, "family_degraded_total", "family", r->families[i]->name, NULL);
        count(f, control_of(r->families[i])->degraded);
    }
    head(f, "family_opted_out_total", "counter",
         "Requests refused because they would not be degraded, by family.");
    for (int i = 0; i < r->n_families; i++) {
        labelled(f, "family_opted_out_total", "family", r->families[i]->name, NULL);
        count(f, control_of(r->families[i])->opted_out);
    }
}

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (!f)
        return 0;
    int n = fscanf(f, "%*u %lu", &pages);
    fclose(f);
    return n == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void put_server(FILE *f, struct srv_api *api)
{
    struct srv_pool_state p = srv_pool_state(api->sched->pool);
    one(f, "ready", "gauge", "1 while requests are welcome.", api->phase == SRV_SERVING);
    one(f, "uptime_seconds", "gauge", "Since the start.",
        (double)(srv_now_ns() - api->metrics.started_ns) / 1e9);
    one(f, "connections", "gauge", "Open HTTP connections.", api->sockets.open);
    one(f, "connections_waiting", "gauge", "HTTP connections that wait to be accepted.",
        srv_backlog(api->sockets.fd));
    one(f, "connections_cut_total", "counter",
        "HTTP connections that took too long to send or take.", (double)api->sockets.cut);
    one(f, "requests_open", "gauge", "Requests between their first line and their reply.",
        api->calls_open);
    one(f, "request_bytes", "gauge", "Memory of the requests in flight.",
        (double)api->sched->request_bytes);
    one(f, "memory_refusals_total", "counter",
        "Requests refused because max_inflight_bytes was used up.",
        (double)api->sched->counters.memory_refusals);
    one(f, "workers", "gauge", "Worker threads.", api->sched->pool->n);
    one(f, "workers_idle", "gauge", "Worker threads with nothing to do.", p.idle);
    one(f, "images_waiting", "gauge", "Images in all queues.", (double)p.queued);
    one(f, "images_running", "gauge", "Images on workers.", (double)p.running);
    one(f, "backlog_seconds", "gauge", "Predicted time until what waits and runs is done.",
        (double)srv_cost_time(&api->sched->cost, api->sched->cost.backlog_ns) / 1e9);
    one(f, "drain_rate_cores", "gauge", "Predicted core time done per second of a busy pool.",
        api->sched->cost.rate);
    one(f, "team_helps_total", "counter", "Times that a worker helped the run of another.",
        (double)p.helped);
    one(f, "reloads_total", "counter", "Reloads of configuration and models that took effect.",
        (double)api->orders.reloads);
    one(f, "reload_failures_total", "counter", "Reloads that changed nothing because they failed.",
        (double)api->orders.reload_failures);
    struct srv_cache_stats cache = srv_cache_stats(api->sched->share.cache);
    one(f, "cache_hits_total", "counter", "Images whose answer was in the cache.",
        (double)api->sched->share.hits);
    one(f, "cache_shared_total", "counter", "Images that waited for the answer to an equal one.",
        (double)api->sched->share.shared);
    one(f, "cache_misses_total", "counter", "Images that were computed while the cache was on.",
        (double)api->sched->share.misses);
    one(f, "cache_evictions_total", "counter", "Answers that made room for others.",
        (double)cache.evictions);
    one(f, "cache_entries", "gauge", "Answers in the cache.", (double)cache.entries);
    one(f, "cache_bytes", "gauge", "Memory of the cache.", (double)cache.bytes);
    one(f, "model_loads_total", "counter", "Models that were loaded by a call.",
        (double)api->orders.loads);
    one(f, "model_unloads_total", "counter", "Models that were unloaded by a call.",
        (double)api->orders.unloads);
    one(f, "models_failed", "gauge", "Models of the repository that cannot be served.",
        api->sched->registry->n_failures);
    one(f, "log_lines_dropped_total", "counter", "Log lines that nobody took in time.",
        (double)srv_log_dropped(api->env->log));
    one(f, "resident_bytes", "gauge", "Memory of the process.", resident_bytes());
}

char *srv_metrics_text(struct srv_api *api, size_t *ret_len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, ret_len);
    if (!f)
        return NULL;
    srv_counters_turn(&api->sched->counters);
    put_requests(f, api);
    put_stages(f, &api->sched->counters);
    put_batches(f, &api->sched->counters);
    put_models(f, api);
    put_labels(f, api->sched->registry);
    put_families(f, api->sched->registry);
    put_server(f, api);
    int failed = ferror(f);
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
