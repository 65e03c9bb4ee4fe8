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

/* Two pixels, whose accumulators are c0, c1 and d0, d1, to one line of each channel block: a line
 * that is written whole is not read first. Operands: out, out_bytes (between channel blocks). */
#define BF16_STORE1(r, c0, c1, d0, d1)                                                             \
    "vcvtne2ps2bf16 %%zmm" c0 ", %%zmm" d0 ", %%zmm28\n\t"                                         \
    "vmovdqu64 %%zmm28, " #r " * 32(%[out])\n\t"
#define BF16_STORE2(r, c0, c1, d0, d1)                                                             \
    BF16_STORE1(r, c0, c1, d0, d1)                                                                 \
    "vcvtne2ps2bf16 %%zmm" c1 ", %%zmm" d1 ", %%zmm29\n\t"                                         \
    "vmovdqu64 %%zmm29, " #r " * 32(%[out], %[out_bytes])\n\t"
/* One pixel. */
#define BF16_LAST1(r, c0, c1)                                                                      \
    "vcvtneps2bf16 %%zmm" c0 ", %%ymm28\n\t"                                                       \
    "vmovdqa64 %%ymm28, " #r " * 32(%[out])\n\t"
#define BF16_LAST2(r, c0, c1)                                                                      \
    BF16_LAST1(r, c0, c1)                                                                          \
    "vcvtneps2bf16 %%zmm" c1 ", %%ymm29\n\t"                                                       \
    "vmovdqa64 %%ymm29, " #r " * 32(%[out], %[out_bytes])\n\t"

/* STORESn(v): n pixels of v channel blocks. */
#define STORES1(v) BF16_LAST##v(0, "0", "1")
#define STORES2(v) BF16_STORE##v(0, "0", "1", "2", "3")
#define STORES3(v) STORES2(v) BF16_LAST##v(2, "4", "5")
#define STORES4(v) STORES2(v) BF16_STORE##v(2, "4", "5", "6", "7")
#define STORES5(v) STORES4(v) BF16_LAST##v(4, "8", "9")
#define STORES6(v) STORES4(v) BF16_STORE##v(4, "8", "9", "10", "11")
#define STORES7(v) STORES6(v) BF16_LAST##v(6, "12", "13")
#define STORES8(v) STORES6(v) BF16_STORE##v(6, "12", "13", "14", "15")
#define STORES9(v) STORES8(v) BF16_LAST##v(8, "16", "17")
#define STORES10(v) STORES8(v) BF16_STORE##v(8, "16", "17", "18", "19")
#define STORES11(v) STORES10(v) BF16_LAST##v(10, "20", "21")
#define STORES12(v) STORES10(v) BF16_STORE##v(10, "20", "21", "22", "23")
#define STORES13(v) STORES12(v) BF16_LAST##v(12, "24", "25")
#define STORES14(v) STORES12(v) BF16_STORE##v(12, "24", "25", "26", "27")

#define BF16_STORE_F32_1(r, c0, c1, t) "vmovaps %%zmm" c0 ", " #r " * 64(%[out])\n\t"
#define BF16_STORE_F32_2(r, c0, c1, t)                                                             \
    BF16_STORE_F32_1(r, c0, c1, t)                                                                 \
    "vmovaps %%zmm" c1 ", " #r " * 64(%[out], %[out_bytes])\n\t"

#endif
