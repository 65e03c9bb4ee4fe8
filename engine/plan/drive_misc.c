/* Drivers of what stands between convolutions and behind them: global average pool, sum of two
 * tensors, tables, softmax. */
#include "engine/base/bf16.h"
#include "engine/kernels/ref/ref.h"
#include "engine/plan/bands.h"

void eng_split_blocks(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    const struct eng_blocks_params *p = s->params;
    eng_cost_blocks(p->blocks, p->block_bytes, batch, members, ret);
}

size_t eng_blocks_scratch(const struct eng_step *s, int max_batch)
{
    (void)max_batch;
    return ((const struct eng_blocks_params *)s->params)->scratch;
}

int eng_blocks_of(const struct eng_call *c, int u, int *b0, int *b1)
{
    const struct eng_blocks_params *p = c->step->params;
    *b0 = u % c->split->block_groups * c->split->blocks;
    *b1 = eng_min(*b0 + c->split->blocks, p->blocks);
    return u / c->split->block_groups;
}

/* ---- global average pool ---- */

static void gap_block_u8(const struct eng_gap_params *p, const char *in, char *out)
{
    int32_t sum[ENG_BLOCK];
    p->u8->run((const uint8_t *)in, p->b.pixels, sum);
    for (int i = 0; i < ENG_BLOCK; i++) {
        int32_t raw = sum[i] - p->offset * p->b.pixels, q;
        if (p->exact) {
            q = eng_quant_average(raw, p->b.pixels);
            q = q < p->range.lo ? p->range.lo : q > p->range.hi ? p->range.hi : q;
        } else {
            q = eng_quant_round((float)(raw - p->zx * p->b.pixels) * p->scale, &p->range);
        }
        ((uint8_t *)out)[i] = (uint8_t)(q + p->offset);
    }
}

static void gap_block_f32(const struct eng_gap_params *p, const float *in, float *out)
{
    float sum[ENG_BLOCK] = {0};
    for (int pixel = 0; pixel < p->b.pixels; pixel++)
        for (int i = 0; i < ENG_BLOCK; i++)
            sum[i] += in[pixel * ENG_BLOCK + i];
    for (int i = 0; i < ENG_BLOCK; i++) {
        float v = sum[i] / (float)p->b.pixels;
        v = v > p->lo ? v : p->lo;
        out[i] = v < p->hi ? v : p->hi;
    }
}

static void gap_block_bf16(const struct eng_gap_params *p, const uint16_t *in, uint16_t *out)
{
    float sum[ENG_BLOCK] = {0};
    for (int pixel = 0; pixel < p->b.pixels; pixel++)
        for (int i = 0; i < ENG_BLOCK; i++)
            sum[i] += eng_bf16_to_f32(in[pixel * ENG_BLOCK + i]);
    for (int i = 0; i < ENG_BLOCK; i++) {
        float v = sum[i] / (float)p->b.pixels;
        v = v > p->lo ? v : p->lo;
        out[i] = eng_bf16_from_f32(v < p->hi ? v : p->hi);
    }
}

static void run_gap(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_gap_params *p = c->step->params;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            const char *in = eng_block_at(c, c->step->in[0], image, b);
            char *out = eng_block_at(c, c->step->out, image, b);
            if (p->u8)
                gap_block_u8(p, in, out);
            else if (p->type == ENG_BF16)
                gap_block_bf16(p, (const uint16_t *)(const void *)in, (uint16_t *)(void *)out);
            else
                gap_block_f32(p, (const float *)(const void *)in, (float *)(void *)out);
        }
    }
}

const struct eng_driver eng_drive_gap = {
    .split = eng_split_blocks,
    .phase = {run_gap},
};

/* ---- sum ---- */

static void add_block_u8(const struct eng_add_params *p, const uint8_t *a, const uint8_t *b,
                         uint8_t *out, int n)
{
    const struct eng_add_quant *q = &p->q;
    p->u8->run(&(struct eng_add_u8_args){.a = a,
                                         .b = b,
                                         .out = out,
                                         .n = n,
                                         .za = q->za,
                                         .zb = q->zb,
                                         .ka = q->ka,
                                         .kb = q->kb,
                                         .shift = q->shift,
                                         .zero_point = q->range.zero_point,
                                         .lo = q->range.lo,
                                         .hi = q->range.hi});
}

static void add_block_f32(const struct eng_add_params *p, const float *a, const float *b,
                          float *out, int n)
{
    float lo = p->lo, hi = p->hi;
    for (int i = 0; i < n; i++) {
        float v = a[i] + b[i];
        v = v > lo ? v : lo;
        out[i] = v < hi ? v : hi;
    }
}

static void add_block_bf16(const struct eng_add_params *p, const uint16_t *a, const uint16_t *b,
                           uint16_t *out, int n)
{
    float lo = p->lo, hi = p->hi;
    for (int i = 0; i < n; i++) {
        float v = eng_bf16_to_f32(a[i]) + eng_bf16_to_f32(b[i]);
        v = v > lo ? v : lo;
        out[i] = eng_bf16_from_f32(v < hi ? v : hi);
    }
}

/* A piece of one channel block: of a unit of blocks the whole map, of a band its rows. */
struct piece {
    struct eng_view in[2], out;
    size_t at; /* bytes into a block */
    int n;     /* elements */
    int b0, b1;
};

static struct piece piece_of(const struct eng_call *c, int u, int n_in, int *ret_band, int *ret_y0,
                             int *ret_y1)
{
    const struct eng_blocks_params *p = c->step->params;
    const struct eng_value *v = eng_value_of(c, c->step->out);
    struct piece piece = {.n = p->pixels * ENG_BLOCK, .b1 = p->blocks};
    int image = 0, band = -1;
    *ret_y0 = *ret_y1 = 0;
    if (c->split->by_bands) {
        band = eng_band_rows(c, v->h, u, ret_y0, ret_y1);
        piece.at = (size_t)*ret_y0 * (size_t)v->w * ENG_BLOCK * eng_type_size(v->type);
        piece.n = (*ret_y1 - *ret_y0) * v->w * ENG_BLOCK;
    } else {
        image = eng_blocks_of(c, u, &piece.b0, &piece.b1);
    }
    for (int k = 0; k < n_in; k++)
        piece.in[k] = eng_view_of(c, c->step->in[k], image, band);
    piece.out = eng_view_of(c, c->step->out, image, band);
    *ret_band = band;
    return piece;
}

static void run_add(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_add_params *p = c->step->params;
    (void)member;
    for (int u = begin; u < end; u++) {
        int band, y0, y1;
        struct piece at = piece_of(c, u, 2, &band, &y0, &y1);
        for (int b = at.b0; b < at.b1; b++) {
            const char *x0 = at.in[0].at + (size_t)b * at.in[0].stride + at.at;
            const char *x1 = at.in[1].at + (size_t)b * at.in[1].stride + at.at;
            char *out = at.out.at + (size_t)b * at.out.stride + at.at;
            if (p->type == ENG_U8)
                add_block_u8(p, (const uint8_t *)x0, (const uint8_t *)x1, (uint8_t *)out, at.n);
            else if (p->type == ENG_BF16)
                add_block_bf16(p, (const uint16_t *)(const void *)x0,
                               (const uint16_t *)(const void *)x1, (uint16_t *)(void *)out, at.n);
            else
                add_block_f32(p, (const float *)(const void *)x0, (const float *)(const void *)x1,
                              (float *)(void *)out, at.n);
        }
        if (band >= 0)
            eng_band_push(c, c->step->out, band, y0, y1);
    }
}

const struct eng_driver eng_drive_add = {
    .split = eng_split_blocks,
    .phase = {run_add},
};

/* ---- table ---- */

static void run_lut(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_lut_params *p = c->step->params;
    (void)member;
    for (int u = begin; u < end; u++) {
        int band, y0, y1;
        struct piece at = piece_of(c, u, 1, &band, &y0, &y1);
        for (int b = at.b0; b < at.b1; b++) {
            const uint8_t *in = (const uint8_t *)at.in[0].at + (size_t)b * at.in[0].stride + at.at;
            uint8_t *out = (uint8_t *)at.out.at + (size_t)b * at.out.stride + at.at;
            for (int i = 0; i < at.n; i++)
                out[i] = p->table[in[i]];
        }
        if (band >= 0)
            eng_band_push(c, c->step->out, band, y0, y1);
    }
}

const struct eng_driver eng_drive_lut = {
    .split = eng_split_blocks,
    .phase = {run_lut},
};

/* ---- softmax ---- */

/* The sum runs in the order of the channels, as the reference does. Of quanta there are 256, so
 * each probability is rounded once. */
static void softmax_one(const struct eng_softmax_params *p, const uint8_t *in, uint8_t *out)
{
    uint8_t rounded[256], max = 0, min = 255;
    float sum = 0;
    for (int i = 0; i < p->n; i++) {
        max = in[i] > max ? in[i] : max;
        min = in[i] < min ? in[i] : min;
    }
    for (int i = 0; i < p->n; i++)
        sum += p->table[max - in[i]];
    float inverse = 1.0f / (sum * p->out_scale);
    for (int d = 0; d <= max - min; d++)
        rounded[d] = eng_ref_softmax_round(p->table[d] * inverse, p->type, &p->range);
    for (int i = 0; i < p->n; i++)
        out[i] = rounded[max - in[i]];
}

static void split_softmax(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    (void)s;
    (void)members;
    eng_cost_images(batch, ret);
}

static void run_softmax(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    (void)member;
    for (int image = begin; image < end; image++)
        softmax_one(c->step->params, (const uint8_t *)eng_value_at(c, c->step->in[0], image),
                    (uint8_t *)eng_value_at(c, c->step->out, image));
}

const struct eng_driver eng_drive_softmax = {
    .split = split_softmax,
    .phase = {run_softmax},
};
