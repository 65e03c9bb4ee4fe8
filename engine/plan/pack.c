/* Weights of a node into the tile layout of the chosen kernels: from the file's type and order to
 * the canonical form that kernel.h asks for (u8 quanta, zero point + 128 for i8), then pack(). */
#include "engine/plan/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int eng_pack_shift(enum eng_type type)
{
    return type == ENG_I8 ? 128 : 0;
}

/* The requantisation of a node's output in u8 quanta. */
static struct eng_requant requant_of(const struct eng_tensor *y, float lo, float hi)
{
    struct eng_quant_range r = eng_quant_bounds(y, lo, hi);
    int shift = eng_pack_shift(y->type);
    return (struct eng_requant){.zero_point = r.zero_point + shift,
                                .lo = (uint8_t)(r.lo + shift),
                                .hi = (uint8_t)(r.hi + shift)};
}

/* Canonical per-channel arrays of a quantised node; in one allocation. */
struct canonical {
    float *scale;
    int32_t *zw;
    uint8_t *w;
    const int32_t *bias;
    int zx;
    int one_zero; /* all zw are equal */
};

static int canonical_init(struct canonical *c, const struct eng_lower *l, const struct eng_node *n,
                          int channels, size_t weights)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2), *y = &l->g->tensors[n->out];
    size_t head = (size_t)channels * (sizeof(*c->scale) + sizeof(*c->zw));
    char *m = malloc(head + weights + 1);
    if (!m)
        return -ENOMEM;
    c->scale = (float *)(void *)m;
    c->zw = (int32_t *)(void *)(m + (size_t)channels * sizeof(*c->scale));
    c->w = (uint8_t *)m + head;
    c->bias = b ? b->data : NULL;
    c->zx = eng_quant_zero(x, 0) + eng_pack_shift(x->type);
    c->one_zero = 1;
    for (int i = 0; i < channels; i++) {
        c->scale[i] = eng_quant_multiplier(x, w, i, y);
        c->zw[i] = eng_quant_zero(w, i) + eng_pack_shift(w->type);
        c->one_zero &= c->zw[i] == c->zw[0];
    }
    return 0;
}

static void canonical_finish(struct canonical *c)
{
    free(c->scale);
}

/* u8 quantum i of weights. */
static uint8_t quantum(const struct eng_tensor *w, size_t i)
{
    const uint8_t *data = w->data;
    return w->type == ENG_I8 ? data[i] ^ 0x80 : data[i];
}

/* ---- pointwise ---- */

static void pw_shape(struct eng_pw *pw, int k, int n, int mr, int nr, int macs, size_t panel_bytes)
{
    pw->together = 1;
    pw->macs = macs;
    pw->k = k;
    pw->n = n;
    pw->mr = mr;
    pw->nr = nr;
    pw->k_blocks = eng_ceil_div(k, ENG_BLOCK);
    pw->n_blocks = eng_ceil_div(n, ENG_BLOCK);
    pw->n_panels = eng_ceil_div(n, nr);
    pw->panel_bytes = panel_bytes;
}

/* Element k of filter o in a k that pads each tap to `taps_k` channels; -1 in the padding. */
static ptrdiff_t filter_index(int o, int k, int taps, int taps_c, int taps_k)
{
    int tap = k / taps_k, c = k % taps_k;
    return c < taps_c ? ((ptrdiff_t)o * taps + tap) * taps_c + c : -1;
}

static int pack_gemm_u8(struct eng_lower *l, const struct eng_node *n, int taps, int taps_c,
                        int taps_k, struct eng_pw *pw)
{
    const struct eng_tensor *w = eng_lower_in(l, n, 1);
    const struct eng_pw_u8_kernel *kernel = l->p->kernels.pw_u8;
    int k = taps * taps_k, outputs = w->dim[0];
    struct canonical c;
    if (canonical_init(&c, l, n, outputs, (size_t)k * (size_t)outputs) < 0)
        return eng_lower_no_memory(l);
    if (!c.one_zero) {
        canonical_finish(&c);
        return 0;
    }
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < k; i++) {
            ptrdiff_t at = filter_index(o, i, taps, taps_c, taps_k);
            c.w[(size_t)o * (size_t)k + (size_t)i] =
                at < 0 ? (uint8_t)c.zw[0] : quantum(w, (size_t)at);
        }
    struct eng_pw_u8_weights canon = {.k = k,
                                      .n = outputs,
                                      .w = c.w,
                                      .zw = c.zw[0],
                                      .zx = c.zx,
                                      .bias = c.bias,
                                      .scale = c.scale};
    pw_shape(pw, k, outputs, kernel->mr, kernel->nr, kernel->macs, kernel->panel_bytes(k));
    pw->together = kernel->together;
    pw->u8 = kernel;
    pw->sum = l->p->kernels.sum_u8;
    pw->needs_sum = kernel->needs_sum(&canon);
    pw->rq = requant_of(&l->g->tensors[n->out], n->lo, n->hi);
    void *packed = eng_plan_alloc_packed(l->p, pw->panel_bytes * (size_t)pw->n_panels);
    if (packed)
        kernel->pack(&canon, packed);
    pw->packed = packed;
    canonical_finish(&c);
    return packed ? 1 : eng_lower_no_memory(l);
}

/* Fewer taps than inputs must outweigh that panels are not taken in pairs. */
static int is_sparse(int taps, int k)
{
    return 8 * taps <= 7 * k;
}

/* `parts`: of bf16. A pixel alone waits for its weights, which parts make half as long again. */
static void choose_float(struct eng_pw *pw, const struct eng_pw_f32_weights *w, int parts,
                         const struct eng_kernels *kernels)
{
    if (pw->type == ENG_BF16) {
        pw->bf16 = kernels->pw_bf16;
        pw_shape(pw, w->k, w->n, pw->bf16->mr, pw->bf16->nr, pw->bf16->macs,
                 pw->bf16->panel_bytes(w->k));
        pw->together = pw->bf16->together;
        return;
    }
    if (parts) {
        pw->f32x = kernels->pw_f32x;
        pw_shape(pw, w->k, w->n, pw->f32x->mr, pw->f32x->nr, pw->f32x->macs,
                 pw->f32x->panel_bytes(w->k));
        return;
    }
    pw->taps = kernels->spw_f32->taps(w);
    if (is_sparse(pw->taps, w->k)) {
        pw->spw = kernels->spw_f32;
        pw_shape(pw, w->k, w->n, pw->spw->mr, pw->spw->nr, pw->spw->macs,
                 pw->spw->panel_bytes(pw->taps));
        return;
    }
    pw->f32 = kernels->pw_f32;
    pw_shape(pw, w->k, w->n, pw->f32->mr, pw->f32->nr, pw->f32->macs, pw->f32->panel_bytes(w->k));
}

/* f32 or bf16: the same canonical weights. */
static int pack_gemm_f32(struct eng_lower *l, const struct eng_node *n, int taps, int taps_c,
                         int taps_k, struct eng_pw *pw)
{
    const struct eng_tensor *w = eng_lower_in(l, n, 1), *b = eng_lower_in(l, n, 2);
    const struct eng_kernels *kernels = &l->p->kernels;
    int k = taps * taps_k, outputs = w->dim[0];
    const float *from = w->data;
    float *padded = NULL;
    if (taps > 1) {
        padded = calloc((size_t)k * (size_t)outputs, sizeof(*padded));
        if (!padded)
            return eng_lower_no_memory(l);
        for (int o = 0; o < outputs; o++)
            for (int i = 0; i < k; i++) {
                ptrdiff_t at = filter_index(o, i, taps, taps_c, taps_k);
                if (at >= 0)
                    padded[(size_t)o * (size_t)k + (size_t)i] = from[at];
            }
    }
    struct eng_pw_f32_weights canon = {
        .k = k, .n = outputs, .w = padded ? padded : from, .bias = b ? b->data : NULL};
    const struct eng_tensor *y = &l->g->tensors[n->out];
    int map = n->op == ENG_OP_CONV && y->dim[1] * y->dim[2] > 1;
    choose_float(pw, &canon, l->p->f32x && map, kernels);
    pw->lo = n->lo;
    pw->hi = n->hi;
    void *packed = eng_plan_alloc_packed(l->p, pw->panel_bytes * (size_t)pw->n_panels);
    if (packed && pw->spw)
        pw->spw->pack(&canon, pw->taps, packed);
    else if (packed)
        (pw->bf16 ? pw->bf16->pack : pw->f32x ? pw->f32x->pack : pw->f32->pack)(&canon, packed);
    pw->packed = packed;
    free(padded);
    return packed ? 1 : eng_lower_no_memory(l);
}

int eng_pack_gemm(struct eng_lower *l, const struct eng_node *n, int taps, int taps_c,
                  struct eng_pw *ret)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    int taps_k = taps == 1 ? taps_c : eng_ceil_div(taps_c, ENG_BLOCK) * ENG_BLOCK;
    if (!w->data || (int64_t)taps * taps_k > ENG_MAX_DIM)
        return 0;
    ret->type = eng_lower_c16_type(l, x);
    if (ret->type != ENG_U8)
        return pack_gemm_f32(l, n, taps, taps_c, taps_k, ret);
    return pack_gemm_u8(l, n, taps, taps_c, taps_k, ret);
}

/* ---- depthwise 3x3 ---- */

int eng_pack_dw(struct eng_lower *l, const struct eng_node *n, struct eng_dw *ret)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2);
    ret->channels = w->dim[3];
    ret->blocks = eng_ceil_div(ret->channels, ENG_BLOCK);
    ret->lo = n->lo;
    ret->hi = n->hi;
    ret->type = eng_lower_c16_type(l, x);
    if (ret->type == ENG_BF16) {
        ret->bf16 = l->p->kernels.dw_bf16;
        ret->block_bytes = ret->bf16->block_bytes;
    } else if (ret->type == ENG_F32) {
        ret->f32 = l->p->kernels.dw_f32;
        ret->block_bytes = ret->f32->block_bytes;
    } else {
        ret->u8 = l->p->kernels.dw_u8;
        ret->block_bytes = ret->u8->block_bytes;
        ret->rq = requant_of(&l->g->tensors[n->out], n->lo, n->hi);
    }
    void *packed = eng_plan_alloc_packed(l->p, ret->block_bytes * (size_t)ret->blocks);
    ret->packed = packed;
    if (!packed)
        return eng_lower_no_memory(l);
    if (!ret->u8) {
        struct eng_dw_f32_weights canon = {
            .channels = ret->channels, .w = w->data, .bias = b ? b->data : NULL};
        (ret->bf16 ? ret->bf16->pack : ret->f32->pack)(&canon, packed);
        return 1;
    }
    struct canonical c;
    size_t weights = (size_t)9 * (size_t)ret->channels;
    if (canonical_init(&c, l, n, ret->channels, weights) < 0)
        return eng_lower_no_memory(l);
    for (size_t i = 0; i < weights; i++)
        c.w[i] = quantum(w, i);
    ret->zx = (uint8_t)c.zx;
    struct eng_dw_u8_weights canon = {.channels = ret->channels,
                                      .w = c.w,
                                      .zw = c.zw,
                                      .zx = c.zx,
                                      .bias = c.bias,
                                      .scale = c.scale};
    ret->u8->pack(&canon, packed);
    canonical_finish(&c);
    return 1;
}

/* ---- depthwise of any window, u8 ---- */

int eng_pack_dwk_u8(struct eng_lower *l, const struct eng_node *n,
                    const struct eng_dwk_u8_kernel *kernel, const char **ret_packed,
                    struct eng_dwk_u8_args *ret)
{
    const struct eng_tensor *w = eng_lower_in(l, n, 1);
    int channels = w->dim[3], taps = n->win.kh * n->win.kw;
    size_t blocks = (size_t)eng_ceil_div(channels, ENG_BLOCK);
    size_t weights = (size_t)taps * (size_t)channels;
    void *packed = eng_plan_alloc_packed(l->p, kernel->block_bytes(taps) * blocks);
    struct canonical c;
    if (!packed || canonical_init(&c, l, n, channels, weights) < 0)
        return eng_lower_no_memory(l);
    for (size_t i = 0; i < weights; i++)
        c.w[i] = quantum(w, i);
    kernel->pack(&(struct eng_dwk_u8_weights){.channels = channels,
                                              .taps = taps,
                                              .w = c.w,
                                              .zw = c.zw,
                                              .bias = c.bias,
                                              .scale = c.scale},
                 packed);
    ret->zx = (uint8_t)c.zx;
    ret->rq = requant_of(&l->g->tensors[n->out], n->lo, n->hi);
    *ret_packed = packed;
    canonical_finish(&c);
    return 1;
}

/* ---- first convolution ---- */

static int pack_conv3_f32(struct eng_lower *l, const struct eng_node *n, int outputs,
                          struct eng_conv3_params *ret)
{
    const struct eng_tensor *w = eng_lower_in(l, n, 1), *b = eng_lower_in(l, n, 2);
    if (ret->type == ENG_BF16)
        ret->bf16 = l->p->kernels.conv3_bf16;
    else
        ret->f32 = l->p->kernels.conv3_f32;
    void *packed = eng_plan_alloc_packed(
        l->p, (ret->bf16 ? ret->bf16->packed_bytes : ret->f32->packed_bytes)(outputs));
    if (!packed)
        return eng_lower_no_memory(l);
    struct eng_conv3_f32_weights canon = {.n = outputs, .w = w->data, .bias = b ? b->data : NULL};
    (ret->bf16 ? ret->bf16->pack : ret->f32->pack)(&canon, packed);
    ret->packed = packed;
    return 1;
}

int eng_pack_conv3(struct eng_lower *l, const struct eng_node *n, struct eng_conv3_params *ret)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    int outputs = w->dim[0];
    ret->type = eng_lower_c16_type(l, x);
    ret->n_blocks = eng_ceil_div(outputs, ENG_BLOCK);
    ret->lo = n->lo;
    ret->hi = n->hi;
    if (ret->type != ENG_U8)
        return pack_conv3_f32(l, n, outputs, ret);
    ret->u8 = l->p->kernels.conv3_u8;
    ret->rq = requant_of(&l->g->tensors[n->out], n->lo, n->hi);
    void *packed = eng_plan_alloc_packed(l->p, ret->u8->packed_bytes(outputs));
    if (!packed)
        return eng_lower_no_memory(l);
    ret->packed = packed;
    struct canonical c;
    size_t weights = (size_t)outputs * 27;
    if (canonical_init(&c, l, n, outputs, weights) < 0)
        return eng_lower_no_memory(l);
    for (size_t i = 0; i < weights; i++)
        c.w[i] = quantum(w, i);
    ret->zx = (uint8_t)c.zx;
    struct eng_conv3_u8_weights canon = {
        .n = outputs, .w = c.w, .zw = c.zw, .zx = c.zx, .bias = c.bias, .scale = c.scale};
    ret->u8->pack(&canon, packed);
    canonical_finish(&c);
    return 1;
}
