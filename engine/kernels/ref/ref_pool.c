/* Average, maximum and global pooling. */
#include "engine/kernels/ref/ref.h"

#include <math.h>

/* The pixels of the image that one window covers, and how many it spans with padding. */
struct cover {
    int y0, y1, x0, x1;
    int count, padded_count;
};

static struct cover cover_of(const struct eng_ref_call *c, int oy, int ox)
{
    const struct eng_window *w = &c->n->win;
    int h = eng_ref_in(c, 0)->dim[1], width = eng_ref_in(c, 0)->dim[2];
    int y = oy * w->sh - w->top, x = ox * w->sw - w->left;
    struct cover k = {.y0 = y < 0 ? 0 : y,
                      .x0 = x < 0 ? 0 : x,
                      .y1 = y + w->kh < h ? y + w->kh : h,
                      .x1 = x + w->kw < width ? x + w->kw : width};
    int rows = k.y1 > k.y0 ? k.y1 - k.y0 : 0, cols = k.x1 > k.x0 ? k.x1 - k.x0 : 0;
    k.count = rows * cols;
    int end_y = y + w->kh < h + w->bottom ? y + w->kh : h + w->bottom;
    int end_x = x + w->kw < width + w->right ? x + w->kw : width + w->right;
    k.padded_count = (end_y - y) * (end_x - x);
    return k;
}

/* Sum of channel ch over a window: of quanta less the zero point, or of reals. */
static int32_t sum_q(const struct eng_ref_call *c, const struct cover *k, int ch, int32_t zero)
{
    const struct eng_tensor *x = eng_ref_in(c, 0);
    int32_t sum = 0;
    for (int y = k->y0; y < k->y1; y++)
        for (int col = k->x0; col < k->x1; col++)
            sum += eng_ref_q(x->type, c->in[0],
                             ((size_t)y * (size_t)x->dim[2] + (size_t)col) * (size_t)x->dim[3] +
                                 (size_t)ch) -
                   zero;
    return sum;
}

static float sum_f(const struct eng_ref_call *c, const struct cover *k, int ch)
{
    const struct eng_tensor *x = eng_ref_in(c, 0);
    const float *in = c->in[0];
    float sum = 0;
    for (int y = k->y0; y < k->y1; y++)
        for (int col = k->x0; col < k->x1; col++)
            sum +=
                in[((size_t)y * (size_t)x->dim[2] + (size_t)col) * (size_t)x->dim[3] + (size_t)ch];
    return sum;
}

/* Average of one window as XNNPACK's pools do it; `exact` where they rescale even if input and
 * output agree (MEAN). */
static void average(const struct eng_ref_call *c, const struct cover *k, int ch, size_t i,
                    int rescale)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    int count = c->n->op == ENG_OP_AVGPOOL && c->n->count_include_pad ? k->padded_count : k->count;
    if (count < 1)
        count = 1;
    if (x->type == ENG_F32) {
        eng_ref_put_clamped(c, i, sum_f(c, k, ch) / (float)count);
        return;
    }
    struct eng_quant_range r = eng_quant_bounds(y, c->n->lo, c->n->hi);
    int32_t zero = eng_quant_zero(x, 0), q;
    if (rescale || !eng_quant_same(x, y)) {
        q = eng_quant_round((float)sum_q(c, k, ch, zero) * eng_quant_mean_scale(x, y, count), &r);
    } else {
        q = eng_quant_average(sum_q(c, k, ch, 0) + (count - k->count) * zero, count);
        q = q < r.lo ? r.lo : q > r.hi ? r.hi : q;
    }
    eng_ref_put_q(y->type, c->out, i, q);
}

void eng_ref_avgpool(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    size_t i = 0;
    for (int oy = 0; oy < y->dim[1]; oy++)
        for (int ox = 0; ox < y->dim[2]; ox++) {
            struct cover k = cover_of(c, oy, ox);
            for (int ch = 0; ch < y->dim[3]; ch++)
                average(c, &k, ch, i++, 0);
        }
}

void eng_ref_mean(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0);
    struct cover k = {.y1 = x->dim[1], .x1 = x->dim[2], .count = x->dim[1] * x->dim[2]};
    for (int ch = 0; ch < x->dim[3]; ch++)
        average(c, &k, ch, (size_t)ch, 1);
}

/* Largest value of a window, in quanta or reals; x and y share scale and zero point. */
static void maximum(const struct eng_ref_call *c, const struct cover *k, int ch, size_t i)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    float best = -INFINITY;
    for (int row = k->y0; row < k->y1; row++)
        for (int col = k->x0; col < k->x1; col++) {
            size_t p =
                ((size_t)row * (size_t)x->dim[2] + (size_t)col) * (size_t)x->dim[3] + (size_t)ch;
            float v = x->type == ENG_F32 ? ((const float *)c->in[0])[p]
                                         : (float)eng_ref_q(x->type, c->in[0], p);
            best = v > best ? v : best;
        }
    if (x->type == ENG_F32) {
        eng_ref_put_clamped(c, i, best);
        return;
    }
    struct eng_quant_range r = eng_quant_bounds(y, c->n->lo, c->n->hi);
    int32_t q = best < (float)r.lo ? r.lo : (int32_t)best;
    if (!eng_quant_same(x, y)) {
        struct eng_rescale s = eng_rescale_init(x, y);
        q = eng_rescale_round(&s, (int32_t)best);
    }
    eng_ref_put_q(y->type, c->out, i, q < r.lo ? r.lo : q > r.hi ? r.hi : q);
}

void eng_ref_maxpool(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    size_t i = 0;
    for (int oy = 0; oy < y->dim[1]; oy++)
        for (int ox = 0; ox < y->dim[2]; ox++) {
            struct cover k = cover_of(c, oy, ox);
            for (int ch = 0; ch < y->dim[3]; ch++)
                maximum(c, &k, ch, i++);
        }
}
