/* First convolution 3x3 from 3-channel float pixels, bf16, plain C. Pixels are rounded to bf16; in
 * a row of nine taps the odd one of each pair is added first, as AVX512-BF16 does. */
#include "engine/kernels/bf16_pack.h"

/* The nine taps of row iy that start at column `left`: zeros where there is no image. */
static void taps(const struct eng_conv3_bf16_args *g, int iy, int left, float *ret)
{
    memset(ret, 0, 2 * BF16_ROW_PAIRS * sizeof(float));
    for (int kx = 0; kx < 3; kx++) {
        int ix = left + kx;
        if (ix < 0 || ix >= g->geo.in_w)
            continue;
        const float *from = g->in + ((size_t)iy * (size_t)g->geo.in_w + (size_t)ix) * 3;
        for (int c = 0; c < 3; c++)
            ret[kx * 3 + c] = eng_bf16_round(from[c]);
    }
}

/* A function of its own: gcc 12 at -O3 miscompiles these loops when it sees them in one nest. */
__attribute__((noinline)) static void add_pair(float acc[ENG_BLOCK], float even, float odd,
                                               const uint16_t *w)
{
    for (int c = 0; c < ENG_BLOCK; c++) {
        acc[c] += odd * eng_bf16_to_f32(w[2 * c + 1]);
        acc[c] += even * eng_bf16_to_f32(w[2 * c]);
    }
}

static void pixel(const struct eng_conv3_bf16_args *g, const char *block, int y, int x,
                  uint16_t *out)
{
    const uint16_t *weights = (const uint16_t *)(const void *)(block + BF16_PAIR_BYTES);
    float acc[ENG_BLOCK], in[2 * BF16_ROW_PAIRS];

    memcpy(acc, block, sizeof(acc));
    for (int ky = 0; ky < 3; ky++) {
        int iy = y * g->geo.stride - g->geo.top + ky;
        if (iy < 0 || iy >= g->geo.in_h)
            continue;
        taps(g, iy, x * g->geo.stride - g->geo.left, in);
        for (int q = 0; q < BF16_ROW_PAIRS; q++)
            add_pair(acc, in[2 * q], in[2 * q + 1],
                     weights + (ky * BF16_ROW_PAIRS + q) * 2 * ENG_BLOCK);
    }
    for (int c = 0; c < ENG_BLOCK; c++) {
        float v = acc[c] > g->lo ? acc[c] : g->lo;
        out[c] = eng_bf16_from_f32(v < g->hi ? v : g->hi);
    }
}

static void run(const struct eng_conv3_bf16_args *g)
{
    for (int b = 0; b < g->n_blocks; b++)
        for (int y = g->geo.y0; y < g->geo.y1; y++) {
            uint16_t *out =
                g->out + (size_t)b * g->out_stride + (size_t)(y - g->geo.y0) * g->out_row;
            for (int x = 0; x < g->geo.out_w; x++)
                pixel(g, (const char *)g->packed + (size_t)b * BF16_CONV3_BYTES, y, x,
                      out + (size_t)x * ENG_BLOCK);
        }
}

const struct eng_conv3_bf16_kernel eng_conv3_bf16_c = {
    .name = "conv3_bf16_c",
    .cpu_bits = 0,
    .packed_bytes = bf16_conv3_packed_bytes,
    .pack = bf16_conv3_pack,
    .run = run,
};
