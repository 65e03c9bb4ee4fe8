/* Depthwise 3x3 on bf16 activations, plain C: fp32 sums of fp32 weights, in the order of dw_f32. */
#include "engine/kernels/bf16_pack.h"

static void pixel(const struct eng_dw_bf16_args *g, int y, int x, uint16_t *out)
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
            const uint16_t *in = g->in + (ptrdiff_t)iy * (ptrdiff_t)g->in_row + ix * ENG_BLOCK;
            for (int c = 0; c < ENG_BLOCK; c++)
                acc[c] += eng_bf16_to_f32(in[c]) * w[(1 + ky * 3 + kx) * ENG_BLOCK + c];
        }
    }
    for (int c = 0; c < ENG_BLOCK; c++) {
        float v = acc[c] > g->lo ? acc[c] : g->lo;
        out[c] = eng_bf16_from_f32(v < g->hi ? v : g->hi);
    }
}

static void run(const struct eng_dw_bf16_args *g)
{
    for (int y = g->geo.y0; y < g->geo.y1; y++)
        for (int x = 0; x < g->geo.out_w; x++)
            pixel(g, y, x,
                  g->out + (size_t)(y - g->geo.y0) * g->out_row + (size_t)x * g->out_pixel);
}

const struct eng_dw_bf16_kernel eng_dw_bf16_c = {
    .name = "dw_bf16_c",
    .cpu_bits = 0,
    .spreads = 1,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 160,
    .pack = f32_dw_pack,
    .run = run,
};
