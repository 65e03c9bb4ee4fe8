/* Block-sparse pointwise, float, plain C: the sums of pw_f32_c without what is zero. */
#include "engine/kernels/f32_pack.h"

enum { MR = 4 };

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static inline void tile(const struct eng_pw_f32_args *g, const float *a, const char *panel,
                        float *out, int rows)
{
    const struct f32_tap *tap =
        (const struct f32_tap *)(const void *)(panel + f32_spw_taps_at(g->taps));
    const float *w = (const float *)(const void *)(panel + F32_SPW_WEIGHTS);
    float acc[MR][ENG_BLOCK];
    int32_t taps;

    memcpy(&taps, panel + ENG_ALIGN, sizeof(taps));
    for (int r = 0; r < rows; r++)
        memcpy(acc[r], panel, sizeof(acc[r]));
    for (int i = 0; i < taps; i++, w += ENG_BLOCK) {
        const float *x = a + tap[i].block * g->a_stride + tap[i].lane / sizeof(float);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < ENG_BLOCK; c++)
                acc[r][c] += x[r * ENG_BLOCK] * w[c];
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < ENG_BLOCK; c++)
            out[r * ENG_BLOCK + c] = clamp(acc[r][c], g->lo, g->hi);
}

static void run(const struct eng_pw_f32_args *g)
{
    size_t panel = f32_spw_panel_bytes(g->taps);

    for (int j = 0; j < g->n_panels; j++) {
        const char *w = (const char *)g->panels + (size_t)j * panel;
        float *out = g->out + (size_t)j * g->out_stride;
        int p = 0;
        for (; p + MR <= g->pixels; p += MR)
            tile(g, g->a + (size_t)p * ENG_BLOCK, w, out + (size_t)p * ENG_BLOCK, MR);
        for (; p < g->pixels; p++)
            tile(g, g->a + (size_t)p * ENG_BLOCK, w, out + (size_t)p * ENG_BLOCK, 1);
    }
}

const struct eng_spw_f32_kernel eng_spw_f32_c = {
    .name = "spw_f32_c",
    .cpu_bits = 0,
    .mr = MR,
    .nr = ENG_BLOCK,
    .macs = 1,
    .taps = f32_spw_taps,
    .panel_bytes = f32_spw_panel_bytes,
    .pack = f32_spw_pack,
    .run = run,
};
