/* Elements of tensors as real numbers, whatever their type. */
#include "engine/kernels/ref/ref.h"

#include <math.h>

float eng_ref_real(const struct eng_tensor *t, const void *data, size_t i)
{
    if (t->type == ENG_F32)
        return ((const float *)data)[i];
    return eng_quant_scale(t, 0) * (float)(eng_ref_q(t->type, data, i) - eng_quant_zero(t, 0));
}

void eng_ref_put_real(const struct eng_tensor *t, void *data, size_t i, float v)
{
    if (t->type == ENG_F32) {
        ((float *)data)[i] = v;
        return;
    }
    struct eng_quant_range r = eng_quant_bounds(t, -INFINITY, INFINITY);
    eng_ref_put_q(t->type, data, i, eng_quant_round(v / eng_quant_scale(t, 0), &r));
}

void eng_ref_put_clamped(const struct eng_ref_call *c, size_t i, float v)
{
    v = v > c->n->lo ? v : c->n->lo;
    v = v < c->n->hi ? v : c->n->hi;
    eng_ref_put_real(eng_ref_out(c), c->out, i, v);
}
