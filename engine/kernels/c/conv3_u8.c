/* First convolution 3x3 over 3-channel pixels, u8, plain C: the reference of the other rows. */
#include <string.h>

#include "engine/kernels/requant.h"

enum { TAPS = 27 };

struct block {
    int32_t bias[ENG_BLOCK];
    float scale[ENG_BLOCK];
    int16_t w[TAPS][ENG_BLOCK]; /* w - zw */
    int16_t unused[16];         /* to a multiple of 64 bytes */
};

static size_t packed_bytes(int n)
{
    return ((size_t)n + ENG_BLOCK - 1) / ENG_BLOCK * sizeof(struct block);
}

static void pack(const struct eng_conv3_u8_weights *w, void *dst)
{
    struct block *blocks = dst;
    memset(blocks, 0, packed_bytes(w->n));
    for (int n = 0; n < w->n; n++) {
        struct block *b = &blocks[n / ENG_BLOCK];
        int lane = n % ENG_BLOCK;
        int32_t bias = w->bias ? w->bias[n] : 0;
        for (int t = 0; t < TAPS; t++) {
            int v = w->w[(size_t)n * TAPS + (size_t)t] - w->zw[n];
            b->w[t][lane] = (int16_t)v;
            bias = eng_add32(bias, -w->zx * v);
        }
        b->bias[lane] = bias;
        b->scale[lane] = w->scale[n];
    }
}

/* The 27 values under one output pixel, in the order of the weights. */
static void window(const struct eng_conv3_u8_args *a, int y, int x, uint8_t v[TAPS])
{
    for (int t = 0; t < 9; t++) {
        int iy = y * a->geo.stride - a->geo.top + t / 3,
            ix = x * a->geo.stride - a->geo.left + t % 3;
        int inside = iy >= 0 && iy < a->geo.in_h && ix >= 0 && ix < a->geo.in_w;
        for (int c = 0; c < 3; c++)
            v[t * 3 + c] =
                inside ? a->in[((size_t)iy * (size_t)a->geo.in_w + (size_t)ix) * 3 + (size_t)c]
                       : a->zx;
    }
}

static void pixel(const struct block *b, const uint8_t v[TAPS], const struct eng_requant *rq,
                  uint8_t *out)
{
    uint32_t acc[ENG_BLOCK];
    for (int i = 0; i < ENG_BLOCK; i++)
        acc[i] = (uint32_t)b->bias[i];
    for (int t = 0; t < TAPS; t++)
        for (int i = 0; i < ENG_BLOCK; i++)
            acc[i] += (uint32_t)(v[t] * b->w[t][i]);
    for (int i = 0; i < ENG_BLOCK; i++)
        out[i] = eng_requant((int32_t)acc[i], b->scale[i], rq);
}

static void run(const struct eng_conv3_u8_args *a)
{
    const struct block *blocks = a->packed;
    uint8_t v[TAPS];
    for (int y = a->geo.y0; y < a->geo.y1; y++)
        for (int x = 0; x < a->geo.out_w; x++) {
            uint8_t *out = a->out + (size_t)(y - a->geo.y0) * a->out_row + (size_t)x * ENG_BLOCK;
            window(a, y, x, v);
            for (int b = 0; b < a->n_blocks; b++)
                pixel(&blocks[b], v, &a->rq, out + (size_t)b * a->out_stride);
        }
}

const struct eng_conv3_u8_kernel eng_conv3_u8_c = {
    .name = "conv3_u8_c",
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
