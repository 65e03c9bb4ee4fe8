/* Steps of a bf16 tile in AVX-512 assembly, on the registers of avx512/f32_tile.h: one broadcast of
 * a pair of inputs feeds two vdpbf16ps. */
#ifndef ENG_KERNELS_AVX512BF16_TILE_H
#define ENG_KERNELS_AVX512BF16_TILE_H

#include "engine/kernels/avx512/f32_tile.h"
#include "engine/kernels/bf16_pack.h"

/* `at`: displacement of the pair from the operand `a`. */
#define BF16_DOT1(at, c0, c1, t)                                                                   \
    "vpbroadcastd " at "(%[a]), %%zmm" t "\n\t"                                                    \
    "vdpbf16ps %%zmm30, %%zmm" t ", %%zmm" c0 "\n\t"
#define BF16_DOT2(at, c0, c1, t)                                                                   \
    BF16_DOT1(at, c0, c1, t)                                                                       \
    "vdpbf16ps %%zmm31, %%zmm" t ", %%zmm" c1 "\n\t"

#define BF16_CLAMP1(r, c0, c1, t)                                                                  \
    "vmaxps %%zmm30, %%zmm" c0 ", %%zmm" c0 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c0 ", %%zmm" c0 "\n\t"
#define BF16_CLAMP2(r, c0, c1, t)                                                                  \
    BF16_CLAMP1(r, c0, c1, t)                                                                      \
    "vmaxps %%zmm30, %%zmm" c1 ", %%zmm" c1 "\n\t"                                                 \
    "vminps %%zmm31, %%zmm" c1 ", %%zmm" c1 "\n\t"

/* Operands: out, out_bytes (between channel blocks). */
#define BF16_STORE1(r, c0, c1, t)                                                                  \
    "vcvtneps2bf16 %%zmm" c0 ", %%ymm" t "\n\t"                                                    \
    "vmovdqa64 %%ymm" t ", " #r " * 32(%[out])\n\t"
#define BF16_STORE2(r, c0, c1, t)                                                                  \
    BF16_STORE1(r, c0, c1, t)                                                                      \
    "vcvtneps2bf16 %%zmm" c1 ", %%ymm" t "\n\t"                                                    \
    "vmovdqa64 %%ymm" t ", " #r " * 32(%[out], %[out_bytes])\n\t"
#define BF16_STORE_F32_1(r, c0, c1, t) "vmovaps %%zmm" c0 ", " #r " * 64(%[out])\n\t"
#define BF16_STORE_F32_2(r, c0, c1, t)                                                             \
    BF16_STORE_F32_1(r, c0, c1, t)                                                                 \
    "vmovaps %%zmm" c1 ", " #r " * 64(%[out], %[out_bytes])\n\t"

#endif
