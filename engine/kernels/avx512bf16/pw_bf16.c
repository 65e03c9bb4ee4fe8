/* Pointwise, bf16, AVX512-BF16: the float pointwise of AVX-512 with pairs of inputs in the place of
 * inputs, at twice its rate. Tiles of up to 14 pixels x 32 channels, panels in pairs, each pair
 * over all pixels while the first tiles bring the next pair into L2. */
#include "engine/kernels/avx512bf16/tile.h"

enum { AHEAD_TILES = 4 };

struct pw_tile {
    const uint16_t *a;
    size_t a_step; /* bytes from behind one channel block of a pixel to the next block */
    const char *w;
    size_t panel_bytes; /* the second panel's distance */
    char *out;
    size_t out_bytes; /* between output channel blocks */
    long out_f32;
    long k_blocks; /* >= 1 */
    const float *lo, *hi;
    const char *ahead; /* weights to bring into L2 meanwhile, 4 lines per channel block, */
    size_t ahead_step; /* if this is 128 and not 0 */
};

#define WEIGHTS1(q) "vmovaps " #q " * 64(%[w]), %%zmm30\n\t"
#define WEIGHTS2(q) WEIGHTS1(q) "vmovaps " #q " * 64(%[w], %[panel]), %%zmm31\n\t"

/* `a` points 8 pixels into the tile: offsets then fit the short form of an address. */
#define Q0_1(r, c0, c1, t) BF16_DOT1("(" #r " - 8) * 32", c0, c1, t)
#define Q1_1(r, c0, c1, t) BF16_DOT1("(" #r " - 8) * 32 + 4", c0, c1, t)
#define Q2_1(r, c0, c1, t) BF16_DOT1("(" #r " - 8) * 32 + 8", c0, c1, t)
#define Q3_1(r, c0, c1, t) BF16_DOT1("(" #r " - 8) * 32 + 12", c0, c1, t)
#define Q0_2(r, c0, c1, t) BF16_DOT2("(" #r " - 8) * 32", c0, c1, t)
#define Q1_2(r, c0, c1, t) BF16_DOT2("(" #r " - 8) * 32 + 4", c0, c1, t)
#define Q2_2(r, c0, c1, t) BF16_DOT2("(" #r " - 8) * 32 + 8", c0, c1, t)
#define Q3_2(r, c0, c1, t) BF16_DOT2("(" #r " - 8) * 32 + 12", c0, c1, t)

/* clang-format off */
#define TILE(mr, v)                                                                                \
    static void tile##v##_##mr(const struct pw_tile *g)                                            \
    {                                                                                              \
        const uint16_t *a = g->a + 8 * ENG_BLOCK;                                                  \
        const char *w = g->w, *ahead = g->ahead;                                                   \
        long blocks = g->k_blocks, halves;                                                         \
        __asm__ volatile(                                                                          \
            WEIGHTS##v(0)                                                                          \
            ROWS##mr(TILE_BIAS##v)                                                                 \
            "1:\n\t"                                                                               \
            "mov $2, %k[halves]\n"                                                                 \
            "2:\n\t"                                                                               \
            "prefetcht1 (%[ahead])\n\t"                                                            \
            "prefetcht1 64(%[ahead])\n\t"                                                          \
            "add %[ahead_step], %[ahead]\n\t"                                                      \
            WEIGHTS##v(1)                                                                          \
            ROWS##mr(Q0_##v)                                                                       \
            WEIGHTS##v(2)                                                                          \
            ROWS##mr(Q1_##v)                                                                       \
            WEIGHTS##v(3)                                                                          \
            ROWS##mr(Q2_##v)                                                                       \
            WEIGHTS##v(4)                                                                          \
            ROWS##mr(Q3_##v)                                                                       \
            "add $256, %[w]\n\t"                                                                   \
            "add $16, %[a]\n\t"                                                                    \
            "dec %k[halves]\n\t"                                                                   \
            "jnz 2b\n\t"                                                                           \
            "add %[a_step], %[a]\n\t"                                                              \
            "dec %[blocks]\n\t"                                                                    \
            "jnz 1b\n\t"                                                                           \
            "vbroadcastss (%[lo]), %%zmm30\n\t"                                                    \
            "vbroadcastss (%[hi]), %%zmm31\n\t"                                                    \
            ROWS##mr(BF16_CLAMP##v)                                                                \
            "cmpq $0, %[out_f32]\n\t"                                                              \
            "jne 3f\n\t"                                                                           \
            STORES##mr(v)                                                                          \
            "jmp 4f\n"                                                                             \
            "3:\n\t"                                                                               \
            ROWS##mr(BF16_STORE_F32_##v)                                                           \
            "4:\n\t"                                                                               \
            : [a] "+r"(a), [w] "+r"(w), [blocks] "+r"(blocks), [ahead] "+r"(ahead),                \
              [halves] "=&r"(halves)                                                               \
            : [panel] "r"(g->panel_bytes), [a_step] "r"(g->a_step), [out] "r"(g->out),             \
              [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),                     \
              [ahead_step] "r"(g->ahead_step), [out_f32] "m"(g->out_f32)                           \
            : TILE_CLOBBERS);                                                                      \
    }
#define TILES(v)                                                                                   \
    TILE(1, v) TILE(2, v) TILE(3, v) TILE(4, v) TILE(5, v) TILE(6, v) TILE(7, v)                   \
    TILE(8, v) TILE(9, v) TILE(10, v) TILE(11, v) TILE(12, v) TILE(13, v) TILE(14, v)
/* clang-format on */

TILES(1)
TILES(2)

typedef void tile_fn(const struct pw_tile *g);
static tile_fn *const tiles[TILE_VECTORS][TILE_MR + 1] = {
    {NULL, tile1_1, tile1_2, tile1_3, tile1_4, tile1_5, tile1_6, tile1_7, tile1_8, tile1_9,
     tile1_10, tile1_11, tile1_12, tile1_13, tile1_14},
    {NULL, tile2_1, tile2_2, tile2_3, tile2_4, tile2_5, tile2_6, tile2_7, tile2_8, tile2_9,
     tile2_10, tile2_11, tile2_12, tile2_13, tile2_14},
};

static void run(const struct eng_pw_bf16_args *g)
{
    size_t panel = bf16_pw_panel_bytes(g->k_blocks * ENG_BLOCK);
    size_t element = g->out_f32 ? sizeof(float) : sizeof(uint16_t);
    int n_tiles = (g->pixels + TILE_MR - 1) / TILE_MR;
    struct pw_tile t = {.a_step = (g->a_stride - ENG_BLOCK) * sizeof(uint16_t),
                        .panel_bytes = panel,
                        .out_bytes = g->out_stride * element,
                        .out_f32 = g->out_f32,
                        .k_blocks = g->k_blocks,
                        .lo = &g->lo,
                        .hi = &g->hi};

    for (int j = 0, v; j < g->n_panels; j += v) {
        char *out = (char *)g->out + (size_t)j * t.out_bytes;
        v = g->n_panels - j < TILE_VECTORS ? g->n_panels - j : TILE_VECTORS;
        int ahead_tiles = g->n_panels - j > TILE_VECTORS ? AHEAD_TILES : 0;
        t.w = (const char *)g->panels + (size_t)j * panel;
        t.ahead = ahead_tiles ? t.w + TILE_VECTORS * panel : t.w;
        for (int i = 0, p = 0, mr; i < n_tiles; i++, p += mr) {
            mr = (g->pixels - p + n_tiles - i - 1) / (n_tiles - i);
            t.a = g->a + (size_t)p * ENG_BLOCK;
            t.out = out + (size_t)p * ENG_BLOCK * element;
            t.ahead_step = i < ahead_tiles ? 128 : 0;
            tiles[v - 1][mr](&t);
            t.ahead += t.ahead_step * 2 * (size_t)t.k_blocks;
        }
    }
}

const struct eng_pw_bf16_kernel eng_pw_bf16_avx512bf16 = {
    .name = "pw_bf16_avx512bf16",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512BF16,
    .mr = TILE_MR,
    .nr = ENG_BLOCK,
    .together = 1,
    .macs = 64,
    .panel_bytes = bf16_pw_panel_bytes,
    .pack = bf16_pw_pack,
    .run = run,
};
