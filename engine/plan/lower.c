/* The frame of the lowering: values, representations and conversions between them, and the order in
 * which the lower_*.c files are asked for each node. */
#include "engine/plan/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/kernels/ref/ref.h"

int eng_lower_no_memory(struct eng_lower *l)
{
    return eng_fail(l->err, l->errlen, -ENOMEM, "out of memory");
}

void *eng_lower_alloc(struct eng_lower *l, size_t bytes)
{
    void *m = eng_plan_alloc(l->p, bytes);
    if (!m)
        eng_lower_no_memory(l);
    return m;
}

const struct eng_tensor *eng_lower_in(const struct eng_lower *l, const struct eng_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? &l->g->tensors[n->in[i]] : NULL;
}

int eng_lower_geometry(const struct eng_tensor *t, int *h, int *w, int *c)
{
    if (t->type != ENG_F32 && (!eng_is_quantised(t) || eng_quant_is_per_channel(t)))
        return 0;
    int image = t->rank == 4 && t->dim[0] == 1;
    if (t->rank < 1 || (!image && eng_tensor_elements(t) != (size_t)t->dim[t->rank - 1]))
        return 0;
    *h = image ? t->dim[1] : 1;
    *w = image ? t->dim[2] : 1;
    *c = t->dim[t->rank - 1];
    return 1;
}

/* ---- values ---- */

static int add_value(struct eng_lower *l, struct eng_value v)
{
    struct eng_plan *p = l->p;
    if (p->n_values == p->cap_values) {
        int cap = p->cap_values ? p->cap_values * 2 : 64;
        struct eng_value *grown = realloc(p->values, (size_t)cap * sizeof *grown);
        if (!grown)
            return eng_lower_no_memory(l);
        p->values = grown;
        p->cap_values = cap;
    }
    v.first = v.last = -1;
    v.bytes = eng_round_up(v.bytes, ENG_ALIGN);
    p->values[p->n_values] = v;
    return p->n_values++;
}

int eng_lower_make_c16(struct eng_lower *l, enum eng_type type, int h, int w, int c)
{
    int blocks = eng_ceil_div(c, ENG_BLOCK);
    size_t stride = (size_t)h * (size_t)w * ENG_BLOCK * eng_type_size(type);
    if (h > 1 || w > 1)
        stride = eng_round_up(stride, ENG_ALIGN);
    return add_value(l, (struct eng_value){.rep = ENG_REP_C16,
                                           .type = type,
                                           .h = h,
                                           .w = w,
                                           .c = c,
                                           .blocks = blocks,
                                           .stride = stride,
                                           .bytes = stride * (size_t)blocks});
}

enum eng_type eng_lower_c16_type(const struct eng_lower *l, const struct eng_tensor *t)
{
    if (t->type == ENG_F32 && l->p->bf16)
        return ENG_BF16;
    return t->type == ENG_I8 ? ENG_U8 : t->type;
}

static enum eng_type type_in(const struct eng_lower *l, const struct eng_tensor *t,
                             enum eng_rep rep)
{
    if (rep == ENG_REP_C16)
        return eng_lower_c16_type(l, t);
    return rep == ENG_REP_PIXELS && t->type == ENG_I8 ? ENG_U8 : t->type;
}

int eng_lower_make(struct eng_lower *l, int tensor, enum eng_rep rep)
{
    const struct eng_tensor *t = &l->g->tensors[tensor];
    int h, w, c, v;
    enum eng_type type = type_in(l, t, rep);
    if (rep == ENG_REP_C16) {
        if (!eng_lower_geometry(t, &h, &w, &c))
            return eng_fail(l->err, l->errlen, ENG_E_UNSUPPORTED,
                            "tensor %s has no channel-blocked form", t->name);
        v = eng_lower_make_c16(l, type, h, w, c);
    } else {
        v = add_value(l, (struct eng_value){.rep = rep,
                                            .type = type,
                                            .bytes = eng_tensor_elements(t) * eng_type_size(type)});
    }
    if (v < 0)
        return v;
    int *reps = l->p->rep[tensor];
    reps[rep] = v;
    if (rep != ENG_REP_C16 && t->type != ENG_I8)
        reps[ENG_REP_FILE] = reps[ENG_REP_PIXELS] = v;
    return v;
}

/* ---- steps ---- */

int eng_lower_step(struct eng_lower *l, const struct eng_step *s, const int *in, int n_in)
{
    struct eng_plan *p = l->p;
    int *copy = eng_lower_alloc(l, sizeof *copy * (size_t)(n_in + 1));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, in, sizeof *copy * (size_t)n_in);
    if (p->n_steps == p->cap_steps) {
        int cap = p->cap_steps ? p->cap_steps * 2 : 64;
        struct eng_step *grown = realloc(p->steps, (size_t)cap * sizeof *grown);
        if (!grown)
            return eng_lower_no_memory(l);
        p->steps = grown;
        p->cap_steps = cap;
    }
    p->steps[p->n_steps] = *s;
    p->steps[p->n_steps].in = copy;
    p->steps[p->n_steps].n_in = n_in;
    return p->n_steps++;
}

/* A step that turns one representation of a tensor into another. */
static int convert(struct eng_lower *l, int tensor, enum eng_rep from, enum eng_rep to,
                   const struct eng_driver *driver)
{
    int in = eng_lower_need(l, tensor, from);
    if (in < 0)
        return in;
    const struct eng_tensor *t = &l->g->tensors[tensor];
    struct eng_layout_params *lp = eng_lower_alloc(l, sizeof *lp);
    int out = lp ? eng_lower_make(l, tensor, to) : -ENOMEM;
    if (out < 0)
        return out;
    lp->flip = t->type == ENG_I8;
    lp->elements = eng_tensor_elements(t);
    lp->in = l->p->values[in].type;
    lp->out = l->p->values[out].type;
    int h, w;
    if ((from == ENG_REP_C16 || to == ENG_REP_C16) && eng_lower_geometry(t, &h, &w, &lp->c)) {
        const struct eng_value *v = &l->p->values[from == ENG_REP_C16 ? in : out];
        lp->b = (struct eng_blocks_params){v->blocks, h * w, v->stride};
    }
    struct eng_step s = {
        .driver = driver, .node = -1, .node2 = -1, .out = out, .mid = -1, .params = lp};
    int rc = eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : out;
}

/* NHWC of a tensor that exists in C16: where it has one pixel and its own type, the same bytes. */
static int from_c16(struct eng_lower *l, int tensor)
{
    int v = l->p->rep[tensor][ENG_REP_C16];
    const struct eng_value *value = &l->p->values[v];
    if (value->h == 1 && value->w == 1 && l->g->tensors[tensor].type == value->type) {
        l->p->rep[tensor][ENG_REP_FILE] = l->p->rep[tensor][ENG_REP_PIXELS] = v;
        return v;
    }
    return convert(l, tensor, ENG_REP_C16, ENG_REP_FILE, &eng_drive_to_nhwc);
}

static int is_one_pixel(const struct eng_lower *l, int tensor)
{
    int h, w, c;
    return eng_lower_geometry(&l->g->tensors[tensor], &h, &w, &c) && h == 1 && w == 1;
}

/* Follows an alias if the representation is shared: the other tensor, or -1. */
static int alias_for(const struct eng_lower *l, int tensor, enum eng_rep rep)
{
    int other = l->alias_bytes[tensor];
    if (other >= 0)
        return rep != ENG_REP_C16 || (is_one_pixel(l, tensor) && is_one_pixel(l, other)) ? other
                                                                                         : -1;
    return rep == ENG_REP_FILE ? -1 : l->alias_u8[tensor];
}

int eng_lower_need(struct eng_lower *l, int tensor, enum eng_rep rep)
{
    int *reps = l->p->rep[tensor];
    if (reps[rep] >= 0)
        return reps[rep];
    int other = alias_for(l, tensor, rep);
    if (other >= 0) {
        int v = eng_lower_need(l, other, rep);
        if (v >= 0)
            reps[rep] = v;
        return v;
    }
    enum eng_type type = l->g->tensors[tensor].type;
    switch (rep) {
    case ENG_REP_C16:
        return convert(l, tensor, ENG_REP_FILE, ENG_REP_C16, &eng_drive_to_c16);
    case ENG_REP_PIXELS:
        if (type != ENG_I8)
            return reps[ENG_REP_PIXELS] = eng_lower_need(l, tensor, ENG_REP_FILE);
        return convert(l, tensor, ENG_REP_FILE, ENG_REP_PIXELS, &eng_drive_flip);
    default:
        if (reps[ENG_REP_C16] >= 0)
            return from_c16(l, tensor);
        if (reps[ENG_REP_PIXELS] >= 0 || l->alias_u8[tensor] >= 0) {
            if (type != ENG_I8)
                return reps[ENG_REP_FILE] = eng_lower_need(l, tensor, ENG_REP_PIXELS);
            return convert(l, tensor, ENG_REP_PIXELS, ENG_REP_FILE, &eng_drive_flip);
        }
        return eng_fail(l->err, l->errlen, ENG_E_DATA, "tensor %s is used before it is made",
                        l->g->tensors[tensor].name);
    }
}

/* ---- nodes ---- */

/* Always 1 or a failure. */
static int lower_ref(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    int in[ENG_MAX_INPUTS];
    int rc = eng_ref_supports(l->g, n, l->err, l->errlen);
    if (rc < 0)
        return rc;
    struct eng_ref_params *rp = eng_lower_alloc(l, sizeof *rp);
    if (!rp)
        return -ENOMEM;
    rp->g = l->g;
    rp->node = n;
    rp->constants = eng_lower_alloc(l, sizeof *rp->constants * (size_t)(n->n_in + 1));
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
                         .kernel = "ref"};
    rc = eng_lower_step(l, &s, in, n->n_in);
    return rc < 0 ? rc : 1;
}

static int lower_node(struct eng_lower *l, int i)
{
    static int (*const kinds[])(struct eng_lower *, int) = {
        eng_lower_alias,  eng_lower_conv3,      eng_lower_gemm,     eng_lower_depthwise,
        eng_lower_pool,   eng_lower_add,        eng_lower_lut,      eng_lower_softmax,
        eng_lower_window, eng_lower_activation, eng_lower_channels, eng_lower_product,
        eng_lower_dwk,    eng_lower_concat,     eng_lower_gather,
    };
    if (!l->p->reference) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
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

/* Logits, output and embedding in the file's own form, kept after the run. */
static int keep_results(struct eng_lower *l, const struct eng_plan_options *opts)
{
    const struct eng_graph *g = l->g;
    int kept[] = {g->input, g->logits, g->output, g->embedding};
    int rc = keep(l, kept, sizeof kept / sizeof *kept);
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
    for (int i = 0; rc >= 0 && i < l->g->n_nodes; i++) {
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
    int *ints = calloc(tensors * 4, sizeof *ints);
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
