/* Pointwise, bf16, plain C. Of each pair of inputs the odd one is added first, as AVX512-BF16 does;
 * the product is exact, so there is one rounding an input. */
#include "engine/kernels/bf16_pack.h"

enum { MR = 4 };

static inline void tile(const struct eng_pw_bf16_args *g, const uint16_t *a, const char *panel,
                        float acc[MR][ENG_BLOCK], int rows)
{
    const uint16_t *w = (const uint16_t *)(const void *)(panel + BF16_PAIR_BYTES);

    for (int r = 0; r < rows; r++)
        memcpy(acc[r], panel, sizeof(acc[r]));
    for (int b = 0; b < g->k_blocks; b++, a += g->a_stride)
        for (int k = 0; k < ENG_BLOCK; k += 2, w += 2 * ENG_BLOCK)
            for (int r = 0; r < rows; r++) {
                float even = eng_bf16_to_f32(a[r * ENG_BLOCK + k]);
                float odd = eng_bf16_to_f32(a[r * ENG_BLOCK + k + 1]);
                for (int c = 0; c < ENG_BLOCK; c++) {
                    acc[r][c] += odd * eng_bf16_to_f32(w[2 * c + 1]);
                    acc[r][c] += even * eng_bf16_to_f32(w[2 * c]);
                }
            }
}

static void store(const struct eng_pw_bf16_args *g, size_t at, float acc[MR][ENG_BLOCK], int rows)
{
    for (int i = 0; i < rows * ENG_BLOCK; i++) {
        float v = acc[i / ENG_BLOCK][i % ENG_BLOCK];
        v = v > g->lo ? v : g->lo;
        v = v < g->hi ? v : g->hi;
        if (g->out_f32)
            ((float *)g->out)[at + (size_t)i] = v;
        else
            ((uint16_t *)g->out)[at + (size_t)i] = eng_bf16_from_f32(v);
    }
}

static void run(const struct eng_pw_bf16_args *g)
{
    size_t panel = bf16_pw_panel_bytes(g->k_blocks * ENG_BLOCK);
    float acc[MR][ENG_BLOCK];

    for (int j = 0; j < g->n_panels; j++)
        for (int p = 0, rows; p < g->pixels; p += rows) {
            rows = g->pixels - p < MR ? 1 : MR;
            tile(g, g->a + (size_t)p * ENG_BLOCK, (const char *)g->panels + (size_t)j * panel, acc,
                 rows);
            store(g, (size_t)j * g->out_stride + (size_t)p * ENG_BLOCK, acc, rows);
        }
}

const struct eng_pw_bf16_kernel eng_pw_bf16_c = {
    .name = "pw_bf16_c",
    .cpu_bits = 0,
    .mr = MR,
    .nr = ENG_BLOCK,
    .together = 1,
    .macs = 1,
    .panel_bytes = bf16_pw_panel_bytes,
    .pack = bf16_pw_pack,
    .run = run,
};
