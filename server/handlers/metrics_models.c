/* A model has at most a histogram of time for each task and stage, whatever clients do. */
#include <string.h>

#include "server/handlers/metrics_write.h"
#include "server/handlers/tasks/task.h"
#include "server/repository/registry.h"

static const char *const stage_names[SRV_STAGES] = {"queue", "decode", "preprocess", "inference",
                                                    "total"};

static int is_empty(const struct srv_edges *e, const struct srv_buckets *b)
{
    for (int i = 0; i <= e->n; i++)
        if (b->n[i])
            return 0;
    return 1;
}

static void put_task(const struct srv_page *p, const struct eng_model_info *i,
                     const struct srv_task_stats *t)
{
    for (int s = 0; s < SRV_STAGES; s++)
        if (!is_empty(&srv_edges_seconds, &t->stage[s]))
            SRV_HISTOGRAM(p, M_model_stage_seconds, &srv_edges_seconds, &t->stage[s],
                          s == SRV_TOTAL ? t->exemplar : NULL, i->name, i->version, i->variant,
                          t->task ? t->task->name : "outputs", stage_names[s]);
}

static void put_times(const struct srv_page *p, const struct srv_registry *r)
{
    srv_page_head(p, M_model_stage_seconds);
    for (int i = 0; i < r->n; i++)
        for (const struct srv_task_stats *t = r->models[i]->stats.tasks; t; t = t->next)
            put_task(p, r->models[i]->info, t);
}

static void put_scores(const struct srv_page *p, const struct srv_registry *r)
{
    for (int k = 0; k < 2; k++) {
        enum srv_metric m = k == 0 ? M_model_confidence : M_model_margin;
        srv_page_head(p, m);
        for (int i = 0; i < r->n; i++) {
            const struct srv_model_stats *s = &r->models[i]->stats;
            const struct srv_buckets *b = k == 0 ? &s->confidence : &s->margin;
            if (!is_empty(&srv_edges_share, b))
                SRV_HISTOGRAM(p, m, &srv_edges_share, b, NULL, r->models[i]->info->name,
                              r->models[i]->info->version);
        }
    }
}

enum { KERNELS = 24, LAYERS = 4096 };

/* Which kernels a model's layers have, and how many each; a network of a few kinds of layers has a
 * few of them. */
static void put_kernels(const struct srv_page *p, const struct srv_model *m)
{
    struct {
        const char *name;
        int layers;
    } all[KERNELS];
    int n = 0, layers = eng_model_layers(m->eng);
    struct eng_layer l;
    for (int i = 0; i < layers && i < LAYERS; i++) {
        int k = 0;
        if (eng_model_layer(m->eng, i, &l) < 0 || !l.kernel || !l.kernel[0])
            continue;
        while (k < n && strcmp(all[k].name, l.kernel) != 0)
            k++;
        if (k == KERNELS)
            continue;
        if (k == n) {
            all[n].name = l.kernel;
            all[n++].layers = 0;
        }
        all[k].layers++;
    }
    for (int k = 0; k < n; k++)
        SRV_SAMPLE(p, M_model_kernel_layers, all[k].layers, m->info->name, m->info->version,
                   all[k].name);
}

void srv_page_models(const struct srv_page *p, const struct srv_registry *r)
{
    put_times(p, r);
    put_scores(p, r);
    srv_page_head(p, M_model_kernel_layers);
    for (int i = 0; i < r->n; i++)
        put_kernels(p, r->models[i]);
}
