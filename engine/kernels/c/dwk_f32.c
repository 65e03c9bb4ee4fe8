/* Depthwise of any window, float, plain C. Taps outside the image are left out of the sum, which
 * otherwise runs from the bias over (ky, kx) upwards. */
#include "engine/kernels/dwk_f32_pack.h"

static void add_tap(float *acc, const float *in, const float *w)
{
    for (int c = 0; c < ENG_BLOCK; c++)
        acc[c] += in[c] * w[c];
}

static void pixel(const struct eng_dwk_f32_args *g, int y, int x, float *out)
{
    const float *w = g->block;
    float acc[ENG_BLOCK];
    memcpy(acc, w, sizeof(acc));
    for (int ky = 0; ky < g->kh; ky++) {
        int iy = y * g->sh - g->top + ky * g->dh;
        for (int kx = 0; kx < g->kw && iy >= 0 && iy < g->in_h; kx++) {
            int ix = x * g->sw - g->left + kx * g->dw;
            if (ix >= 0 && ix < g->in_w)
                add_tap(acc, g->in + (size_t)iy * g->in_row + (size_t)ix * ENG_BLOCK,
                        w + (size_t)(1 + ky * g->kw + kx) * ENG_BLOCK);
        }
    }
    for (int c = 0; c < ENG_BLOCK; c++) {
        float v = acc[c] > g->lo ? acc[c] : g->lo;
        out[c] = v < g->hi ? v : g->hi;
    }
}

static void run(const struct eng_dwk_f32_args *g)
{
    for (int y = g->y0; y < g->y1; y++)
        for (int x = 0; x < g->out_w; x++)
            pixel(g, y, x, g->out + (size_t)(y - g->y0) * g->out_row + (size_t)x * ENG_BLOCK);
}

const struct eng_dwk_f32_kernel eng_dwk_f32_c = {
    .name = "dwk_f32_c",
    .cpu_bits = 0,
    .block_bytes = dwk_block_bytes,
    .pack = dwk_pack,
    .run = run,
};
