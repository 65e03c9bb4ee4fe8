/* Counts on the loop thread, so nothing here is atomic. */
#include "server/handlers/metrics.h"

#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/utf8.h"
#include "server/base/backlog.h"
#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/route.h"
#include "server/repository/registry.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/request.h"

/* The last stands for all others. */
static const int codes[SRV_CODES] = {200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414,
                                     415, 422, 429, 431, 499, 500, 501, 503, 504, 505, 0};

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

enum metric {
#define METRIC(name, ...) M_##name,
#include "server/handlers/metrics.def"
    METRICS
};

static const struct {
    const char *name, *type, *labels, *help;
} metrics[METRICS] = {
#define METRIC(name, type, unit, labels, help) {#name, #type, labels, help},
#include "server/handlers/metrics.def"
};

static const char *const stage_names[SRV_STAGES] = {"queue", "decode", "preprocess", "inference",
                                                    "total"};

static void head(FILE *f, enum metric m)
{
    fprintf(f, "# HELP mobilenetd_%s %s\n# TYPE mobilenetd_%s %s\n", metrics[m].name,
            metrics[m].help, metrics[m].name, metrics[m].type);
}

static void sample(FILE *f, double value)
{
    fprintf(f, "%.15g\n", value);
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

/* `mobilenetd_NAME{KEY="VALUE",…} `, a value for each label of the list; the sample follows. */
static void labelled(FILE *f, enum metric m, const char *const *values)
{
    const char *before = "{";
    fprintf(f, "mobilenetd_%s", metrics[m].name);
    for (const char *key = metrics[m].labels; *key; before = ",") {
        size_t len = strcspn(key, " ");
        fprintf(f, "%s%.*s=\"", before, (int)len, key);
        put_value(f, *values++);
        putc('"', f);
        key += len + (key[len] == ' ');
    }
    fputs("} ", f);
}

#define LABELLED(f, m, ...) labelled(f, m, (const char *const[]){__VA_ARGS__})

static void put_requests(FILE *f, const struct srv_api *api)
{
    head(f, M_requests_total);
    for (int r = 0; r < SRV_ROWS; r++) {
        const char *route = r < SRV_ROWS - 1 ? api->routes[r].pattern : "none";
        for (int c = 0; c < SRV_CODES; c++) {
            char code[16];
            if (api->metrics.requests[r][c] == 0)
                continue;
            snprintf(code, sizeof(code), "%d", codes[c]);
            LABELLED(f, M_requests_total, route, code);
            sample(f, (double)api->metrics.requests[r][c]);
        }
    }
}

static void put_stages(FILE *f, const struct srv_counters *m)
{
    static const double edges_ms[] = {0.1, 0.25, 0.5, 1,   2.5,  5,    10,   25,
                                      50,  100,  250, 500, 1000, 2500, 5000, 10000};
    head(f, M_stage_seconds);
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
    head(f, M_stage_quantile_seconds);
    static const double quantiles[] = {0.5, 0.9, 0.99};
    for (int s = 0; s < SRV_STAGES; s++)
        for (int i = 0; i < 3; i++)
            fprintf(
                f, "mobilenetd_stage_quantile_seconds{stage=\"%s\",quantile=\"%g\"} %.9f\n",
                stage_names[s], quantiles[i],
                (double)srv_histogram_quantile(&m->window[0][s], &m->window[1][s], quantiles[i]) /
                    1e9);
}

static void put_batches(FILE *f, const struct srv_counters *m)
{
    uint64_t sum = 0;
    head(f, M_batch_size);
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
    head(f, M_images_total);
    for (int i = 0; i < r->n; i++) {
        const struct srv_model_stats *s = &r->models[i]->stats;
        const struct eng_model_info *m = r->models[i]->info;
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
            LABELLED(f, M_images_total, m->name, m->version, rows[k].outcome);
            sample(f, (double)rows[k].n);
        }
    }
}

static void put_models(FILE *f, const struct srv_api *api)
{
    static const enum metric rows[] = {
#define METRIC(...)
#define MODEL(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    const struct srv_registry *r = api->sched->registry;
    put_images(f, r);
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(f, rows[k]);
        for (int i = 0; i < r->n; i++) {
            struct srv_model *m = r->models[i];
            const double values[] = {
#define METRIC(...)
#define MODEL(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
            };
            LABELLED(f, rows[k], m->info->name, m->info->version);
            sample(f, values[k]);
        }
    }
    head(f, M_model_info);
    for (int i = 0; i < r->n; i++) {
        const struct eng_model_info *m = r->models[i]->info;
        LABELLED(f, M_model_info, m->name, m->version, m->family, m->variant, m->precision, m->isa);
        sample(f, 1);
    }
}

/* Versions beside the standard one that have a name. */
static void put_labels(FILE *f, const struct srv_registry *r)
{
    static const enum metric rows[] = {
#define METRIC(...)
#define LABEL(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(f, rows[k]);
        for (int i = 0; i < r->n_services; i++)
            for (int n = 0; n < r->services[i].n_labels; n++) {
                const struct srv_label *l = &r->services[i].labels[n];
                const double values[] = {
#define METRIC(...)
#define LABEL(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
                };
                LABELLED(f, rows[k], r->services[i].name, l->name, l->model->info->version);
                sample(f, values[k]);
            }
    }
}

static const struct srv_control *control_of(const struct srv_family *f)
{
    static const struct srv_control none;
    return f->control ? f->control : &none;
}

static void put_switches(FILE *f, const struct srv_registry *r)
{
    static const struct {
        enum srv_ladder_reason reason;
        const char *direction, *name;
    } rows[] = {{SRV_LADDER_QUEUE, "down", "queue"},
                {SRV_LADDER_LATENCY, "down", "latency"},
                {SRV_LADDER_LOAD, "up", "load"},
                {SRV_LADDER_OFF, "up", "off"}};
    head(f, M_family_switches_total);
    for (int i = 0; i < r->n_families; i++)
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            LABELLED(f, M_family_switches_total, r->families[i]->name, rows[k].direction,
                     rows[k].name);
            sample(f, (double)control_of(r->families[i])->law.switches[rows[k].reason]);
        }
}

static void put_families(FILE *f, const struct srv_registry *r)
{
    static const enum metric rows[] = {
#define METRIC(...)
#define FAMILY(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    head(f, M_family_level);
    for (int i = 0; i < r->n_families; i++) {
        const struct srv_family *y = r->families[i];
        LABELLED(f, M_family_level, y->name, y->variants[y->level]->info->variant);
        sample(f, y->level);
    }
    put_switches(f, r);
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(f, rows[k]);
        for (int i = 0; i < r->n_families; i++) {
            const struct srv_control *c = control_of(r->families[i]);
            const double values[] = {
#define METRIC(...)
#define FAMILY(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
            };
            LABELLED(f, rows[k], r->families[i]->name);
            sample(f, values[k]);
        }
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

static void put_server(FILE *f, const struct srv_api *api)
{
    const struct srv_pool_state pool = srv_pool_state(api->sched->pool);
    const struct srv_cache_stats cache = srv_cache_stats(api->sched->coalesce.cache);
    const struct {
        enum metric metric;
        double value;
    } rows[] = {
#define METRIC(...)
#define SERVER(name, type, unit, help, value) {M_##name, value},
#include "server/handlers/metrics.def"
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(f, rows[k].metric);
        fprintf(f, "mobilenetd_%s ", metrics[rows[k].metric].name);
        sample(f, rows[k].value);
    }
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
