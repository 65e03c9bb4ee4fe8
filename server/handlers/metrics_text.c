/* The text of all that is counted, in the order of the list. */
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/backlog.h"
#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/metrics.h"
#include "server/handlers/metrics_write.h"
#include "server/handlers/route.h"
#include "server/repository/registry.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/request.h"

static const char *const stage_names[SRV_STAGES] = {"queue", "decode", "preprocess", "inference",
                                                    "total"};

static void put_requests(const struct srv_page *p, const struct srv_api *api)
{
    srv_page_head(p, M_requests_total);
    for (int r = 0; r < SRV_ROWS; r++) {
        const char *route = r < SRV_ROWS - 1 ? api->routes[r].pattern : "none";
        for (int c = 0; c < SRV_CODES; c++) {
            char code[16];
            if (api->metrics.requests[r][c] == 0)
                continue;
            snprintf(code, sizeof(code), "%d", srv_metrics_codes[c]);
            SRV_SAMPLE(p, M_requests_total, (double)api->metrics.requests[r][c], route, code);
        }
    }
}

static void put_reasons(const struct srv_page *p, const struct srv_api *api)
{
    srv_page_head(p, M_requests_refused_total);
    for (int i = 1; i < SRV_REASONS; i++)
        SRV_SAMPLE(p, M_requests_refused_total, (double)api->metrics.reasons[i],
                   srv_reasons[i].name);
}

static void put_stages(const struct srv_page *p, const struct srv_counters *m)
{
    srv_page_head(p, M_stage_seconds);
    for (int s = 0; s < SRV_STAGES; s++)
        SRV_HISTOGRAM(p, M_stage_seconds, &srv_edges_seconds, &m->stage[s], NULL, stage_names[s]);
    srv_page_head(p, M_stage_quantile_seconds);
    static const double quantiles[] = {0.5, 0.9, 0.99};
    static const char *const names[] = {"0.5", "0.9", "0.99"};
    for (int s = 0; s < SRV_STAGES; s++)
        for (int i = 0; i < 3; i++) {
            uint64_t ns = srv_histogram_quantile(&m->window[0][s], &m->window[1][s], quantiles[i]);
            SRV_SAMPLE(p, M_stage_quantile_seconds, (double)ns / 1e9, stage_names[s], names[i]);
        }
}

static void put_batches(const struct srv_page *p, const struct srv_api *api)
{
    static const char *const names[SRV_DISPATCHES] = {
        [SRV_DISPATCH_ALL] = "all",         [SRV_DISPATCH_FULL] = "full",
        [SRV_DISPATCH_SHARED] = "shared",   [SRV_DISPATCH_DEADLINE] = "deadline",
        [SRV_DISPATCH_VARIANT] = "variant", [SRV_DISPATCH_DELAY] = "delay",
    };
    const struct srv_pool_state pool = srv_pool_state(api->sched->pool);
    const struct srv_counters *m = &api->sched->counters;
    srv_page_head(p, M_batch_size);
    SRV_HISTOGRAM(p, M_batch_size, &srv_edges_count, &m->batch, NULL, NULL);
    srv_page_head(p, M_team_size);
    SRV_HISTOGRAM(p, M_team_size, &srv_edges_count, &m->team, NULL, NULL);
    srv_page_head(p, M_dispatches_total);
    for (int i = 0; i < SRV_DISPATCHES; i++)
        SRV_SAMPLE(p, M_dispatches_total, (double)pool.dispatched[i], names[i]);
}

static void put_connections(const struct srv_page *p, const struct srv_api *api)
{
    static const char *const ports[SRV_PORTS] = {"http", "grpc", "admin"};
    static const char *const limits[SRV_SLOT_LIMITS] = {"address", "silent", "idle", "reserve",
                                                        "full"};
    srv_page_head(p, M_connections);
    for (int port = 0; port < SRV_PORTS; port++)
        SRV_SAMPLE(p, M_connections, api->sockets[port].open, ports[port]);
    srv_page_head(p, M_connection_limits_total);
    for (int port = 0; port < SRV_PORTS; port++)
        for (int l = 0; l < SRV_SLOT_LIMITS; l++)
            SRV_SAMPLE(p, M_connection_limits_total, (double)api->sockets[port].bitten[l],
                       ports[port], limits[l]);
}

static void put_accounts(const struct srv_page *p, const struct srv_budget *b)
{
    srv_page_head(p, M_memory_bytes);
    for (int i = 0; i < SRV_USES; i++)
        SRV_SAMPLE(p, M_memory_bytes, (double)b->of[i], srv_use_names[i]);
    srv_page_head(p, M_key_memory_bytes);
    for (const struct srv_account *a = b->keys; a; a = a->next)
        SRV_SAMPLE(p, M_key_memory_bytes, (double)a->used, a->name);
}

static void put_images(const struct srv_page *p, const struct srv_registry *r)
{
    srv_page_head(p, M_images_total);
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
            SRV_SAMPLE(p, M_images_total, (double)rows[k].n, m->name, m->version, rows[k].outcome);
        }
    }
}

static void put_models(const struct srv_page *p, const struct srv_api *api)
{
    static const enum srv_metric rows[] = {
#define METRIC(...)
#define MODEL(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    const struct srv_registry *r = api->sched->registry;
    put_images(p, r);
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        srv_page_head(p, rows[k]);
        for (int i = 0; i < r->n; i++) {
            struct srv_model *m = r->models[i];
            const double values[] = {
#define METRIC(...)
#define MODEL(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
            };
            SRV_SAMPLE(p, rows[k], values[k], m->info->name, m->info->version);
        }
    }
    srv_page_head(p, M_model_info);
    for (int i = 0; i < r->n; i++) {
        const struct eng_model_info *m = r->models[i]->info;
        SRV_SAMPLE(p, M_model_info, 1, m->name, m->version, m->family, m->variant, m->precision,
                   m->isa);
    }
}

/* Versions beside the standard one that have a name. */
static void put_labels(const struct srv_page *p, const struct srv_registry *r)
{
    static const enum srv_metric rows[] = {
#define METRIC(...)
#define LABEL(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        srv_page_head(p, rows[k]);
        for (int i = 0; i < r->n_services; i++)
            for (int n = 0; n < r->services[i].n_labels; n++) {
                const struct srv_label *l = &r->services[i].labels[n];
                const double values[] = {
#define METRIC(...)
#define LABEL(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
                };
                SRV_SAMPLE(p, rows[k], values[k], r->services[i].name, l->name,
                           l->model->info->version);
            }
    }
}

static const struct srv_control *control_of(const struct srv_family *f)
{
    static const struct srv_control none;
    return f->control ? f->control : &none;
}

static void put_switches(const struct srv_page *p, const struct srv_registry *r)
{
    static const struct {
        enum srv_ladder_reason reason;
        const char *direction, *name;
    } rows[] = {{SRV_LADDER_QUEUE, "down", "queue"},
                {SRV_LADDER_LATENCY, "down", "latency"},
                {SRV_LADDER_LOAD, "up", "load"},
                {SRV_LADDER_OFF, "up", "off"}};
    srv_page_head(p, M_family_switches_total);
    for (int i = 0; i < r->n_families; i++)
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            SRV_SAMPLE(p, M_family_switches_total,
                       (double)control_of(r->families[i])->law.switches[rows[k].reason],
                       r->families[i]->name, rows[k].direction, rows[k].name);
        }
}

static void put_families(const struct srv_page *p, const struct srv_registry *r)
{
    static const enum srv_metric rows[] = {
#define METRIC(...)
#define FAMILY(name, ...) M_##name,
#include "server/handlers/metrics.def"
    };
    srv_page_head(p, M_family_level);
    for (int i = 0; i < r->n_families; i++) {
        const struct srv_family *y = r->families[i];
        SRV_SAMPLE(p, M_family_level, y->level, y->name, y->variants[y->level]->info->variant);
    }
    put_switches(p, r);
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        srv_page_head(p, rows[k]);
        for (int i = 0; i < r->n_families; i++) {
            const struct srv_control *c = control_of(r->families[i]);
            const double values[] = {
#define METRIC(...)
#define FAMILY(name, type, unit, help, value) value,
#include "server/handlers/metrics.def"
            };
            SRV_SAMPLE(p, rows[k], values[k], r->families[i]->name);
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

static void put_server(const struct srv_page *p, const struct srv_api *api)
{
    const struct srv_pool_state pool = srv_pool_state(api->sched->pool);
    const struct srv_cache_stats cache = srv_cache_stats(api->sched->coalesce.cache);
    const struct {
        enum srv_metric metric;
        double value;
    } rows[] = {
#define METRIC(...)
#define SERVER(name, type, unit, help, value) {M_##name, value},
#include "server/handlers/metrics.def"
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        srv_page_head(p, rows[k].metric);
        SRV_SAMPLE(p, rows[k].metric, rows[k].value, NULL);
    }
}

char *srv_metrics_text(struct srv_api *api, int open, size_t *ret_len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, ret_len);
    if (!f)
        return NULL;
    const struct srv_page page = {f, open}, *p = &page;
    srv_counters_turn(&api->sched->counters);
    put_requests(p, api);
    put_reasons(p, api);
    put_stages(p, &api->sched->counters);
    put_batches(p, api);
    put_models(p, api);
    srv_page_models(p, api->sched->registry);
    put_labels(p, api->sched->registry);
    put_families(p, api->sched->registry);
    put_connections(p, api);
    srv_page_head(p, M_loop_turn_seconds);
    SRV_HISTOGRAM(p, M_loop_turn_seconds, &srv_edges_seconds, &api->env->turns.busy, NULL, NULL);
    put_accounts(p, &api->sched->budget);
    put_server(p, api);
    if (open)
        fputs("# EOF\n", f);
    int failed = ferror(f);
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
