/* RESIZE of a map in channel blocks, bilinear or nearest, equal to the reference operator in every
 * bit. An input row is stretched to the output's width once, and stays in scratch while output rows
 * lie between it and the next: enlarging, most rows cost one product an element. */
#include <string.h>

#include "engine/plan/floats.h"
#include "engine/plan/maps.h"

/* The stretched rows in scratch: of quanta times 2^11. */
struct stretched {
    int row[2]; /* which input rows these are; -1: none yet */
    void *lanes[2];
};

enum { ONE = 1 << ENG_REF_WEIGHT_BITS, HALF = 1 << (2 * ENG_REF_WEIGHT_BITS - 1) };

static void stretch_u8(const struct eng_resize_params *p, const uint8_t *row, int32_t *to)
{
    for (int x = 0; x < p->out_w; x++, to += ENG_BLOCK) {
        const uint8_t *left = row + (size_t)p->columns[x].i0 * ENG_BLOCK;
        const uint8_t *right = row + (size_t)p->columns[x].i1 * ENG_BLOCK;
        int32_t steps = p->columns[x].steps;
        for (int i = 0; i < ENG_BLOCK; i++)
            to[i] = left[i] * ONE + (right[i] - left[i]) * steps;
    }
}

static void stretch_f32(const struct eng_resize_params *p, const float *row, float *to)
{
    for (int x = 0; x < p->out_w; x++, to += ENG_BLOCK) {
        const float *left = row + (size_t)p->columns[x].i0 * ENG_BLOCK;
        const float *right = row + (size_t)p->columns[x].i1 * ENG_BLOCK;
        float weight = p->columns[x].weight;
        for (int i = 0; i < ENG_BLOCK; i++)
            to[i] = left[i] + (right[i] - left[i]) * weight;
    }
}

static void mix_u8(const int32_t *top, const int32_t *low, int32_t steps, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = top[i] * ONE + (low[i] - top[i]) * steps;
        out[i] = (uint8_t)((sum + HALF) >> (2 * ENG_REF_WEIGHT_BITS));
    }
}

static void mix_f32(const float *top, const float *low, float weight, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = top[i] + (low[i] - top[i]) * weight;
}

/* The stretched form of an input row; `other` is needed beside it. */
static const void *row_of(const struct eng_resize_params *p, struct stretched *s, const char *in,
                          int row, int other)
{
    for (int k = 0; k < 2; k++)
        if (s->row[k] == row)
            return s->lanes[k];
    int k = s->row[0] == other ? 1 : 0;
    size_t at = (size_t)row * (size_t)p->in_w * ENG_BLOCK * eng_type_size(p->type);
    if (p->type == ENG_U8)
        stretch_u8(p, (const uint8_t *)in + at, s->lanes[k]);
    else
        stretch_f32(p, (const float *)(const void *)(in + at), s->lanes[k]);
    s->row[k] = row;
    return s->lanes[k];
}

static void resize_block(const struct eng_resize_params *p, struct stretched *s, const char *in,
                         char *out)
{
    size_t n = (size_t)p->out_w * ENG_BLOCK;
    s->row[0] = s->row[1] = -1;
    for (int y = 0; y < p->out_h; y++, out += n * eng_type_size(p->type)) {
        const struct eng_ref_lerp *at = &p->rows[y];
        const void *top = row_of(p, s, in, at->i0, at->i1);
        const void *low = row_of(p, s, in, at->i1, at->i0);
        if (p->type == ENG_U8)
            mix_u8(top, low, at->steps, (uint8_t *)out, n);
        else
            mix_f32(top, low, at->weight, (float *)(void *)out, n);
    }
}

static void run_block(const struct eng_call *c, int image, int b, char *scratch)
{
    const struct eng_resize_params *p = c->step->params;
    size_t lanes = eng_floats_bytes(p->out_w);
    struct stretched s = {.lanes = {scratch, scratch + lanes}};
    scratch += 2 * lanes;
    int from = c->step->in[0], to = c->step->out;
    if (p->type == ENG_U8) {
        resize_block(p, &s,
                     eng_value_at(c, from, image) + (size_t)b * eng_value_of(c, from)->stride,
                     eng_value_at(c, to, image) + (size_t)b * eng_value_of(c, to)->stride);
        return;
    }
    const float *in = eng_floats_in(c, from, image, b, &scratch);
    float *out = eng_floats_out(c, to, image, b, &scratch);
    resize_block(p, &s, (const char *)in, (char *)out);
    eng_floats_done(c, to, image, b, out);
}

static void run_resize(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++)
            run_block(c, image, b, eng_scratch(c, member));
    }
}

const struct eng_driver eng_drive_resize = {
    .split = eng_split_blocks,
    .scratch = eng_blocks_scratch,
    .phase = {run_resize},
};
