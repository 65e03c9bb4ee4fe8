/* Driver of the quantised depthwise of any window: 16 channels at a time, exact sums, rounded as
 * every quantised convolution is (quant.h). Plain C that compilers turn into vectors. */
#include <string.h>

#include "engine/plan/maps.h"

/* The first and the one behind the last tap of an axis that lies inside of the map. */
struct taps {
    int from, to;
};

static struct taps taps_inside(int at, int dilation, int taps, int size)
{
    struct taps t = {0, taps};
    while (t.from < taps && at + t.from * dilation < 0)
        t.from++;
    while (t.to > t.from && at + (t.to - 1) * dilation >= size)
        t.to--;
    return t;
}

static void add_tap(int32_t sum[ENG_BLOCK], const uint8_t *in, const int16_t *weights, int zx)
{
    for (int i = 0; i < ENG_BLOCK; i++)
        sum[i] += (int16_t)(in[i] - zx) * weights[i];
}

/* eng_quant_round() over 16 lanes; the sum of 1.5 * 2^23 and a small number is rounded half to
 * even. */
static void finish(const struct eng_quant_range *r, const int32_t sum[ENG_BLOCK],
                   const float *scale, uint8_t *out)
{
    const float magic = 12582912.0f;
    float lo = (float)(r->lo - r->zero_point), hi = (float)(r->hi - r->zero_point);
    int32_t zero_point = r->zero_point - 0x4B400000;
    for (int i = 0; i < ENG_BLOCK; i++) {
        float v = (float)sum[i] * scale[i];
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        v += magic;
        int32_t bits;
        memcpy(&bits, &v, sizeof(bits));
        out[i] = (uint8_t)(bits + zero_point);
    }
}

static void dwk_pixel(const struct eng_dwk_u8_params *p, int b, int oy, int ox, const uint8_t *in,
                      uint8_t *out)
{
    const struct eng_window *w = &p->win;
    int y = oy * w->sh - w->top, x = ox * w->sw - w->left;
    struct taps rows = taps_inside(y, w->dh, w->kh, p->in_h);
    struct taps columns = taps_inside(x, w->dw, w->kw, p->in_w);
    const int16_t *weights = p->weights + (size_t)b * (size_t)(w->kh * w->kw) * ENG_BLOCK;
    int32_t sum[ENG_BLOCK];
    memcpy(sum, p->bias + (size_t)b * ENG_BLOCK, sizeof(sum));
    for (int ky = rows.from; ky < rows.to; ky++)
        for (int kx = columns.from; kx < columns.to; kx++) {
            size_t pixel = (size_t)(y + ky * w->dh) * (size_t)p->in_w + (size_t)(x + kx * w->dw);
            add_tap(sum, in + pixel * ENG_BLOCK, weights + (size_t)(ky * w->kw + kx) * ENG_BLOCK,
                    p->zx);
        }
    finish(&p->range, sum, p->scale + (size_t)b * ENG_BLOCK, out);
}

static void run_dwk_u8(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_dwk_u8_params *p = c->step->params;
    int from = c->step->in[0], to = c->step->out;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            const char *in =
                eng_value_at(c, from, image) + (size_t)b * eng_value_of(c, from)->stride;
            char *out = eng_value_at(c, to, image) + (size_t)b * eng_value_of(c, to)->stride;
            for (int oy = 0; oy < p->out_h; oy++)
                for (int ox = 0; ox < p->out_w; ox++, out += ENG_BLOCK)
                    dwk_pixel(p, b, oy, ox, (const uint8_t *)in, (uint8_t *)out);
        }
    }
}

const struct eng_driver eng_drive_dwk_u8 = {
    .split = eng_split_blocks,
    .phase = {run_dwk_u8},
};
