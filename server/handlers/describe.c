/* Everything is read off the model; nothing is kept. */
#include "server/handlers/describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers/api.h"
#include "server/repository/registry.h"

static const char *const extensions[] = {
    "binary_tensor_data", "classification", "parameters",          "schedule_policy",
    "statistics",         "logging",        "model_configuration", "model_repository",
};

const struct proto_server_metadata srv_server_metadata = {
    .name = "mobilenetd",
    .version = MOBILENETD_VERSION,
    .extensions = extensions,
    .n_extensions = sizeof(extensions) / sizeof(extensions[0]),
};

/* ---- a model ---- */

static void add_property(struct srv_description *d, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void add_property(struct srv_description *d, const char *key, const char *fmt, ...)
{
    struct proto_property *p = &d->properties[d->metadata.n_properties++];
    va_list ap;
    p->key = key;
    va_start(ap, fmt);
    vsnprintf(p->value, sizeof(p->value), fmt, ap);
    va_end(ap);
}

static void add_properties(struct srv_description *d, const struct eng_model_info *i)
{
    const struct eng_preprocess *p = &i->preprocess;
    add_property(d, "format", "%s", i->format);
    add_property(d, "precision", "%s", i->precision);
    if (i->family[0])
        add_property(d, "family", "%s", i->family);
    if (i->variant[0])
        add_property(d, "variant", "%s", i->variant);
    if (i->licence[0])
        add_property(d, "licence", "%s", i->licence);
    add_property(d, "class_offset", "%d", i->class_offset);
    if (!i->no_classes[0])
        add_property(d, "activation", "%s", eng_activation_name(i->activation));
    add_property(d, "resize", "%s", eng_resize_name(p->resize));
    add_property(d, "filter", "%s", eng_filter_name(p->filter));
    add_property(d, "channels", "%s", p->bgr ? "bgr" : "rgb");
    add_property(d, "mean", "%g %g %g", (double)p->mean[0], (double)p->mean[1], (double)p->mean[2]);
    add_property(d, "scale", "%g %g %g", (double)p->scale[0], (double)p->scale[1],
                 (double)p->scale[2]);
    add_property(d, "sha256", "%s", i->digest ? i->digest : "");
}

static void add_tensors(struct srv_description *d, const struct srv_model *m,
                        const struct srv_output *outputs, int n)
{
    const struct eng_preprocess *p = &m->info->preprocess;
    d->input = (struct proto_tensor){
        .name = "input",
        .datatype = srv_input_type(m),
        .n_dims = 4,
        .shape = {-1, p->height, p->width, 3},
    };
    for (int k = 0; k < n; k++)
        d->outputs[k] = srv_outputs_described(&outputs[k]);
    d->metadata.n_outputs = n;
}

void srv_describe_model(struct srv_description *ret, const struct srv_env *env,
                        const struct srv_model *m, const char *name,
                        const struct srv_output *outputs, int n)
{
    const struct cfg *cfg = env->cfg;
    *ret = (struct srv_description){
        .metadata =
            {
                .name = name,
                .version = m->info->version,
                .platform = ret->platform,
                .inputs = &ret->input,
                .outputs = ret->outputs,
                .n_inputs = 1,
                .properties = ret->properties,
                .backend = "mobilenetd",
                .max_batch = (int)cfg->max_images,
                .instances = env->workers,
                .max_queue = (int)cfg->queue_limit,
                .priority_levels = SRV_PRIORITY_LAST,
                .default_priority = SRV_PRIORITY_DEFAULT,
                .default_timeout_us = (uint64_t)cfg->default_timeout_ms * 1000u,
            },
    };
    snprintf(ret->platform, sizeof(ret->platform), "mobilenetd_%s", m->info->format);
    add_tensors(ret, m, outputs, n);
    add_properties(ret, m->info);
}

/* ---- statistics ---- */

void srv_describe_statistics(struct proto_model_statistics *ret,
                             struct proto_batch_statistics *batches, const struct srv_model *m)
{
    const struct srv_model_stats *s = &m->stats;
    int n = 0;
    for (unsigned size = 1; size <= SRV_BATCH_MAX; size++) {
        uint64_t runs = s->by_batch[size].runs;
        if (runs > 0)
            batches[n++] = (struct proto_batch_statistics){
                .batch_size = size,
                .compute_input = {runs, s->by_batch[size].input_ns},
                .compute_infer = {runs, s->by_batch[size].infer_ns},
                .compute_output = {runs, 0},
            };
    }
    *ret = (struct proto_model_statistics){
        .name = m->info->name,
        .version = m->info->version,
        .last_inference_ms = s->last_ms,
        .inference_count = s->images_ok,
        .execution_count = s->batches,
        .success = {s->requests_ok, s->ok_ns},
        .fail = {s->requests_failed, s->failed_ns},
        .queue = {s->requests_ok, s->queue_ns},
        .compute_input = {s->requests_ok, s->input_ns},
        .compute_infer = {s->requests_ok, s->infer_ns},
        .compute_output = {s->requests_ok, 0},
        .batches = batches,
        .n_batches = n,
        .memory_bytes = m->info->weight_bytes,
    };
}

/* ---- the repository and the log ---- */

static int describe_index(struct proto_model_index *ret, const struct srv_registry *r, int index)
{
    if (index < r->n) {
        const struct eng_model_info *i = r->models[index]->info;
        const struct srv_model_failure *f = srv_registry_failure(r, i->name, i->version);
        *ret = (struct proto_model_index){i->name, i->version, "READY", f ? f->error : ""};
        return 1;
    }
    index -= r->n;
    if (index < r->n_failures) {
        const struct srv_model_failure *f = &r->failures[index];
        *ret = (struct proto_model_index){f->name, f->version, "UNAVAILABLE", f->error};
        return 1;
    }
    index -= r->n_failures;
    if (index >= r->n_unloaded)
        return 0;
    *ret = (struct proto_model_index){r->unloaded[index], "", "UNAVAILABLE", "unloaded"};
    return 1;
}

int srv_describe_index_all(struct proto_model_index **ret, const struct srv_registry *r, int ready)
{
    struct proto_model_index *all =
        calloc((size_t)(r->n + r->n_failures + r->n_unloaded + 1), sizeof(*all));
    int n = 0;
    for (int i = 0; all && (!ready || i < r->n) && describe_index(&all[n], r, i); i++) {
        struct srv_choice served; /* a failure of what is served all the same stands there */
        n += i < r->n || srv_registry_choose(r, all[n].name, all[n].version, &served) < 0 ||
             strcmp(served.model->info->version, all[n].version) != 0;
    }
    *ret = all;
    return n;
}

static const char *const levels[] = {"debug", "info", "warning", "error"};

struct proto_log_settings srv_describe_log(const char *level)
{
    int n = 0;
    while (n < 3 && strcmp(level, levels[n]) != 0)
        n++;
    return (struct proto_log_settings){
        .info = n <= 1,
        .warning = n <= 2,
        .error = 1,
        .verbose_level = n == 0,
    };
}

const char *srv_log_level_of(const struct proto_log_settings *l)
{
    return levels[l->verbose_level ? 0 : l->info ? 1 : l->warning ? 2 : 3];
}
