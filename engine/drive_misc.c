/* Drivers of what stands between convolutions: global average pool, sum of two tensors, tables. */
#include "engine/bf16.h"
#include "engine/steps.h"

static void split_blocks(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    const struct eng_blocks_params *p = s->params;
    eng_cost_blocks(p->blocks, p->block_bytes, batch, members, ret);
}

/* Unit u: its image, and its channel blocks. */
static int blocks_of(const struct eng_call *c, int u, int *b0, int *b1)
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
    const struct eng_value *x = eng_value_of(c, c->step->in[0]);
    const struct eng_value *y = eng_value_of(c, c->step->out);
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            const char *in = eng_value_at(c, c->step->in[0], image) + (size_t)b * x->stride;
            char *out = eng_value_at(c, c->step->out, image) + (size_t)b * y->stride;
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
    .name = "gap",
    .split = split_blocks,
    .phase = {run_gap},
};

/* ---- sum ---- */

static void add_block_u8(const struct eng_add_params *p, const uint8_t *a, const uint8_t *b,
                         uint8_t *out, int n)
{
    struct eng_add_quant q = p->q;
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)eng_add_round(&q, a[i], b[i]);
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

static void run_add(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_add_params *p = c->step->params;
    size_t stride = eng_value_of(c, c->step->out)->stride;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            size_t at = (size_t)b * stride;
            const char *x0 = eng_value_at(c, c->step->in[0], image) + at;
            const char *x1 = eng_value_at(c, c->step->in[1], image) + at;
            char *out = eng_value_at(c, c->step->out, image) + at;
            if (p->type == ENG_U8)
                add_block_u8(p, (const uint8_t *)x0, (const uint8_t *)x1, (uint8_t *)out,
                             p->b.pixels * ENG_BLOCK);
            else if (p->type == ENG_BF16)
                add_block_bf16(p, (const uint16_t *)(const void *)x0,
                               (const uint16_t *)(const void *)x1, (uint16_t *)(void *)out,
                               p->b.pixels * ENG_BLOCK);
            else
                add_block_f32(p, (const float *)(const void *)x0, (const float *)(const void *)x1,
                              (float *)(void *)out, p->b.pixels * ENG_BLOCK);
        }
    }
}

const struct eng_driver eng_drive_add = {
    .name = "add",
    .split = split_blocks,
    .phase = {run_add},
};

/* ---- table ---- */

static void run_lut(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_lut_params *p = c->step->params;
    size_t stride = eng_value_of(c, c->step->out)->stride;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            const char *in = eng_value_at(c, c->step->in[0], image) + (size_t)b * stride;
            char *out = eng_value_at(c, c->step->out, image) + (size_t)b * stride;
            for (int i = 0; i < p->b.pixels * ENG_BLOCK; i++)
                ((uint8_t *)out)[i] = p->table[((const uint8_t *)in)[i]];
        }
    }
}

const struct eng_driver eng_drive_lut = {
    .name = "lut",
    .split = split_blocks,
    .phase = {run_lut},
};
