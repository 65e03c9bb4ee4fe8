/* Pointwise, float, plain C: defines what is right and serves CPUs without any faster row.
 *
 * Four pixels share each load of weights; an output's own sum runs from the bias over k upwards,
 * whatever the tile it stands in. */
#include "engine/kernels/f32_pack.h"

enum { MR = 4 };

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static inline void tile(const struct eng_pw_f32_args *g, const float *a, const float *w, float *out,
                        int rows)
{
    float acc[MR][ENG_BLOCK];

    for (int r = 0; r < rows; r++)
        memcpy(acc[r], w, sizeof(acc[r]));
    w += ENG_BLOCK;
    for (int b = 0; b < g->k_blocks; b++, a += g->a_stride)
        for (int k = 0; k < ENG_BLOCK; k++, w += ENG_BLOCK)
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < ENG_BLOCK; c++)
                    acc[r][c] += a[r * ENG_BLOCK + k] * w[c];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < ENG_BLOCK; c++)
            out[r * ENG_BLOCK + c] = clamp(acc[r][c], g->lo, g->hi);
}

static void run(const struct eng_pw_f32_args *g)
{
    size_t panel = f32_pw_panel_bytes(g->k_blocks * ENG_BLOCK) / sizeof(float);

    for (int j = 0; j < g->n_panels; j++) {
        const float *w = (const float *)g->panels + (size_t)j * panel;
        float *out = g->out + (size_t)j * g->out_stride;
        int p = 0;
        for (; p + MR <= g->pixels; p += MR)
            tile(g, g->a + (size_t)p * ENG_BLOCK, w, out + (size_t)p * ENG_BLOCK, MR);
        for (; p < g->pixels; p++)
            tile(g, g->a + (size_t)p * ENG_BLOCK, w, out + (size_t)p * ENG_BLOCK, 1);
    }
}

const struct eng_pw_f32_kernel eng_pw_f32_c = {
    .name = "pw_f32_c",
    .cpu_bits = 0,
    .mr = MR,
    .nr = ENG_BLOCK,
    .macs = 1,
    .panel_bytes = f32_pw_panel_bytes,
    .pack = f32_pw_pack,
    .run = run,
};
