/* Quantised depthwise of windows other than 3x3, and of dilated ones: weights as int16 less their
 * zero points, so that a tap is one product of 16-bit numbers, and taps in the padding are left
 * out. */
#include "engine/plan/lower.h"
#include "engine/plan/maps.h"

static int fits(const struct eng_lower *l, const struct eng_node *n)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2), *y = &l->g->tensors[n->out];
    int h, width, c;
    return n->op == ENG_OP_DEPTHWISE && n->multiplier == 1 && !x->data && eng_is_quantised(x) &&
           x->type == y->type && eng_is_quantised(w) && w->data && (!b || b->data) &&
           eng_lower_geometry(x, &h, &width, &c) && eng_lower_geometry(y, &h, &width, &c);
}

static void pack_weights(const struct eng_tensor *w, int taps, int channels, int16_t *to)
{
    const uint8_t *u8 = w->data;
    const int8_t *i8 = w->data;
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < channels; c++) {
            size_t from = (size_t)tap * (size_t)channels + (size_t)c;
            size_t at = ((size_t)(c / ENG_BLOCK) * (size_t)taps + (size_t)tap) * ENG_BLOCK;
            int q = w->type == ENG_I8 ? i8[from] : u8[from];
            to[at + (size_t)(c % ENG_BLOCK)] = (int16_t)(q - eng_quant_zero(w, c));
        }
}

/* Weights, biases and scales of every channel; lanes that pad the last block are zero. */
static int pack(struct eng_lower *l, const struct eng_node *n, struct eng_dwk_u8_params *p)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2), *y = &l->g->tensors[n->out];
    int channels = y->dim[3], taps = n->win.kh * n->win.kw;
    size_t lanes = (size_t)p->b.blocks * ENG_BLOCK;
    int16_t *weights = eng_plan_alloc_packed(l->p, lanes * (size_t)taps * sizeof(*weights));
    int32_t *bias = eng_plan_alloc_packed(l->p, lanes * sizeof(*bias));
    float *scale = eng_plan_alloc_packed(l->p, lanes * sizeof(*scale));
    if (!weights || !bias || !scale)
        return eng_lower_no_memory(l);
    pack_weights(w, taps, channels, weights);
    for (int c = 0; c < channels; c++) {
        bias[c] = b ? ((const int32_t *)b->data)[c] : 0;
        scale[c] = eng_quant_multiplier(x, w, c, y);
    }
    p->weights = weights;
    p->bias = bias;
    p->scale = scale;
    return 0;
}

int eng_lower_dwk_u8(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_DEPTHWISE || !fits(l, n))
        return 0;
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    struct eng_dwk_u8_params *p = eng_lower_alloc(l, sizeof(*p));
    if (!p)
        return eng_lower_no_memory(l);
    p->in_h = x->dim[1];
    p->in_w = x->dim[2];
    p->out_h = y->dim[1];
    p->out_w = y->dim[2];
    p->b.blocks = eng_ceil_div(y->dim[3], ENG_BLOCK);
    p->b.pixels = p->out_h * p->out_w;
    p->b.block_bytes = (size_t)p->b.pixels * ENG_BLOCK;
    p->win = n->win;
    p->zx = eng_quant_zero(x, 0) + eng_pack_shift(x->type);
    p->range = eng_quant_bounds(y, n->lo, n->hi);
    p->range.zero_point += eng_pack_shift(y->type);
    p->range.lo += eng_pack_shift(y->type);
    p->range.hi += eng_pack_shift(y->type);
    int rc = pack(l, n, p);
    return rc < 0 ? rc : eng_lower_c16_step(l, i, &eng_drive_dwk_u8, p, "dwk_u8", 1);
}
