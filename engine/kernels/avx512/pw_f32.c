/* Pointwise, float, AVX-512: panels of 16 channels taken in pairs, each pair over all pixels.
 *
 * A pair stays in L2 while the tiles pass over it, and the first tiles bring the next pair in: the
 * weights of the late layers come from L3 once. Pixels are shared out evenly over the tiles (49 =
 * 13 + 12 + 12 + 12), so that no tile is too thin to fill the FMA pipes. */
#include "engine/kernels/avx512/pw_f32_tile.h"

PW_TILES(1)
PW_TILES(2)

typedef void tile_fn(const struct pw_tile *g);
static tile_fn *const tiles[TILE_VECTORS][TILE_MR + 1] = {
    {NULL, tile1_1, tile1_2, tile1_3, tile1_4, tile1_5, tile1_6, tile1_7, tile1_8, tile1_9,
     tile1_10, tile1_11, tile1_12, tile1_13, tile1_14},
    {NULL, tile2_1, tile2_2, tile2_3, tile2_4, tile2_5, tile2_6, tile2_7, tile2_8, tile2_9,
     tile2_10, tile2_11, tile2_12, tile2_13, tile2_14},
};

static void run(const struct eng_pw_f32_args *g)
{
    size_t panel = f32_pw_panel_bytes(g->k_blocks * ENG_BLOCK);
    int n_tiles = (g->pixels + TILE_MR - 1) / TILE_MR;
    struct pw_tile t = {.a_step = g->a_stride * sizeof(float) - 64,
                        .panel_bytes = panel,
                        .out_bytes = g->out_stride * sizeof(float),
                        .k_blocks = g->k_blocks,
                        .lo = &g->lo,
                        .hi = &g->hi};

    for (int j = 0, v; j < g->n_panels; j += v) {
        const char *w = (const char *)g->panels + (size_t)j * panel;
        size_t out = (size_t)j * g->out_stride;
        v = g->n_panels - j < TILE_VECTORS ? g->n_panels - j : TILE_VECTORS;
        int ahead_tiles = g->n_panels - j > TILE_VECTORS ? PW_AHEAD_TILES : 0;
        t.w = (const float *)w;
        t.ahead = ahead_tiles ? w + TILE_VECTORS * panel : w;
        for (int i = 0, p = 0, mr; i < n_tiles; i++, p += mr) {
            mr = (g->pixels - p + n_tiles - i - 1) / (n_tiles - i);
            t.a = g->a + (size_t)p * ENG_BLOCK;
            t.out = g->out + out + (size_t)p * ENG_BLOCK;
            t.ahead_step = i < ahead_tiles ? 128 : 0;
            tiles[v - 1][mr](&t);
            t.ahead += t.ahead_step * 4 * (size_t)t.k_blocks;
        }
    }
}

const struct eng_pw_f32_kernel eng_pw_f32_avx512 = {
    .name = "pw_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .mr = TILE_MR,
    .nr = ENG_BLOCK,
    .macs = 32,
    .panel_bytes = f32_pw_panel_bytes,
    .pack = f32_pw_pack,
    .run = run,
};
