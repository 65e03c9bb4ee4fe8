/* First convolution 3x3 from 3-channel pixels, float, AVX-512: 14 output pixels x 32 channels.
 *
 * A row of taps is 9 neighbouring floats of the image, so every tap of every pixel of a tile is an
 * immediate offset from one pointer per row: no im2col. The last tile of a row overlaps the one
 * before. Tiles that touch padding read from a copy with zeros in it; their sums run in the same
 * order. */
#include "engine/kernels/avx512/f32_tile.h"

enum { TAP_ROW = 9 };

struct conv3_tile {
    const float *a; /* first pixel of the first row */
    size_t row_bytes;
    const float *w, *bias; /* of the first row; of the block. The second block lies behind. */
    long rows;             /* 1 .. 3 */
    float *out;
    size_t out_bytes;
    const float *lo, *hi;
};

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
    static void tile##v##_##s(const struct conv3_tile *g)                                          \
    {                                                                                              \
        const float *a = g->a, *w = g->w;                                                          \
        long rows = g->rows, pixels;                                                               \
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
            : [bias] "r"(g->bias), [row_step] "r"(g->row_bytes - 36), [out] "r"(g->out),           \
              [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),                     \
              [block] "i"(F32_CONV3_FLOATS * sizeof(float))                                        \
            : TILE_CLOBBERS);                                                                      \
    }
/* clang-format on */

CONV3_TILE(1, 1)
CONV3_TILE(2, 1)
CONV3_TILE(1, 2)
CONV3_TILE(2, 2)

typedef void tile_fn(const struct conv3_tile *g);
static tile_fn *const tiles[TILE_VECTORS][2] = {{tile1_1, tile1_2}, {tile2_1, tile2_2}};

/* What of the input 14 output pixels can see, at stride 2. */
enum { SEEN = (TILE_MR - 1) * 2 + 3, SEEN_FLOATS = SEEN * 3 };

/* Rows y .. y+rows-1, pixels x .. x+SEEN-1 of the image, zeros where it has none. */
static void copy_padded(const struct eng_conv3_f32_args *g, int y, int rows, int x, float *ret)
{
    int from = x < 0 ? 0 : x, to = x + SEEN < g->in_w ? x + SEEN : g->in_w;

    memset(ret, 0, (size_t)rows * SEEN_FLOATS * sizeof(float));
    for (int r = 0; r < rows && from < to; r++)
        memcpy(ret + r * SEEN_FLOATS + (from - x) * 3,
               g->in + ((size_t)(y + r) * (size_t)g->in_w + (size_t)from) * 3,
               (size_t)(to - from) * 3 * sizeof(float));
}

/* All channels of up to 14 pixels at (y, x). */
static void pixels(const struct eng_conv3_f32_args *g, struct conv3_tile *t, int y, int x,
                   int count)
{
    float padded[3 * SEEN_FLOATS];
    _Alignas(ENG_ALIGN) float spill[TILE_VECTORS * TILE_MR * ENG_BLOCK];
    int top = y * g->stride - g->top, left = x * g->stride - g->left;
    int ky0 = top < 0 ? -top : 0, ky1 = g->in_h - top < 3 ? g->in_h - top : 3;
    int right = left + (TILE_MR - 1) * g->stride + 3;
    float *out = g->out + (size_t)(y - g->y0) * g->out_row + (size_t)x * ENG_BLOCK;

    t->rows = ky1 - ky0;
    t->a = padded;
    t->row_bytes = SEEN_FLOATS * sizeof(float);
    if (left >= 0 && right <= g->in_w) {
        t->a = g->in + ((size_t)(top + ky0) * (size_t)g->in_w + (size_t)left) * 3;
        t->row_bytes = (size_t)g->in_w * 3 * sizeof(float);
    } else {
        copy_padded(g, top + ky0, ky1 - ky0, left, padded);
    }
    for (int b = 0, v; b < g->n_blocks; b += v) {
        v = g->n_blocks - b < TILE_VECTORS ? 1 : TILE_VECTORS;
        t->bias = (const float *)g->packed + (size_t)b * F32_CONV3_FLOATS;
        t->w = t->bias + (1 + ky0 * TAP_ROW) * ENG_BLOCK;
        t->out = count < TILE_MR ? spill : out + (size_t)b * g->out_stride;
        t->out_bytes = (count < TILE_MR ? TILE_MR * ENG_BLOCK : g->out_stride) * sizeof(float);
        tiles[v - 1][g->stride - 1](t);
        for (int j = 0; j < v && count < TILE_MR; j++)
            memcpy(out + (size_t)(b + j) * g->out_stride, spill + j * TILE_MR * ENG_BLOCK,
                   (size_t)count * ENG_BLOCK * sizeof(float));
    }
}

static void run(const struct eng_conv3_f32_args *g)
{
    struct conv3_tile t = {.lo = &g->lo, .hi = &g->hi};

    for (int y = g->y0; y < g->y1; y++) {
        int x = 0;
        for (; x + TILE_MR <= g->out_w; x += TILE_MR)
            pixels(g, &t, y, x, TILE_MR);
        if (x < g->out_w && g->out_w > TILE_MR)
            pixels(g, &t, y, g->out_w - TILE_MR, TILE_MR);
        else if (x < g->out_w)
            pixels(g, &t, y, x, g->out_w - x);
    }
}

const struct eng_conv3_f32_kernel eng_conv3_f32_avx512 = {
    .name = "conv3_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .packed_bytes = f32_conv3_packed_bytes,
    .pack = f32_conv3_pack,
    .run = run,
};
