/* Tiles of the AVX-512 float pointwise: 1..14 pixels x 32 or 16 output channels.
 *
 * One broadcast load per pixel and k feeds two FMAs; an embedded broadcast feeds one, and the two
 * load ports become the limit (85-90 % of the peak against 99 on Zen 5). PW_TILES(2) and
 * PW_TILES(1) define tileV_1 .. tileV_14 for V vectors of channels. */
#ifndef ENG_KERNELS_AVX512_PW_F32_TILE_H
#define ENG_KERNELS_AVX512_PW_F32_TILE_H

#include "engine/kernels/avx512/f32_tile.h"

enum { PW_AHEAD_TILES = 4 };

struct pw_tile {
    const float *a;
    size_t a_step; /* bytes from behind one channel block of a pixel to the next block */
    const float *w;
    size_t panel_bytes; /* the second panel's distance */
    float *out;
    size_t out_bytes; /* between output channel blocks */
    long k_blocks;    /* >= 1 */
    const float *lo, *hi;
    const char *ahead; /* weights to bring into L2 meanwhile, 8 lines per channel block, */
    size_t ahead_step; /* if this is 128 and not 0 */
};

#define PW_WEIGHTS1(k) "vmovaps " #k " * 64(%[w]), %%zmm30\n\t"
#define PW_WEIGHTS2(k) PW_WEIGHTS1(k) "vmovaps " #k " * 64(%[w], %[panel]), %%zmm31\n\t"

/* `a` points 8 pixels into the tile: offsets then fit the short form of an address. */
#define PW_FMA1(r, k, c0, c1, t)                                                                   \
    "vbroadcastss (" #r " - 8) * 64 + " #k " * 4(%[a]), %%zmm" t "\n\t"                            \
    "vfmadd231ps %%zmm30, %%zmm" t ", %%zmm" c0 "\n\t"
#define PW_FMA2(r, k, c0, c1, t)                                                                   \
    PW_FMA1(r, k, c0, c1, t)                                                                       \
    "vfmadd231ps %%zmm31, %%zmm" t ", %%zmm" c1 "\n\t"

#define PW_K0_1(r, c0, c1, t) PW_FMA1(r, 0, c0, c1, t)
#define PW_K1_1(r, c0, c1, t) PW_FMA1(r, 1, c0, c1, t)
#define PW_K2_1(r, c0, c1, t) PW_FMA1(r, 2, c0, c1, t)
#define PW_K3_1(r, c0, c1, t) PW_FMA1(r, 3, c0, c1, t)
#define PW_K0_2(r, c0, c1, t) PW_FMA2(r, 0, c0, c1, t)
#define PW_K1_2(r, c0, c1, t) PW_FMA2(r, 1, c0, c1, t)
#define PW_K2_2(r, c0, c1, t) PW_FMA2(r, 2, c0, c1, t)
#define PW_K3_2(r, c0, c1, t) PW_FMA2(r, 3, c0, c1, t)

/* clang-format off */
#define PW_TILE(mr, v)                                                                             \
    static void tile##v##_##mr(const struct pw_tile *g)                                            \
    {                                                                                              \
        const float *a = g->a + 8 * ENG_BLOCK, *w = g->w;                                          \
        const char *ahead = g->ahead;                                                              \
        long blocks = g->k_blocks, quads;                                                          \
        __asm__ volatile(                                                                          \
            PW_WEIGHTS##v(0)                                                                       \
            ROWS##mr(TILE_BIAS##v)                                                                \
            "1:\n\t"                                                                               \
            "mov $4, %k[quads]\n"                                                                  \
            "2:\n\t"                                                                               \
            "prefetcht1 (%[ahead])\n\t"                                                            \
            "prefetcht1 64(%[ahead])\n\t"                                                          \
            "add %[ahead_step], %[ahead]\n\t"                                                      \
            PW_WEIGHTS##v(1)                                                                       \
            ROWS##mr(PW_K0_##v)                                                                 \
            PW_WEIGHTS##v(2)                                                                       \
            ROWS##mr(PW_K1_##v)                                                                 \
            PW_WEIGHTS##v(3)                                                                       \
            ROWS##mr(PW_K2_##v)                                                                 \
            PW_WEIGHTS##v(4)                                                                       \
            ROWS##mr(PW_K3_##v)                                                                 \
            "add $256, %[w]\n\t"                                                                   \
            "add $16, %[a]\n\t"                                                                    \
            "dec %k[quads]\n\t"                                                                    \
            "jnz 2b\n\t"                                                                           \
            "add %[a_step], %[a]\n\t"                                                              \
            "dec %[blocks]\n\t"                                                                    \
            "jnz 1b\n\t"                                                                           \
            "vbroadcastss (%[lo]), %%zmm30\n\t"                                                    \
            "vbroadcastss (%[hi]), %%zmm31\n\t"                                                    \
            ROWS##mr(TILE_CLAMP##v)                                                               \
            : [a] "+r"(a), [w] "+r"(w), [blocks] "+r"(blocks), [ahead] "+r"(ahead),                \
              [quads] "=&r"(quads)                                                                 \
            : [panel] "r"(g->panel_bytes), [a_step] "r"(g->a_step), [out] "r"(g->out),             \
              [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),                     \
              [ahead_step] "r"(g->ahead_step)                                                      \
            : TILE_CLOBBERS);                                                                        \
    }

#define PW_TILES(v)                                                                                \
    PW_TILE(1, v) PW_TILE(2, v) PW_TILE(3, v) PW_TILE(4, v) PW_TILE(5, v) PW_TILE(6, v)            \
    PW_TILE(7, v) PW_TILE(8, v) PW_TILE(9, v) PW_TILE(10, v) PW_TILE(11, v) PW_TILE(12, v)         \
    PW_TILE(13, v) PW_TILE(14, v)
/* clang-format on */

#endif
