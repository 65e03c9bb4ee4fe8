/* A tile of accumulators in AVX-512 assembly: up to 14 pixels x 32 or 16 channels.
 *
 * zmm0..27 accumulators (an even and an odd one a pixel), 28 and 29 broadcasts in turn, 30 and 31
 * weights, before them the bias and behind them the limits of the clamp. gcc 12 keeps an array of
 * 28 accumulators on the stack and loses 15 %, hence assembly. */
#ifndef ENG_KERNELS_AVX512_F32_TILE_H
#define ENG_KERNELS_AVX512_F32_TILE_H

#include "engine/kernels/f32_pack.h"

enum { TILE_MR = 14, TILE_VECTORS = 2 };

/* ROWSn(M): M for each of n pixels: number, its two accumulators, its broadcast register. */
#define ROWS1(M) M(0, "0", "1", "28")
#define ROWS2(M) ROWS1(M) M(1, "2", "3", "29")
#define ROWS3(M) ROWS2(M) M(2, "4", "5", "28")
#define ROWS4(M) ROWS3(M) M(3, "6", "7", "29")
#define ROWS5(M) ROWS4(M) M(4, "8", "9", "28")
#define ROWS6(M) ROWS5(M) M(5, "10", "11", "29")
#define ROWS7(M) ROWS6(M) M(6, "12", "13", "28")
#define ROWS8(M) ROWS7(M) M(7, "14", "15", "29")
#define ROWS9(M) ROWS8(M) M(8, "16", "17", "28")
#define ROWS10(M) ROWS9(M) M(9, "18", "19", "29")
#define ROWS11(M) ROWS10(M) M(10, "20", "21", "28")
#define ROWS12(M) ROWS11(M) M(11, "22", "23", "29")
#define ROWS13(M) ROWS12(M) M(12, "24", "25", "28")
#define ROWS14(M) ROWS13(M) M(13, "26", "27", "29")

#define TILE_BIAS1(r, c0, c1, t) "vmovaps %%zmm30, %%zmm" c0 "\n\t"
#define TILE_BIAS2(r, c0, c1, t)                                                                   \
    TILE_BIAS1(r, c0, c1, t)                                                                       \
    "vmovaps %%zmm31, %%zmm" c1 "\n\t"

/* Operands: out, out_bytes (between channel blocks). */
#define TILE_CLAMP1(r, c0, c1, t)                                                                  \
    "vmaxps %%zmm30, %%zmm" c0 ", %%zmm" c0 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c0 ", %%zmm" c0 "\n\t"                                                 \
    "vmovaps %%zmm" c0 ", " #r " * 64(%[out])\n\t"
#define TILE_CLAMP2(r, c0, c1, t)                                                                  \
    TILE_CLAMP1(r, c0, c1, t)                                                                      \
    "vmaxps %%zmm30, %%zmm" c1 ", %%zmm" c1 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c1 ", %%zmm" c1 "\n\t"                                                 \
    "vmovaps %%zmm" c1 ", " #r " * 64(%[out], %[out_bytes])\n\t"

/* clang-format off */
#define TILE_CLOBBERS                                                                                \
    "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",        \
    "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",       \
    "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",      \
    "xmm29", "xmm30", "xmm31"
/* clang-format on */

#endif
