/* What there is to know about a model: of its graph, of its manifest, of its labels. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/quant.h"
#include "engine/loading.h"
#include "engine/plan/plan.h"
#include "engine/scores.h"

const char *eng_model_keep(struct eng_model *m, const char *s)
{
    return eng_graph_strdup(m->g, s ? s : "", s ? strlen(s) : 0);
}

/* Where the last component of path[0..end) begins. */
static size_t component(const char *path, size_t end)
{
    while (end > 0 && path[end - 1] != '/')
        end--;
    return end;
}

static size_t without_slashes(const char *path, size_t end)
{
    while (end > 1 && path[end - 1] == '/')
        end--;
    return end;
}

/* NAME and VERSION: the last two components of the folder, where the caller has none. */
static int name_it(struct eng_model *m, const char *dir, const struct eng_model_options *o)
{
    if (o->name && o->version) {
        m->info.name = eng_graph_strdup(m->g, o->name, strlen(o->name));
        m->info.version = eng_graph_strdup(m->g, o->version, strlen(o->version));
        return m->info.version && m->info.name ? 0 : -ENOMEM;
    }
    char *full = realpath(dir, NULL);
    const char *path = strchr(dir, '/') && !strstr(dir, "..") ? dir : full;
    if (!path)
        return -ENOMEM;
    size_t end = without_slashes(path, strlen(path)), version = component(path, end);
    size_t name_end = without_slashes(path, version), name = component(path, name_end);
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

static int apply_input(struct eng_loading *l, struct eng_preprocess *p)
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

int eng_describe_graph(struct eng_model *m, char *err, size_t errlen)
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

static int load_labels(struct eng_loading *l)
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
void eng_describe_picture(struct eng_model *m)
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

int eng_describe_files(struct eng_loading *l)
{
    struct eng_model *m = l->m;
    struct eng_model_info *info = &m->info;
    const struct eng_manifest *mf = &l->manifest;
    if (name_it(m, l->dir, &l->opts) < 0)
        return eng_no_memory(l->err, l->errlen);
    info->family = eng_model_keep(m, mf->family);
    info->variant = eng_model_keep(m, mf->variant);
    info->licence = eng_model_keep(m, mf->licence);
    info->task = mf->task;
    info->shows_all = mf->shows_all;
    info->format = l->format;
    if (!info->family || !info->variant || !info->licence)
        return eng_no_memory(l->err, l->errlen);
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
    eng_describe_picture(m);
    return rc < 0 ? rc : load_labels(l);
}
