/* Operators of one value at a time: quantise, dequantise, activations, batch norm, PReLU; softmax.
 */
#include "engine/kernels/ref/ref.h"

#include <math.h>

void eng_ref_quantize(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y);
    if (x->type == ENG_F32) {
        for (size_t i = 0; i < n; i++)
            eng_ref_put_real(y, c->out, i, ((const float *)c->in[0])[i]);
        return;
    }
    struct eng_rescale r = eng_convert_init(x, y);
    for (size_t i = 0; i < n; i++)
        eng_ref_put_q(y->type, c->out, i, eng_rescale_round(&r, eng_ref_q(x->type, c->in[0], i)));
}

void eng_ref_dequantize(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y);
    for (size_t i = 0; i < n; i++)
        ((float *)c->out)[i] = eng_ref_real(x, c->in[0], i);
}

static float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static float activate(const struct eng_node *n, float v)
{
    switch (n->unary) {
    case ENG_UNARY_CLAMP:
        return v;
    case ENG_UNARY_LEAKY_RELU:
        return v < 0 ? v * n->alpha : v;
    case ENG_UNARY_SIGMOID:
        return 1.0f / (1.0f + expf(-v));
    case ENG_UNARY_HARD_SIGMOID:
        return clamp(n->alpha * v + n->beta, 0, 1);
    case ENG_UNARY_HARD_SWISH:
        return v * clamp(v / 6.0f + 0.5f, 0, 1);
    case ENG_UNARY_SWISH:
        return v / (1.0f + expf(-v));
    case ENG_UNARY_TANH:
        return tanhf(v);
    case ENG_UNARY_EXP:
        return expf(v);
    case ENG_UNARY_LOG:
        return logf(v);
    case ENG_UNARY_SQRT:
        return sqrtf(v);
    case ENG_UNARY_RSQRT:
        return 1.0f / sqrtf(v);
    case ENG_UNARY_SQUARE:
        return v * v;
    case ENG_UNARY_ABS:
        return fabsf(v);
    case ENG_UNARY_NEG:
        return -v;
    case ENG_UNARY_FLOOR:
        return floorf(v);
    }
    return v;
}

void eng_ref_unary(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0);
    size_t n = eng_tensor_elements(eng_ref_out(c));
    for (size_t i = 0; i < n; i++)
        eng_ref_put_clamped(c, i, activate(c->n, eng_ref_real(x, c->in[0], i)));
}

void eng_ref_batchnorm(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *scale = eng_ref_in(c, 1);
    const struct eng_tensor *offset = eng_ref_in(c, 2);
    size_t n = eng_tensor_elements(x), channels = (size_t)x->dim[x->rank - 1];
    for (size_t i = 0; i < n; i++)
        eng_ref_put_clamped(c, i,
                            eng_ref_real(x, c->in[0], i) *
                                    eng_ref_real(scale, c->in[1], i % channels) +
                                eng_ref_real(offset, c->in[2], i % channels));
}

void eng_ref_prelu(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *slope = eng_ref_in(c, 1);
    size_t n = eng_tensor_elements(x), slopes = eng_tensor_elements(slope);
    for (size_t i = 0; i < n; i++) {
        float v = eng_ref_real(x, c->in[0], i);
        eng_ref_put_clamped(c, i, v < 0 ? v * eng_ref_real(slope, c->in[1], i % slopes) : v);
    }
}

static void softmax_f(const float *x, float *y, size_t n, float beta)
{
    float max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf((x[i] - max) * beta);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
}

/* TFLite's SoftmaxInt8LUT: a float table of exp(-scale * beta * d), summed in order, one product
 * with 1 / (sum * output scale), rounded half up. exp in double: the table must not depend on the
 * C library's expf. */
void eng_ref_softmax_table(float scale, float beta, float table[256])
{
    float step = -scale * beta;
    for (int d = 0; d < 256; d++)
        table[d] = (float)exp((double)(step * (float)d));
}

uint8_t eng_ref_softmax_round(float p, enum eng_type type, const struct eng_quant_range *r)
{
    double q = type == ENG_U8 ? (double)floorf(p + 0.5f) : floor((double)p + 0.5);
    q += r->zero_point;
    return (uint8_t)(q < r->lo ? r->lo : q > r->hi ? r->hi : (int32_t)q);
}

static void softmax_q(const struct eng_ref_call *c, size_t first, size_t n)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    float sum = 0, table[256];
    eng_ref_softmax_table(eng_quant_scale(x, 0), c->n->beta, table);
    int32_t max = INT32_MIN;
    for (size_t i = first; i < first + n; i++) {
        int32_t q = eng_ref_q(x->type, c->in[0], i);
        max = q > max ? q : max;
    }
    for (size_t i = first; i < first + n; i++)
        sum += table[max - eng_ref_q(x->type, c->in[0], i)];
    float inverse = 1.0f / (sum * eng_quant_scale(y, 0));
    struct eng_quant_range r = eng_quant_bounds(y, -INFINITY, INFINITY);
    for (size_t i = first; i < first + n; i++) {
        float p = table[max - eng_ref_q(x->type, c->in[0], i)] * inverse;
        ((uint8_t *)c->out)[i] = eng_ref_softmax_round(p, y->type, &r);
    }
}

void eng_ref_softmax(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0);
    size_t n = (size_t)x->dim[x->rank - 1], rows = eng_tensor_elements(x) / n;
    for (size_t row = 0; row < rows; row++) {
        if (x->type == ENG_F32)
            softmax_f((const float *)c->in[0] + row * n, (float *)c->out + row * n, n, c->n->beta);
        else
            softmax_q(c, row * n, n);
    }
}
