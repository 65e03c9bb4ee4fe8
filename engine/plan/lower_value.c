/* Values, their representations and the conversions between them, and steps: what the lowering of
 * nodes puts together. */
#include "engine/plan/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

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
        struct eng_value *grown = realloc(p->values, (size_t)cap * sizeof(*grown));
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
    int *copy = eng_lower_alloc(l, sizeof(*copy) * (size_t)(n_in + 1));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, in, sizeof(*copy) * (size_t)n_in);
    if (p->n_steps == p->cap_steps) {
        int cap = p->cap_steps ? p->cap_steps * 2 : 64;
        struct eng_step *grown = realloc(p->steps, (size_t)cap * sizeof(*grown));
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
    struct eng_layout_params *lp = eng_lower_alloc(l, sizeof(*lp));
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

int eng_lower_c16_step(struct eng_lower *l, int i, const struct eng_driver *driver,
                       const void *params, const char *kernel, int n_in)
{
    const struct eng_node *n = &l->g->nodes[i];
    int in[ENG_MAX_INPUTS];
    for (int k = 0; k < n_in; k++) {
        in[k] = eng_lower_need(l, n->in[k], ENG_REP_C16);
        if (in[k] < 0)
            return in[k];
    }
    struct eng_step s = {.driver = driver, .node = i, .node2 = -1, .mid = -1};
    s.params = params;
    s.kernel = kernel;
    s.out = eng_lower_make(l, n->out, ENG_REP_C16);
    int rc = s.out < 0 ? s.out : eng_lower_step(l, &s, in, n_in);
    return rc < 0 ? rc : 1;
}
