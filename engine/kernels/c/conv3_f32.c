/* First convolution 3x3 from 3-channel pixels, float, plain C. Taps outside the image are left out
 * of the sum, which otherwise runs from the bias over (ky, kx, channel) upwards. */
#include "engine/kernels/f32_pack.h"

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static void pixel(const struct eng_conv3_f32_args *g, const float *w, int y, int x, float *out)
{
    float acc[ENG_BLOCK];

    memcpy(acc, w, sizeof(acc));
    for (int ky = 0; ky < 3; ky++) {
        int iy = y * g->geo.stride - g->geo.top + ky;
        if (iy < 0 || iy >= g->geo.in_h)
            continue;
        for (int t = 0; t < 9; t++) {
            int ix = x * g->geo.stride - g->geo.left + t / 3;
            if (ix < 0 || ix >= g->geo.in_w)
                continue;
            float v = g->in[((size_t)iy * (size_t)g->geo.in_w + (size_t)ix) * 3 + (size_t)(t % 3)];
            for (int c = 0; c < ENG_BLOCK; c++)
                acc[c] += v * w[(1 + ky * 9 + t) * ENG_BLOCK + c];
        }
    }
    for (int c = 0; c < ENG_BLOCK; c++)
        out[c] = clamp(acc[c], g->lo, g->hi);
}

static void run(const struct eng_conv3_f32_args *g)
{
    for (int b = 0; b < g->n_blocks; b++) {
        const float *w = (const float *)g->packed + (size_t)b * F32_CONV3_FLOATS;
        for (int y = g->geo.y0; y < g->geo.y1; y++) {
            float *out = g->out + (size_t)b * g->out_stride + (size_t)(y - g->geo.y0) * g->out_row;
            for (int x = 0; x < g->geo.out_w; x++)
                pixel(g, w, y, x, out + (size_t)x * ENG_BLOCK);
        }
    }
}

const struct eng_conv3_f32_kernel eng_conv3_f32_c = {
    .name = "conv3_f32_c",
    .cpu_bits = 0,
    .packed_bytes = f32_conv3_packed_bytes,
    .pack = f32_conv3_pack,
    .run = run,
};
