/* First convolution 3x3 from 3-channel pixels, float, AVX-512: 14 output pixels x 32 channels. */
#include "engine/kernels/avx512/f32_tile.h"
#include "engine/kernels/f32_tile.h"

#define WEIGHTS1(p, t) "vmovaps " #t " * 64(%[" p "]), %%zmm30\n\t"
#define WEIGHTS2(p, t) WEIGHTS1(p, t) "vmovaps " #t " * 64 + %c[block](%[" p "]), %%zmm31\n\t"
#define FMA1(r, s, t, c0, c1, b)                                                                   \
    "vbroadcastss " #r " * " #s " * 12 + " #t " * 4(%[a]), %%zmm" b "\n\t"                         \
    "vfmadd231ps %%zmm30, %%zmm" b ", %%zmm" c0 "\n\t"
#define FMA2(r, s, t, c0, c1, b)                                                                   \
    FMA1(r, s, t, c0, c1, b)                                                                       \
    "vfmadd231ps %%zmm31, %%zmm" b ", %%zmm" c1 "\n\t"

/* Tap_V_S: one tap, V vectors of channels, stride S. */
#define TAP0_1_1(r, c0, c1, b) FMA1(r, 1, 0, c0, c1, b)
#define TAP1_1_1(r, c0, c1, b) FMA1(r, 1, 1, c0, c1, b)
#define TAP2_1_1(r, c0, c1, b) FMA1(r, 1, 2, c0, c1, b)
#define TAP0_2_1(r, c0, c1, b) FMA2(r, 1, 0, c0, c1, b)
#define TAP1_2_1(r, c0, c1, b) FMA2(r, 1, 1, c0, c1, b)
#define TAP2_2_1(r, c0, c1, b) FMA2(r, 1, 2, c0, c1, b)
#define TAP0_1_2(r, c0, c1, b) FMA1(r, 2, 0, c0, c1, b)
#define TAP1_1_2(r, c0, c1, b) FMA1(r, 2, 1, c0, c1, b)
#define TAP2_1_2(r, c0, c1, b) FMA1(r, 2, 2, c0, c1, b)
#define TAP0_2_2(r, c0, c1, b) FMA2(r, 2, 0, c0, c1, b)
#define TAP1_2_2(r, c0, c1, b) FMA2(r, 2, 1, c0, c1, b)
#define TAP2_2_2(r, c0, c1, b) FMA2(r, 2, 2, c0, c1, b)

/* clang-format off */
#define CONV3_TILE(v, s)                                                                           \
    static void tile##v##_##s(const struct f32_tile *g)                                          \
    {                                                                                              \
        const float *a = g->a, *w = g->w;                                                          \
        long rows = g->segments, pixels;                                                               \
        __asm__ volatile(                                                                          \
            WEIGHTS##v("bias", 0)                                                                  \
            ROWS14(TILE_BIAS##v)                                                                   \
            "1:\n\t"                                                                               \
            "mov $3, %k[pixels]\n"                                                                 \
            "2:\n\t"                                                                               \
            WEIGHTS##v("w", 0)                                                                     \
            ROWS14(TAP0_##v##_##s)                                                                 \
            WEIGHTS##v("w", 1)                                                                     \
            ROWS14(TAP1_##v##_##s)                                                                 \
            WEIGHTS##v("w", 2)                                                                     \
            ROWS14(TAP2_##v##_##s)                                                                 \
            "add $192, %[w]\n\t"                                                                   \
            "add $12, %[a]\n\t"                                                                    \
            "dec %k[pixels]\n\t"                                                                   \
            "jnz 2b\n\t"                                                                           \
            "add %[row_step], %[a]\n\t"                                                            \
            "dec %[rows]\n\t"                                                                      \
            "jnz 1b\n\t"                                                                           \
            "vbroadcastss (%[lo]), %%zmm30\n\t"                                                    \
            "vbroadcastss (%[hi]), %%zmm31\n\t"                                                    \
            ROWS14(TILE_CLAMP##v)                                                                  \
            : [a] "+r"(a), [w] "+r"(w), [rows] "+r"(rows), [pixels] "=&r"(pixels)                  \
            : [bias] "r"(g->bias), [row_step] "r"(g->a_step), [out] "r"(g->out),           \
              [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),                     \
              [block] "i"(F32_CONV3_FLOATS * sizeof(float))                                        \
            : TILE_CLOBBERS);                                                                      \
    }
/* clang-format on */

CONV3_TILE(1, 1)
CONV3_TILE(2, 1)
CONV3_TILE(1, 2)
CONV3_TILE(2, 2)

typedef void tile_fn(const struct f32_tile *g);
static tile_fn *const conv3_tiles[TILE_VECTORS][2] = {{tile1_1, tile1_2}, {tile2_1, tile2_2}};

#define CONV3_MR TILE_MR
#define CONV3_BLOCKS TILE_VECTORS
#include "engine/kernels/conv3_f32.inc"

const struct eng_conv3_f32_kernel eng_conv3_f32_avx512 = {
    .name = "conv3_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .packed_bytes = f32_conv3_packed_bytes,
    .pack = f32_conv3_pack,
    .run = conv3_run,
};
