/* Convolution of any kernel, stride, dilation and groups; depthwise with a multiplier; fully
 * connected. Quantised: an int32 sum that wraps as the vector instructions do. */
#include "engine/kernels/ref/ref.h"

/* Shapes of one call, and the part of the sum that an output element sees. */
struct shape {
    int in_h, in_w, in_c, out_h, out_w, out_c;
    const struct eng_window *win;
};

static struct shape shape_of(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    return (struct shape){.in_h = x->dim[1],
                          .in_w = x->dim[2],
                          .in_c = x->dim[3],
                          .out_h = y->dim[1],
                          .out_w = y->dim[2],
                          .out_c = y->dim[3],
                          .win = &c->n->win};
}

/* Index of the input pixel under tap (ky, kx) of output pixel (oy, ox); -1 in the padding, which
 * adds nothing to a sum of differences from the zero point. */
static ptrdiff_t tap(const struct shape *s, int oy, int ox, int ky, int kx)
{
    int y = oy * s->win->sh - s->win->top + ky * s->win->dh;
    int x = ox * s->win->sw - s->win->left + kx * s->win->dw;
    if (y < 0 || y >= s->in_h || x < 0 || x >= s->in_w)
        return -1;
    return (ptrdiff_t)y * s->in_w + x;
}

/* sum (x - zx)(w - zw) over n values, modulo 2^32. */
static inline uint32_t dot_q(enum eng_type xt, const void *x, size_t xi, int32_t zx,
                             enum eng_type wt, const void *w, size_t wi, int32_t zw, int n)
{
    uint32_t acc = 0;
    for (int i = 0; i < n; i++)
        acc += (uint32_t)((eng_ref_q(xt, x, xi + (size_t)i) - zx) *
                          (eng_ref_q(wt, w, wi + (size_t)i) - zw));
    return acc;
}

/* The types as constants, so that the inner loop has no branch. */
static uint32_t dot_typed(enum eng_type xt, const void *x, size_t xi, int32_t zx, enum eng_type wt,
                          const void *w, size_t wi, int32_t zw, int n)
{
    if (xt == ENG_U8)
        return wt == ENG_U8 ? dot_q(ENG_U8, x, xi, zx, ENG_U8, w, wi, zw, n)
                            : dot_q(ENG_U8, x, xi, zx, ENG_I8, w, wi, zw, n);
    return wt == ENG_U8 ? dot_q(ENG_I8, x, xi, zx, ENG_U8, w, wi, zw, n)
                        : dot_q(ENG_I8, x, xi, zx, ENG_I8, w, wi, zw, n);
}

static float dot_f(const float *x, const float *w, int n)
{
    float acc = 0;
    for (int i = 0; i < n; i++)
        acc += x[i] * w[i];
    return acc;
}

/* Adds the bias of output channel o, scales, rounds, clamps, stores element i. */
static void finish_q(const struct eng_ref_call *c, uint32_t acc, int o, size_t i,
                     const struct eng_quant_range *r)
{
    const int32_t *bias = c->n->n_in > 2 ? c->in[2] : NULL;
    if (bias)
        acc += (uint32_t)bias[o];
    float scale = eng_quant_multiplier(eng_ref_in(c, 0), eng_ref_in(c, 1), o, eng_ref_out(c));
    eng_ref_put_q(eng_ref_out(c)->type, c->out, i, eng_quant_round((float)(int32_t)acc * scale, r));
}

static void finish_f(const struct eng_ref_call *c, float acc, int o, size_t i)
{
    const float *bias = c->n->n_in > 2 ? c->in[2] : NULL;
    eng_ref_put_clamped(c, i, bias ? acc + bias[o] : acc);
}

/* One output element of channel o: `span` input channels from c0 at every tap; the weights of tap
 * (ky, kx) start at w0 + (ky * kw + kx) * w_step. */
static void element(const struct eng_ref_call *c, const struct shape *s, int oy, int ox, int o,
                    int c0, int span, size_t w0, size_t w_step, const struct eng_quant_range *r)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *w = eng_ref_in(c, 1);
    int quantised = x->type != ENG_F32;
    int32_t zx = quantised ? eng_quant_zero(x, 0) : 0, zw = quantised ? eng_quant_zero(w, o) : 0;
    uint32_t acc = 0;
    float facc = 0;
    for (int ky = 0; ky < s->win->kh; ky++) {
        for (int kx = 0; kx < s->win->kw; kx++) {
            ptrdiff_t p = tap(s, oy, ox, ky, kx);
            if (p < 0)
                continue;
            size_t xi = (size_t)p * (size_t)s->in_c + (size_t)c0;
            size_t wi = w0 + ((size_t)ky * (size_t)s->win->kw + (size_t)kx) * w_step;
            if (quantised)
                acc += dot_typed(x->type, c->in[0], xi, zx, w->type, c->in[1], wi, zw, span);
            else
                facc += dot_f((const float *)c->in[0] + xi, (const float *)c->in[1] + wi, span);
        }
    }
    size_t i = ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out_c + (size_t)o;
    if (quantised)
        finish_q(c, acc, o, i, r);
    else
        finish_f(c, facc, o, i);
}

static struct eng_quant_range range_of(const struct eng_ref_call *c)
{
    if (eng_ref_out(c)->type == ENG_F32)
        return (struct eng_quant_range){0};
    return eng_quant_bounds(eng_ref_out(c), c->n->lo, c->n->hi);
}

void eng_ref_conv(const struct eng_ref_call *c)
{
    struct shape s = shape_of(c);
    struct eng_quant_range r = range_of(c);
    int span = s.in_c / c->n->groups, group_out = s.out_c / c->n->groups;
    size_t filter = (size_t)s.win->kh * (size_t)s.win->kw * (size_t)span;
    for (int oy = 0; oy < s.out_h; oy++)
        for (int ox = 0; ox < s.out_w; ox++)
            for (int o = 0; o < s.out_c; o++)
                element(c, &s, oy, ox, o, o / group_out * span, span, (size_t)o * filter,
                        (size_t)span, &r);
}

void eng_ref_depthwise(const struct eng_ref_call *c)
{
    struct shape s = shape_of(c);
    struct eng_quant_range r = range_of(c);
    for (int oy = 0; oy < s.out_h; oy++)
        for (int ox = 0; ox < s.out_w; ox++)
            for (int o = 0; o < s.out_c; o++)
                element(c, &s, oy, ox, o, o / c->n->multiplier, 1, (size_t)o, (size_t)s.out_c, &r);
}

void eng_ref_fc(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *w = eng_ref_in(c, 1);
    struct eng_quant_range r = range_of(c);
    int outputs = w->dim[0], inputs = w->dim[1];
    size_t rows = eng_tensor_elements(x) / (size_t)inputs;
    for (size_t row = 0; row < rows; row++) {
        for (int o = 0; o < outputs; o++) {
            size_t xi = row * (size_t)inputs, wi = (size_t)o * (size_t)inputs;
            size_t i = row * (size_t)outputs + (size_t)o;
            if (x->type == ENG_F32)
                finish_f(c,
                         dot_f((const float *)c->in[0] + xi, (const float *)c->in[1] + wi, inputs),
                         o, i);
            else
                finish_q(c,
                         dot_typed(x->type, c->in[0], xi, eng_quant_zero(x, 0), w->type, c->in[1],
                                   wi, eng_quant_zero(w, o), inputs),
                         o, i, &r);
        }
    }
}
