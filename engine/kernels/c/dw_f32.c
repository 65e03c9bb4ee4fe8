/* Depthwise 3x3, float, plain C. Taps outside the image are left out of the sum, which otherwise
 * runs from the bias over (ky, kx) upwards. */
#include "engine/kernels/f32_pack.h"

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static void pixel(const struct eng_dw_f32_args *g, int y, int x, float *out)
{
    const float *w = g->block;
    float acc[ENG_BLOCK];

    memcpy(acc, w, sizeof(acc));
    for (int ky = 0; ky < 3; ky++) {
        int iy = y * g->geo.stride - g->geo.top + ky;
        if (iy < 0 || iy >= g->geo.in_h)
            continue;
        for (int kx = 0; kx < 3; kx++) {
            int ix = x * g->geo.stride - g->geo.left + kx;
            if (ix < 0 || ix >= g->geo.in_w)
                continue;
            const float *in = g->in + (ptrdiff_t)iy * (ptrdiff_t)g->in_row + ix * ENG_BLOCK;
            for (int c = 0; c < ENG_BLOCK; c++)
                acc[c] += in[c] * w[(1 + ky * 3 + kx) * ENG_BLOCK + c];
        }
    }
    for (int c = 0; c < ENG_BLOCK; c++)
        out[c] = clamp(acc[c], g->lo, g->hi);
}

static void run(const struct eng_dw_f32_args *g)
{
    for (int y = g->geo.y0; y < g->geo.y1; y++)
        for (int x = 0; x < g->geo.out_w; x++)
            pixel(g, y, x, g->out + (size_t)(y - g->geo.y0) * g->out_row + (size_t)x * ENG_BLOCK);
}

const struct eng_dw_f32_kernel eng_dw_f32_c = {
    .name = "dw_f32_c",
    .cpu_bits = 0,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 200,
    .pack = f32_dw_pack,
    .run = run,
};
