/* ADD and MUL with broadcasting: shapes are aligned at the last axis, an axis of 1 repeats. */
#include "engine/kernels/ref/ref.h"

/* Element of input t that meets element i of y. */
static size_t broadcast(const struct eng_tensor *t, const struct eng_tensor *y, size_t i)
{
    size_t at = 0, step = 1;
    for (int a = 1; a <= y->rank; a++) {
        size_t dim = (size_t)y->dim[y->rank - a], pos = i % dim;
        i /= dim;
        if (a > t->rank)
            continue;
        size_t own = (size_t)t->dim[t->rank - a];
        if (own != 1)
            at += pos * step;
        step *= own;
    }
    return at;
}

void eng_ref_add(const struct eng_ref_call *c)
{
    const struct eng_tensor *a = eng_ref_in(c, 0), *b = eng_ref_in(c, 1), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y);
    struct eng_add_quant q = {0};
    int quantised = y->type != ENG_F32;
    if (quantised)
        (void)eng_add_quant_init(&q, a, b, y, c->n->lo, c->n->hi); /* eng_ref_supports() saw it */
    for (size_t i = 0; i < n; i++) {
        size_t ia = broadcast(a, y, i), ib = broadcast(b, y, i);
        if (quantised)
            eng_ref_put_q(y->type, c->out, i,
                          eng_add_round(&q, eng_ref_q(a->type, c->in[0], ia),
                                        eng_ref_q(b->type, c->in[1], ib)));
        else
            eng_ref_put_clamped(c, i,
                                ((const float *)c->in[0])[ia] + ((const float *)c->in[1])[ib]);
    }
}

void eng_ref_mul(const struct eng_ref_call *c)
{
    const struct eng_tensor *a = eng_ref_in(c, 0), *b = eng_ref_in(c, 1), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y);
    int quantised = y->type != ENG_F32;
    struct eng_quant_range r = {0};
    float scale = 0;
    if (quantised) {
        r = eng_quant_bounds(y, c->n->lo, c->n->hi);
        scale = eng_quant_multiplier(a, b, 0, y);
    }
    for (size_t i = 0; i < n; i++) {
        size_t ia = broadcast(a, y, i), ib = broadcast(b, y, i);
        if (!quantised) {
            eng_ref_put_clamped(c, i,
                                ((const float *)c->in[0])[ia] * ((const float *)c->in[1])[ib]);
            continue;
        }
        int32_t acc = (eng_ref_q(a->type, c->in[0], ia) - eng_quant_zero(a, 0)) *
                      (eng_ref_q(b->type, c->in[1], ib) - eng_quant_zero(b, 0));
        eng_ref_put_q(y->type, c->out, i, eng_quant_round((float)acc * scale, &r));
    }
}
