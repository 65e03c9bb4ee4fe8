/* Tiles of the AVX-512 float pointwise, in assembly: 1..14 pixels x 32 or 16 output channels, all
 * accumulators in registers from the bias to the clamp.
 *
 * One broadcast load per pixel and k feeds two FMAs; an embedded broadcast feeds one, and the two
 * load ports become the limit (85-90 % of the peak against 99 on Zen 5). gcc 12 keeps such an array
 * of accumulators on the stack, hence assembly: zmm0..27 accumulators, 28 and 29 broadcasts in
 * turn, 30 and 31 weights. PW_TILES(2) and PW_TILES(1) define tileV_1 .. tileV_14 for V vectors of
 * channels. */
#ifndef ENG_KERNELS_AVX512_PW_F32_TILE_H
#define ENG_KERNELS_AVX512_PW_F32_TILE_H

#include "engine/kernels/f32_pack.h"

enum { PW_MR = 14, PW_VECTORS = 2, PW_AHEAD_TILES = 4 };

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

/* ROWSn(M): M for each of n pixels: number, its two accumulators, its broadcast register. */
#define PW_ROWS1(M) M(0, "0", "1", "28")
#define PW_ROWS2(M) PW_ROWS1(M) M(1, "2", "3", "29")
#define PW_ROWS3(M) PW_ROWS2(M) M(2, "4", "5", "28")
#define PW_ROWS4(M) PW_ROWS3(M) M(3, "6", "7", "29")
#define PW_ROWS5(M) PW_ROWS4(M) M(4, "8", "9", "28")
#define PW_ROWS6(M) PW_ROWS5(M) M(5, "10", "11", "29")
#define PW_ROWS7(M) PW_ROWS6(M) M(6, "12", "13", "28")
#define PW_ROWS8(M) PW_ROWS7(M) M(7, "14", "15", "29")
#define PW_ROWS9(M) PW_ROWS8(M) M(8, "16", "17", "28")
#define PW_ROWS10(M) PW_ROWS9(M) M(9, "18", "19", "29")
#define PW_ROWS11(M) PW_ROWS10(M) M(10, "20", "21", "28")
#define PW_ROWS12(M) PW_ROWS11(M) M(11, "22", "23", "29")
#define PW_ROWS13(M) PW_ROWS12(M) M(12, "24", "25", "28")
#define PW_ROWS14(M) PW_ROWS13(M) M(13, "26", "27", "29")

#define PW_WEIGHTS1(k) "vmovaps " #k " * 64(%[w]), %%zmm30\n\t"
#define PW_WEIGHTS2(k) PW_WEIGHTS1(k) "vmovaps " #k " * 64(%[w], %[panel]), %%zmm31\n\t"

#define PW_BIAS1(r, c0, c1, t) "vmovaps %%zmm30, %%zmm" c0 "\n\t"
#define PW_BIAS2(r, c0, c1, t)                                                                     \
    PW_BIAS1(r, c0, c1, t)                                                                         \
    "vmovaps %%zmm31, %%zmm" c1 "\n\t"

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

#define PW_CLAMP1(r, c0, c1, t)                                                                    \
    "vmaxps %%zmm30, %%zmm" c0 ", %%zmm" c0 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c0 ", %%zmm" c0 "\n\t"                                                 \
    "vmovaps %%zmm" c0 ", " #r " * 64(%[out])\n\t"
#define PW_CLAMP2(r, c0, c1, t)                                                                    \
    PW_CLAMP1(r, c0, c1, t)                                                                        \
    "vmaxps %%zmm30, %%zmm" c1 ", %%zmm" c1 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c1 ", %%zmm" c1 "\n\t"                                                 \
    "vmovaps %%zmm" c1 ", " #r " * 64(%[out], %[out_bytes])\n\t"

/* clang-format off */
#define PW_CLOBBERS                                                                                \
    "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",        \
    "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",       \
    "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",      \
    "xmm29", "xmm30", "xmm31"

#define PW_TILE(mr, v)                                                                             \
    static void tile##v##_##mr(const struct pw_tile *g)                                            \
    {                                                                                              \
        const float *a = g->a + 8 * ENG_BLOCK, *w = g->w;                                          \
        const char *ahead = g->ahead;                                                              \
        long blocks = g->k_blocks, quads;                                                          \
        __asm__ volatile(                                                                          \
            PW_WEIGHTS##v(0)                                                                       \
            PW_ROWS##mr(PW_BIAS##v)                                                                \
            "1:\n\t"                                                                               \
            "mov $4, %k[quads]\n"                                                                  \
            "2:\n\t"                                                                               \
            "prefetcht1 (%[ahead])\n\t"                                                            \
            "prefetcht1 64(%[ahead])\n\t"                                                          \
            "add %[ahead_step], %[ahead]\n\t"                                                      \
            PW_WEIGHTS##v(1)                                                                       \
            PW_ROWS##mr(PW_K0_##v)                                                                 \
            PW_WEIGHTS##v(2)                                                                       \
            PW_ROWS##mr(PW_K1_##v)                                                                 \
            PW_WEIGHTS##v(3)                                                                       \
            PW_ROWS##mr(PW_K2_##v)                                                                 \
            PW_WEIGHTS##v(4)                                                                       \
            PW_ROWS##mr(PW_K3_##v)                                                                 \
            "add $256, %[w]\n\t"                                                                   \
            "add $16, %[a]\n\t"                                                                    \
            "dec %k[quads]\n\t"                                                                    \
            "jnz 2b\n\t"                                                                           \
            "add %[a_step], %[a]\n\t"                                                              \
            "dec %[blocks]\n\t"                                                                    \
            "jnz 1b\n\t"                                                                           \
            "vbroadcastss (%[lo]), %%zmm30\n\t"                                                    \
            "vbroadcastss (%[hi]), %%zmm31\n\t"                                                    \
            PW_ROWS##mr(PW_CLAMP##v)                                                               \
            : [a] "+r"(a), [w] "+r"(w), [blocks] "+r"(blocks), [ahead] "+r"(ahead),                \
              [quads] "=&r"(quads)                                                                 \
            : [panel] "r"(g->panel_bytes), [a_step] "r"(g->a_step), [out] "r"(g->out),             \
              [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),                     \
              [ahead_step] "r"(g->ahead_step)                                                      \
            : PW_CLOBBERS);                                                                        \
    }

#define PW_TILES(v)                                                                                \
    PW_TILE(1, v) PW_TILE(2, v) PW_TILE(3, v) PW_TILE(4, v) PW_TILE(5, v) PW_TILE(6, v)            \
    PW_TILE(7, v) PW_TILE(8, v) PW_TILE(9, v) PW_TILE(10, v) PW_TILE(11, v) PW_TILE(12, v)         \
    PW_TILE(13, v) PW_TILE(14, v)
/* clang-format on */

#endif
