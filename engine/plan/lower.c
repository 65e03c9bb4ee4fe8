/* The frame of the lowering: the order in which the lower_*.c files are asked for each node. */
#include "engine/plan/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/kernels/ref/ref.h"

/* Always 1 or a failure. */
static int lower_ref(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    int in[ENG_MAX_INPUTS];
    int rc = eng_ref_supports(l->g, n, l->err, l->errlen);
    if (rc < 0)
        return rc;
    struct eng_ref_params *rp = eng_lower_alloc(l, sizeof(*rp));
    if (!rp)
        return -ENOMEM;
    rp->g = l->g;
    rp->node = n;
    rp->constants = eng_lower_alloc(l, sizeof(*rp->constants) * (size_t)(n->n_in + 1));
    if (!rp->constants)
        return -ENOMEM;
    for (int k = 0; k < n->n_in; k++) {
        const struct eng_tensor *t = eng_lower_in(l, n, k);
        in[k] = -1;
        if (!t)
            continue;
        if (!t->data) {
            in[k] = eng_lower_need(l, n->in[k], ENG_REP_FILE);
            if (in[k] < 0)
                return in[k];
            continue;
        }
        rp->constants[k] = t->data;
        if (l->p->reference)
            continue;
        void *copy = eng_plan_alloc_packed(l->p, t->size);
        if (!copy)
            return eng_lower_no_memory(l);
        rp->constants[k] = memcpy(copy, t->data, t->size);
    }
    int out = eng_lower_make(l, n->out, ENG_REP_FILE);
    if (out < 0)
        return out;
    struct eng_step s = {.driver = &eng_drive_ref,
                         .node = i,
                         .node2 = -1,
                         .out = out,
                         .mid = -1,
                         .params = rp,
                         .kernel = eng_ref_is_plain(l->g, n) ? "plain" : "ref"};
    rc = eng_lower_step(l, &s, in, n->n_in);
    return rc < 0 ? rc : 1;
}

static int lower_node(struct eng_lower *l, int i)
{
    static int (*const kinds[])(struct eng_lower *, int) = {
        eng_lower_alias,  eng_lower_conv3,      eng_lower_gemm,     eng_lower_depthwise,
        eng_lower_pool,   eng_lower_add,        eng_lower_lut,      eng_lower_softmax,
        eng_lower_window, eng_lower_activation, eng_lower_channels, eng_lower_product,
        eng_lower_dwk,    eng_lower_concat,     eng_lower_gather,   eng_lower_flat,
        eng_lower_resize, eng_lower_dwk_u8,     eng_lower_join,     eng_lower_pad,
        eng_lower_argmax,
    };
    if (!l->p->reference) {
        for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
            int rc = kinds[k](l, i);
            if (rc != 0)
                return rc;
        }
    }
    return lower_ref(l, i);
}

static void count_uses(struct eng_lower *l, const struct eng_plan_options *opts)
{
    const struct eng_graph *g = l->g;
    for (int t = 0; t < g->n_tensors; t++)
        l->alias_u8[t] = l->alias_bytes[t] = l->reader[t] = -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0) {
                l->uses[g->nodes[i].in[k]]++;
                l->reader[g->nodes[i].in[k]] = i;
            }
    l->uses[g->output]++;
    l->uses[g->logits]++;
    if (g->embedding >= 0)
        l->uses[g->embedding]++;
    for (int i = 0; i < g->n_outputs; i++)
        l->uses[g->outputs[i].tensor] += g->outputs[i].tensor != g->output;
    for (int i = 0; i < opts->n_keep; i++)
        l->uses[opts->keep[i]]++;
}

static int keep(struct eng_lower *l, const int *tensors, int n)
{
    for (int i = 0; i < n; i++) {
        int v = tensors[i] < 0 ? -1 : eng_lower_need(l, tensors[i], ENG_REP_FILE);
        if (v >= 0)
            l->p->values[v].keep = 1;
        else if (tensors[i] >= 0)
            return v;
    }
    return 0;
}

/* Logits, outputs and embedding in the file's own form, kept after the run. */
static int keep_results(struct eng_lower *l, const struct eng_plan_options *opts)
{
    const struct eng_graph *g = l->g;
    int kept[] = {g->input, g->logits, g->output, g->embedding};
    int rc = keep(l, kept, sizeof(kept) / sizeof(*kept));
    for (int i = 0; i < g->n_outputs; i++) {
        if (rc < 0)
            break;
        rc = keep(l, &g->outputs[i].tensor, 1);
    }
    if (rc == 0)
        rc = keep(l, opts->keep, opts->n_keep);
    if (rc < 0)
        return rc;
    for (int v = 0; l->p->reference && v < l->p->n_values; v++)
        l->p->values[v].keep = 1;
    return 0;
}

static int lower_all(struct eng_lower *l, const struct eng_plan_options *opts)
{
    count_uses(l, opts);
    int rc = eng_lower_make(l, l->g->input, ENG_REP_FILE);
    for (int i = 0; i < l->g->n_nodes; i++) {
        if (rc < 0)
            break;
        if (!l->done[i])
            rc = lower_node(l, i);
        if (rc >= 0 && opts->packed)
            opts->packed(opts->arg, i);
    }
    return rc < 0 ? rc : keep_results(l, opts);
}

int eng_lower(struct eng_plan *p, const struct eng_plan_options *opts, char *err, size_t errlen)
{
    size_t tensors = (size_t)p->g->n_tensors + 1, nodes = (size_t)p->g->n_nodes + 1;
    struct eng_lower l = {.p = p, .g = p->g, .err = err, .errlen = errlen};
    int *ints = calloc(tensors * 4, sizeof(*ints));
    l.done = calloc(nodes, 1);
    int rc = -ENOMEM;
    if (ints && l.done) {
        l.uses = ints;
        l.reader = ints + tensors;
        l.alias_u8 = ints + tensors * 2;
        l.alias_bytes = ints + tensors * 3;
        rc = lower_all(&l, opts);
    } else {
        rc = eng_lower_no_memory(&l);
    }
    free(ints);
    free(l.done);
    return rc;
}
