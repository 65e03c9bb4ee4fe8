/* A model: files -> parts -> one graph -> plan, and what there is to know about it.
 *
 * All strings and the labels' index live in the graph's pool. Once the plan has packed the weights,
 * the files and the graph's constants are given back. */
#include "engine/model.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/graph/mobilenet.h"
#include "engine/graph/outputs.h"
#include "engine/graph/quant.h"
#include "engine/importers/compressed.h"
#include "engine/importers/import.h"
#include "engine/importers/manifest.h"
#include "engine/inside.h"
#include "engine/kernels/kernel.h"
#include "engine/plan/plan.h"
#include "engine/plan/release.h"
#include "engine/scores.h"

struct eng_model {
    atomic_int refs;
    struct eng_graph *g;
    struct eng_plan *plan;
    struct eng_model_info info;
    struct eng_labels labels;
    struct eng_golden golden;
    int label_offset; /* line of class 0 */
    int n_files;
    struct eng_file files[ENG_MAX_PARTS]; /* while the graph points into them */
};

struct loading {
    struct eng_model *m;
    struct eng_model_options opts;
    const char *dir;
    struct eng_manifest manifest;
    const char *format;
    char *err;
    size_t errlen;
};

/* Its tensors have sizes, and others are fitted to. */
static int import_tflite(struct eng_graph **ret, const void *bytes, size_t len,
                         struct eng_open_size open, char *err, size_t errlen)
{
    (void)open;
    return eng_import_tflite(ret, bytes, len, err, errlen);
}

static const struct importer {
    const char *format;
    int (*import)(struct eng_graph **ret, const void *bytes, size_t len, struct eng_open_size open,
                  char *err, size_t errlen);
} importers[] = {
    {"tflite", import_tflite},
    {"onnx", eng_import_onnx},
};

static int no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
}

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

/* ---- parts ---- */

/* Of the part that takes the picture; of another, the manifest says nothing. */
static struct eng_open_size open_size(const struct loading *l)
{
    const struct eng_manifest *mf = &l->manifest;
    return l->m->g ? (struct eng_open_size){0} : (struct eng_open_size){mf->height, mf->width};
}

static int import_part(struct loading *l, const struct eng_file *file, struct eng_graph **ret)
{
    const char *want = l->manifest.format;
    for (size_t i = 0; i < sizeof(importers) / sizeof(*importers); i++) {
        if (want && strcmp(want, importers[i].format) != 0)
            continue;
        int rc = importers[i].import(ret, file->bytes, file->len, open_size(l), l->err, l->errlen);
        if (rc == 0)
            l->format = importers[i].format;
        if (rc != ENG_E_FORMAT || want)
            return rc;
    }
    if (want)
        return eng_fail(l->err, l->errlen, ENG_E_UNSUPPORTED,
                        "models of format \"%.40s\" are not supported", want);
    return eng_fail(l->err, l->errlen, ENG_E_FORMAT, "not a model file of a known format");
}

static size_t max_bytes(const struct loading *l)
{
    return l->opts.max_file_bytes ? l->opts.max_file_bytes : (size_t)1 << 30;
}

static int read_file(struct loading *l, int index, struct eng_sha256 *sum)
{
    struct eng_file *f = &l->m->files[index];
    int rc =
        eng_compressed_read(f, l->dir, l->manifest.files[index], max_bytes(l), l->err, l->errlen);
    if (rc < 0)
        return rc;
    l->m->n_files = index + 1;
    eng_sha256_add(sum, f->bytes, f->len);
    return 0;
}

/* By the manifest; else no other kind of model file begins like JSON. */
static int is_tfjs(const struct loading *l)
{
    const char *want = l->manifest.format, *bytes = l->m->files[0].bytes;
    return want ? strcmp(want, "tfjs") == 0 : bytes[0] == '{';
}

/* All files are one model. */
static int import_tfjs(struct loading *l)
{
    struct eng_part files[ENG_MAX_PARTS];
    struct eng_model *m = l->m;
    for (int i = 0; i < m->n_files; i++)
        files[i] = (struct eng_part){l->manifest.files[i], m->files[i].bytes, m->files[i].len};
    int rc = eng_import_tfjs(&m->g, files, m->n_files, open_size(l), l->err, l->errlen);
    l->format = "tfjs";
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, files[0].name) : 0;
}

static int import_files(struct loading *l)
{
    struct eng_model *m = l->m;
    int rc = 0;
    if (is_tfjs(l))
        return import_tfjs(l);
    for (int i = 0; i < m->n_files; i++) {
        struct eng_graph *part;
        if ((rc = import_part(l, &m->files[i], &part)) < 0)
            return eng_fail_in(l->err, l->errlen, rc, l->manifest.files[i]);
        if (!m->g)
            m->g = part;
        else
            rc = eng_graph_join(m->g, part, l->err, l->errlen);
        if (rc < 0)
            return eng_fail_in(l->err, l->errlen, rc, l->manifest.files[i]);
    }
    return 0;
}

/* A head that was taught: it replaces what stands behind the embedding. Its weights are copied at
 * import, so its files need not stay. */
static int import_head(struct loading *l, struct eng_sha256 *sum)
{
    struct eng_part parts[2];
    struct eng_file files[2] = {{0}};
    struct eng_graph *head;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = eng_compressed_read(&files[i], l->dir, l->manifest.head[i], max_bytes(l), l->err,
                                 l->errlen);
        if (rc == 0)
            eng_sha256_add(sum, files[i].bytes, files[i].len);
        parts[i] = (struct eng_part){l->manifest.head[i], files[i].bytes, files[i].len};
    }
    if (rc == 0 && (rc = eng_import_tfjs(&head, parts, 2, open_size(l), l->err, l->errlen)) == 0) {
        rc = eng_graph_cut(l->m->g, l->err, l->errlen);
        if (rc == 0)
            rc = eng_graph_join(l->m->g, head, l->err, l->errlen);
        else
            eng_graph_destroy(head);
    }
    for (int i = 0; i < 2; i++)
        eng_file_finish(&files[i]);
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, "the head") : 0;
}

/* Of the files, so before a head takes the place of what is behind the embedding. */
static int set_task(struct loading *l)
{
    struct eng_graph *g = l->m->g;
    int rc = 0;
    if (l->manifest.output)
        rc = eng_graph_choose_output(g, l->manifest.output, l->err, l->errlen);
    if (rc < 0)
        return rc;
    if (l->manifest.embeds && g->is_open)
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "model.json says that it makes an embedding, and not which \"output\" of "
                        "%d that is",
                        g->n_outputs);
    if (!l->manifest.embeds && !l->manifest.output)
        return 0;
    g->embeds = l->manifest.embeds;
    return eng_graph_check(g, l->err, l->errlen);
}

/* The manifest may ask for another resolution than the file was made with. */
static int fit_size(struct loading *l)
{
    const struct eng_manifest *mf = &l->manifest;
    struct eng_graph *g = l->m->g;
    const struct eng_tensor *in = &g->tensors[g->input];
    int height = mf->height ? mf->height : in->dim[1], width = mf->width ? mf->width : in->dim[2];
    if (in->rank != 4 || (height == in->dim[1] && width == in->dim[2]))
        return 0;
    char what[64];
    snprintf(what, sizeof(what), "an input of %dx%d", height, width);
    int rc = eng_graph_resize(g, height, width, l->err, l->errlen);
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, what) : 0;
}

/* ---- what there is to know ---- */

static const char *keep(struct eng_model *m, const char *s)
{
    return eng_graph_strdup(m->g, s ? s : "", s ? strlen(s) : 0);
}

/* NAME and VERSION: the last two components of the folder. */
static int name_from_dir(struct eng_model *m, const char *dir)
{
    char *full = realpath(dir, NULL);
    const char *path = strchr(dir, '/') && !strstr(dir, "..") ? dir : full;
    if (!path)
        return -ENOMEM;
    size_t end = strlen(path), version, name;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (version = end; version > 0 && path[version - 1] != '/'; version--)
        ;
    size_t name_end = version;
    while (name_end > 1 && path[name_end - 1] == '/')
        name_end--;
    for (name = name_end; name > 0 && path[name - 1] != '/'; name--)
        ;
    m->info.version = eng_graph_strdup(m->g, path + version, end - version);
    m->info.name = eng_graph_strdup(m->g, path + name, name_end - name);
    free(full);
    return m->info.version && m->info.name ? 0 : -ENOMEM;
}

static const char *precision_of(const struct eng_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const struct eng_node *n = &g->nodes[i];
        if (eng_op_has_weights(n->op))
            return eng_type_name(g->tensors[n->in[1]].type);
    }
    return eng_type_name(g->tensors[g->input].type);
}

/* Pixel to tensor where no manifest says it: quantised inputs take the pixel itself, float ones
 * -1 .. 1. */
static void default_preprocess(const struct eng_graph *g, struct eng_preprocess *p)
{
    const struct eng_tensor *in = &g->tensors[g->input];
    *p = (struct eng_preprocess){.height = in->dim[1], .width = in->dim[2], .type = in->type};
    float mean = 127.5f, scale = 1 / 127.5f;
    if (in->quant.n == 1) {
        p->q_scale = in->quant.scale[0];
        p->q_zero_point = in->quant.zero_point[0];
        mean = (float)(p->q_zero_point + (in->type == ENG_I8 ? 128 : 0));
        scale = p->q_scale;
    }
    for (int i = 0; i < 3; i++) {
        p->mean[i] = mean;
        p->scale[i] = scale;
    }
}

static int apply_input(struct loading *l, struct eng_preprocess *p)
{
    const struct eng_manifest *mf = &l->manifest;
    if ((mf->height && mf->height != p->height) || (mf->width && mf->width != p->width))
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "model.json says an input of %dx%d, the model has %dx%d", mf->height,
                        mf->width, p->height, p->width);
    p->bgr = mf->bgr;
    p->resize = mf->resize;
    p->filter = mf->filter;
    if (mf->has_mean)
        memcpy(p->mean, mf->mean, sizeof(p->mean));
    if (mf->has_scale)
        memcpy(p->scale, mf->scale, sizeof(p->scale));
    return 0;
}

static int describe_graph(struct eng_model *m, char *err, size_t errlen)
{
    const struct eng_graph *g = m->g;
    struct eng_model_info *info = &m->info;
    const struct eng_tensor *in = &g->tensors[g->input];
    if (in->dim[3] != 3)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the model's input has %d channels, not the 3 of a picture", in->dim[3]);
    info->precision = precision_of(g);
    info->outputs = (int)eng_tensor_elements(&g->tensors[g->logits]);
    if (g->embedding >= 0)
        info->embedding = (int)eng_tensor_elements(&g->tensors[g->embedding]);
    info->embeds = g->embeds;
    info->open = g->is_open;
    info->end = g->end;
    for (int i = 0; i < g->n_nodes; i++) {
        struct eng_cost cost = eng_node_cost(g, &g->nodes[i]);
        info->mult_adds += cost.mult_adds;
        info->parameters += cost.parameters;
    }
    default_preprocess(g, &info->preprocess);
    return 0;
}

static int load_labels(struct loading *l)
{
    char path[4096];
    struct eng_model *m = l->m;
    const char *name = l->manifest.labels ? l->manifest.labels : "labels.txt";
    if (snprintf(path, sizeof(path), "%s/%s", l->dir, name) >= (int)sizeof(path))
        return eng_fail(l->err, l->errlen, -ENAMETOOLONG, "%.80s: the path is too long", name);
    int rc = eng_labels_load(&m->labels, path, l->err, l->errlen);
    if (rc == -ENOENT && !l->manifest.labels) {
        if (l->errlen > 0)
            l->err[0] = '\0';
        return 0;
    }
    if (rc < 0 || m->info.no_classes[0])
        return rc;
    int classes = m->info.outputs - m->info.class_offset;
    if (m->labels.n == 2 && m->info.outputs == 1)
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "%.120s has 2 lines, the model 1 output: the score of one class (of "
                        "Keras's two the second), whose name is the only line",
                        name);
    if (m->labels.n != m->info.outputs && m->labels.n != classes)
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "%.120s has %d lines, the model %d outputs and %d classes", name,
                        m->labels.n, m->info.outputs, classes);
    m->label_offset = m->labels.n - classes;
    return 0;
}

/* What the image door makes where it may. */
static void describe_picture(struct eng_model *m)
{
    struct eng_preprocess *p = &m->info.picture;
    int door = eng_plan_door(m->plan);
    *p = m->info.preprocess;
    if (door < 0)
        return;
    const struct eng_tensor *t = &m->g->tensors[door];
    p->type = t->type;
    p->q_scale = eng_quant_scale(t, 0);
    p->q_zero_point = eng_quant_zero(t, 0);
    p->q_fp32 = 1;
}

static int describe_files(struct loading *l)
{
    struct eng_model *m = l->m;
    struct eng_model_info *info = &m->info;
    const struct eng_manifest *mf = &l->manifest;
    if (name_from_dir(m, l->dir) < 0)
        return no_memory(l->err, l->errlen);
    info->family = keep(m, mf->family);
    info->variant = keep(m, mf->variant);
    info->licence = keep(m, mf->licence);
    info->shows_all = mf->shows_all;
    info->format = l->format;
    if (!info->family || !info->variant || !info->licence)
        return no_memory(l->err, l->errlen);
    int rc = eng_scores_settle(m->g, mf->activation, info, l->err, l->errlen);
    if (rc < 0)
        return rc;
    info->class_offset =
        mf->class_offset >= 0 ? mf->class_offset : info->outputs == 1001 && !info->no_classes[0];
    if (info->class_offset >= info->outputs)
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "model.json says class_offset %d, the model has %d outputs",
                        info->class_offset, info->outputs);
    m->golden = mf->golden;
    info->golden = m->golden.n > 0 ? &m->golden : NULL;
    if (info->golden && info->no_classes[0])
        return eng_fail(l->err, l->errlen, ENG_E_DATA, "golden: the model is no classifier: %s",
                        info->no_classes);
    for (int i = 0; i < m->golden.n; i++)
        if (m->golden.classes[i] >= info->outputs - info->class_offset)
            return eng_fail(l->err, l->errlen, ENG_E_DATA, "golden: there is no class %d",
                            m->golden.classes[i]);
    rc = apply_input(l, &info->preprocess);
    describe_picture(m);
    return rc < 0 ? rc : load_labels(l);
}

/* ---- load, build ---- */

/* On a processor without bf16 it would only be slower and less exact than fp32. Plain C alone,
 * asked for as such, takes it: to compare with. */
static int check_bf16(uint32_t cpu_bits, char *err, size_t errlen)
{
    struct eng_kernels kernels;
    eng_kernels_choose(&kernels, cpu_bits);
    if (kernels.pw_bf16->cpu_bits || !(cpu_bits & ~ENG_CPU_C))
        return 0;
    return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                    "this processor, or the option isa, has no instructions for bf16");
}

static int check_precision(const struct eng_model *m, const struct eng_model_options *opts,
                           uint32_t cpu_bits, char *err, size_t errlen)
{
    enum eng_precision want = opts->precision;
    static const char *const names[] = {"", "int8", "uint8", "fp32", "bf16"};
    if (want == ENG_PRECISION_AUTO || strcmp(names[want], m->info.precision) == 0)
        return 0;
    if (want == ENG_PRECISION_BF16 && strcmp(m->info.precision, "fp32") == 0)
        return opts->reference
                   ? eng_fail(err, errlen, ENG_E_UNSUPPORTED, "reference kernels know no bf16")
                   : check_bf16(cpu_bits, err, errlen);
    return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "the model is %s and cannot run as %s",
                    m->info.precision, names[want]);
}

/* Graph -> plan; then the weights' first copy may go. */
static int make_plan(struct eng_model *m, const struct eng_model_options *opts, char *err,
                     size_t errlen)
{
    struct eng_plan_options po = {.cpu_bits = opts->cpu_bits ? opts->cpu_bits : eng_cpu_detect(),
                                  .reference = opts->reference,
                                  .bf16 = opts->precision == ENG_PRECISION_BF16};
    struct eng_release release = {0};
    int rc = eng_scores_outputs(m->g, &m->info, err, errlen);
    if (rc == 0 && !opts->reference)
        rc = eng_graph_fold(m->g, err, errlen);
    if (rc < 0 || (rc = describe_graph(m, err, errlen)) < 0 ||
        (rc = check_precision(m, opts, po.cpu_bits, err, errlen)) < 0)
        return rc;
    if (po.bf16)
        m->info.precision = eng_type_name(ENG_BF16);
    if (!opts->reference) {
        if (eng_release_init(&release, m->g, m->files, m->n_files) < 0)
            return no_memory(err, errlen);
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

static int load(struct loading *l)
{
    struct eng_model *m = l->m;
    struct eng_sha256 sum;
    char digest[65];
    int rc = eng_manifest_load(&l->manifest, l->dir, l->err, l->errlen);
    eng_sha256_init(&sum);
    for (int i = 0; rc == 0 && i < l->manifest.n_files; i++)
        rc = read_file(l, i, &sum);
    if (rc < 0 || (rc = import_files(l)) < 0 || (rc = set_task(l)) < 0 ||
        (l->manifest.n_head > 0 && (rc = import_head(l, &sum)) < 0) || (rc = fit_size(l)) < 0 ||
        (rc = make_plan(m, &l->opts, l->err, l->errlen)) < 0 || (rc = describe_files(l)) < 0)
        return rc;
    eng_sha256_hex(&sum, digest);
    m->info.digest = keep(m, digest);
    return m->info.digest ? 0 : no_memory(l->err, l->errlen);
}

int eng_model_load(struct eng_model **ret, const char *dir, const struct eng_model_options *opts,
                   char *err, size_t errlen)
{
    struct loading l = {.m = new_model(), .dir = dir, .err = err, .errlen = errlen};
    if (!l.m)
        return no_memory(err, errlen);
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
    if (precision == ENG_PRECISION_BF16)
        precision = ENG_PRECISION_FP32; /* the plan rounds */
    int rc = eng_mobilenet_build(&m->g, spec, precision, err, errlen);
    if (rc < 0 || (rc = make_plan(m, opts, err, errlen)) < 0)
        return rc;
    eng_mobilenet_name(spec, name, sizeof(name));
    snprintf(text, sizeof(text), "%s alpha %.17g classes %d seed %llu %s", name, spec->alpha,
             spec->classes, (unsigned long long)spec->seed, m->info.precision);
    eng_sha256_init(&sum);
    eng_sha256_add(&sum, text, strlen(text));
    eng_sha256_hex(&sum, digest);
    struct eng_model_info *info = &m->info;
    info->name = keep(m, name);
    info->version = keep(m, "1");
    info->family = keep(m, spec->generation == 2 ? "mobilenet_v2" : "mobilenet_v1");
    info->variant = keep(m, name + strlen("mobilenet_v1_"));
    info->licence = keep(m, "");
    info->digest = keep(m, digest);
    info->format = "builtin";
    describe_picture(m);
    info->class_offset = info->outputs == 1001;
    if ((rc = eng_scores_settle(m->g, -1, info, err, errlen)) < 0)
        return rc;
    int all = info->name && info->version && info->family && info->variant && info->licence &&
              info->digest;
    return all ? 0 : no_memory(err, errlen);
}

int eng_model_build(struct eng_model **ret, const struct eng_mobilenet_spec *spec,
                    const struct eng_model_options *opts, char *err, size_t errlen)
{
    struct eng_model_options defaults = {0};
    struct eng_model *m = new_model();
    if (!m)
        return no_memory(err, errlen);
    int rc = build(m, spec, opts ? opts : &defaults, err, errlen);
    if (rc < 0) {
        eng_model_unref(m);
        return rc;
    }
    *ret = m;
    return 0;
}
