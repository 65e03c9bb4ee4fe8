/* A model: files -> parts -> one graph -> plan, and what there is to know about it.
 *
 * All strings and the labels' index live in the graph's pool. Once the plan has packed the weights,
 * the files and the graph's constants are given back. */
#include "engine/model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/graph/mobilenet.h"
#include "engine/inside.h"
#include "engine/loading.h"
#include "engine/plan/plan.h"
#include "engine/plan/release.h"
#include "engine/precision.h"
#include "engine/scores.h"

static struct eng_model *new_model(void)
{
    struct eng_model *m = calloc(1, sizeof(*m));
    if (m)
        atomic_init(&m->refs, 1);
    return m;
}

static void close_files(struct eng_model *m)
{
    for (int i = 0; i < m->n_files; i++)
        eng_file_finish(&m->files[i]);
}

static void destroy(struct eng_model *m)
{
    eng_plan_destroy(m->plan);
    eng_graph_destroy(m->g);
    eng_labels_finish(&m->labels);
    close_files(m);
    free(m);
}

struct eng_model *eng_model_ref(struct eng_model *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void eng_model_unref(struct eng_model *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        destroy(m);
}

const struct eng_model_info *eng_model_info(const struct eng_model *m)
{
    return &m->info;
}

const struct eng_plan *eng_model_plan(const struct eng_model *m)
{
    return m->plan;
}

const char *eng_model_label(const struct eng_model *m, int c)
{
    if (c < 0 || c >= m->info.outputs - m->info.class_offset)
        return "";
    int line = c + m->label_offset;
    return line < m->labels.n ? m->labels.line[line] : "";
}

/* Graph -> plan; then the weights' first copy may go. */
static int make_plan(struct eng_model *m, const struct eng_model_options *opts, char *err,
                     size_t errlen)
{
    struct eng_plan_options po = {.cpu_bits = opts->cpu_bits ? opts->cpu_bits : eng_cpu_detect(),
                                  .reference = opts->reference,
                                  .bf16 = opts->precision == ENG_PRECISION_BF16,
                                  .f32x = opts->precision == ENG_PRECISION_FP32X};
    struct eng_release release = {0};
    int rc = eng_scores_outputs(m->g, &m->info, err, errlen);
    if (rc == 0 && !opts->reference)
        rc = eng_graph_fold(m->g, err, errlen);
    if (rc == 0)
        rc = eng_describe_graph(m, err, errlen);
    if (rc == 0)
        rc = eng_precision_check(opts, m->info.precision, po.cpu_bits, err, errlen);
    if (rc < 0)
        return rc;
    if (eng_precision_of_fp32(opts->precision))
        m->info.precision = eng_precision_name(opts->precision);
    if (!opts->reference) {
        if (eng_release_init(&release, m->g, m->files, m->n_files) < 0)
            return eng_no_memory(err, errlen);
        po.packed = eng_release_packed;
        po.arg = &release;
    }
    rc = eng_plan_create(&m->plan, m->g, &po, err, errlen);
    eng_release_finish(&release);
    if (rc < 0)
        return rc;
    m->info.weight_bytes = eng_plan_weight_bytes(m->plan);
    m->info.isa = eng_plan_isa(m->plan);
    if (!eng_plan_needs_constants(m->plan)) {
        eng_graph_drop_constants(m->g);
        close_files(m);
    }
    return 0;
}

static int plan_as_wished(struct eng_loading *l)
{
    eng_precision_wish(&l->opts, l->manifest.precision);
    return make_plan(l->m, &l->opts, l->err, l->errlen);
}

static int load(struct eng_loading *l)
{
    struct eng_model *m = l->m;
    struct eng_sha256 sum;
    char digest[65];
    int rc = eng_manifest_load(&l->manifest, l->dir, l->err, l->errlen);
    eng_sha256_init(&sum);
    if (rc == 0)
        rc = eng_parts_load(l, &sum);
    if (rc == 0)
        rc = plan_as_wished(l);
    if (rc == 0)
        rc = eng_describe_files(l);
    if (rc < 0)
        return rc;
    eng_sha256_hex(&sum, digest);
    m->info.digest = eng_model_keep(m, digest);
    return m->info.digest ? 0 : eng_no_memory(l->err, l->errlen);
}

int eng_model_load(struct eng_model **ret, const char *dir, const struct eng_model_options *opts,
                   char *err, size_t errlen)
{
    struct eng_loading l = {.m = new_model(), .dir = dir, .err = err, .errlen = errlen};
    if (!l.m)
        return eng_no_memory(err, errlen);
    if (opts)
        l.opts = *opts;
    int rc = load(&l);
    eng_manifest_finish(&l.manifest);
    if (rc < 0) {
        eng_model_unref(l.m);
        return rc;
    }
    *ret = l.m;
    return 0;
}

static int build(struct eng_model *m, const struct eng_mobilenet_spec *spec,
                 const struct eng_model_options *opts, char *err, size_t errlen)
{
    char name[80], text[160], digest[65];
    struct eng_sha256 sum;
    enum eng_precision precision =
        opts->precision == ENG_PRECISION_AUTO ? ENG_PRECISION_FP32 : opts->precision;
    if (eng_precision_of_fp32(precision))
        precision = ENG_PRECISION_FP32; /* the rest is the plan's */
    int rc = eng_mobilenet_build(&m->g, spec, precision, err, errlen);
    if (rc == 0)
        rc = make_plan(m, opts, err, errlen);
    if (rc < 0)
        return rc;
    eng_mobilenet_name(spec, name, sizeof(name));
    snprintf(text, sizeof(text), "%s alpha %.17g classes %d seed %llu %s", name, spec->alpha,
             spec->classes, (unsigned long long)spec->seed, m->info.precision);
    eng_sha256_init(&sum);
    eng_sha256_add(&sum, text, strlen(text));
    eng_sha256_hex(&sum, digest);
    struct eng_model_info *info = &m->info;
    info->name = eng_model_keep(m, name);
    info->version = eng_model_keep(m, "1");
    info->family = eng_model_keep(m, spec->generation == 2 ? "mobilenet_v2" : "mobilenet_v1");
    info->variant = eng_model_keep(m, name + strlen("mobilenet_v1_"));
    info->licence = eng_model_keep(m, "");
    info->digest = eng_model_keep(m, digest);
    info->format = "builtin";
    eng_describe_picture(m);
    info->class_offset = info->outputs == 1001;
    rc = eng_scores_settle(m->g, -1, info, err, errlen);
    if (rc < 0)
        return rc;
    int all = info->name && info->version && info->family && info->variant && info->licence &&
              info->digest;
    return all ? 0 : eng_no_memory(err, errlen);
}

int eng_model_build(struct eng_model **ret, const struct eng_mobilenet_spec *spec,
                    const struct eng_model_options *opts, char *err, size_t errlen)
{
    struct eng_model_options defaults = {0};
    struct eng_model *m = new_model();
    if (!m)
        return eng_no_memory(err, errlen);
    int rc = build(m, spec, opts ? opts : &defaults, err, errlen);
    if (rc < 0) {
        eng_model_unref(m);
        return rc;
    }
    *ret = m;
    return 0;
}
