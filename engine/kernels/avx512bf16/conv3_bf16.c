/* First convolution 3x3 from 3-channel float pixels, bf16, AVX512-BF16: 14 output pixels x 32
 * channels.
 *
 * What a tile sees of the image is rounded into a small buffer, zeros where there is no image; a
 * row of nine taps is then four and a half pairs at any offset that is even in bytes, the last half
 * without weight. */
#include <immintrin.h>

#include "engine/kernels/avx512bf16/tile.h"

/* Pixels of the input that a tile can see at stride 2; elements of a row of the buffer, whole
 * vectors, with room for the pair that ends behind the last pixel. */
enum { SEEN = (TILE_MR - 1) * 2 + 3, SEEN_ROW = 96, ROWS_AHEAD = 2 };

struct conv3_tile {
    const uint16_t *a; /* 3 rows of SEEN_ROW */
    const char *w, *bias;
    long rows; /* 1 .. 3 */
    uint16_t *out;
    size_t out_bytes;
    const float *lo, *hi;
};

#define WEIGHTS1(p, q) "vmovaps " #q " * 64(%[" p "]), %%zmm30\n\t"
#define WEIGHTS2(p, q) WEIGHTS1(p, q) "vmovaps " #q " * 64 + %c[block](%[" p "]), %%zmm31\n\t"
#define Q(r, s, q) #r " * " #s " * 6 + " #q " * 4"
#define Q0_1_1(r, c0, c1, t) BF16_DOT1(Q(r, 1, 0), c0, c1, t)
#define Q1_1_1(r, c0, c1, t) BF16_DOT1(Q(r, 1, 1), c0, c1, t)
#define Q2_1_1(r, c0, c1, t) BF16_DOT1(Q(r, 1, 2), c0, c1, t)
#define Q3_1_1(r, c0, c1, t) BF16_DOT1(Q(r, 1, 3), c0, c1, t)
#define Q4_1_1(r, c0, c1, t) BF16_DOT1(Q(r, 1, 4), c0, c1, t)
#define Q0_2_1(r, c0, c1, t) BF16_DOT2(Q(r, 1, 0), c0, c1, t)
#define Q1_2_1(r, c0, c1, t) BF16_DOT2(Q(r, 1, 1), c0, c1, t)
#define Q2_2_1(r, c0, c1, t) BF16_DOT2(Q(r, 1, 2), c0, c1, t)
#define Q3_2_1(r, c0, c1, t) BF16_DOT2(Q(r, 1, 3), c0, c1, t)
#define Q4_2_1(r, c0, c1, t) BF16_DOT2(Q(r, 1, 4), c0, c1, t)
#define Q0_1_2(r, c0, c1, t) BF16_DOT1(Q(r, 2, 0), c0, c1, t)
#define Q1_1_2(r, c0, c1, t) BF16_DOT1(Q(r, 2, 1), c0, c1, t)
#define Q2_1_2(r, c0, c1, t) BF16_DOT1(Q(r, 2, 2), c0, c1, t)
#define Q3_1_2(r, c0, c1, t) BF16_DOT1(Q(r, 2, 3), c0, c1, t)
#define Q4_1_2(r, c0, c1, t) BF16_DOT1(Q(r, 2, 4), c0, c1, t)
#define Q0_2_2(r, c0, c1, t) BF16_DOT2(Q(r, 2, 0), c0, c1, t)
#define Q1_2_2(r, c0, c1, t) BF16_DOT2(Q(r, 2, 1), c0, c1, t)
#define Q2_2_2(r, c0, c1, t) BF16_DOT2(Q(r, 2, 2), c0, c1, t)
#define Q3_2_2(r, c0, c1, t) BF16_DOT2(Q(r, 2, 3), c0, c1, t)
#define Q4_2_2(r, c0, c1, t) BF16_DOT2(Q(r, 2, 4), c0, c1, t)

/* clang-format off */
#define CONV3_TILE(v, s)                                                                           \
    static void tile##v##_##s(const struct conv3_tile *g)                                          \
    {                                                                                              \
        const uint16_t *a = g->a;                                                                  \
        const char *w = g->w;                                                                      \
        long rows = g->rows;                                                                       \
        __asm__ volatile(                                                                          \
            WEIGHTS##v("bias", 0)                                                                  \
            ROWS14(TILE_BIAS##v)                                                                   \
            "1:\n\t"                                                                               \
            WEIGHTS##v("w", 0)                                                                     \
            ROWS14(Q0_##v##_##s)                                                                   \
            WEIGHTS##v("w", 1)                                                                     \
            ROWS14(Q1_##v##_##s)                                                                   \
            WEIGHTS##v("w", 2)                                                                     \
            ROWS14(Q2_##v##_##s)                                                                   \
            WEIGHTS##v("w", 3)                                                                     \
            ROWS14(Q3_##v##_##s)                                                                   \
            WEIGHTS##v("w", 4)                                                                     \
            ROWS14(Q4_##v##_##s)                                                                   \
            "add $5 * 64, %[w]\n\t"                                                                \
            "add %[row_bytes], %[a]\n\t"                                                           \
            "dec %[rows]\n\t"                                                                      \
            "jnz 1b\n\t"                                                                           \
            "vbroadcastss (%[lo]), %%zmm30\n\t"                                                    \
            "vbroadcastss (%[hi]), %%zmm31\n\t"                                                    \
            ROWS14(BF16_CLAMP##v)                                                                  \
            STORES14(v)                                                                            \
            : [a] "+r"(a), [w] "+r"(w), [rows] "+r"(rows)                                          \
            : [bias] "r"(g->bias), [row_bytes] "i"(SEEN_ROW * sizeof(uint16_t)),                   \
              [out] "r"(g->out), [out_bytes] "r"(g->out_bytes), [lo] "r"(g->lo), [hi] "r"(g->hi),  \
              [block] "i"(BF16_CONV3_BYTES)                                                        \
            : TILE_CLOBBERS);                                                                      \
    }
/* clang-format on */

CONV3_TILE(1, 1)
CONV3_TILE(2, 1)
CONV3_TILE(1, 2)
CONV3_TILE(2, 2)

typedef void tile_fn(const struct conv3_tile *g);
static tile_fn *const tiles[TILE_VECTORS][2] = {{tile1_1, tile1_2}, {tile2_1, tile2_2}};

/* Pixels x .. x+SEEN-1 of image row y. */
static void round_row(const struct eng_conv3_bf16_args *g, int y, int x, uint16_t *ret)
{
    const float *in = g->in + (ptrdiff_t)y * g->geo.in_w * 3 + (ptrdiff_t)x * 3;
    int from = x < 0 ? -x * 3 : 0, to = (g->geo.in_w - x < SEEN ? g->geo.in_w - x : SEEN) * 3;

    for (int i = 0; i < SEEN_ROW; i += 16) {
        uint32_t head = i < from ? (from - i < 16 ? 0xffffu << (from - i) : 0) : 0xffffu;
        uint32_t tail = i + 16 > to ? (to > i ? 0xffffu >> (16 - (to - i)) : 0) : 0xffffu;
        __m512 v = _mm512_maskz_loadu_ps((__mmask16)(head & tail), in + i);
        _mm256_store_si256((__m256i *)(void *)(ret + i), (__m256i)_mm512_cvtneps_pbh(v));
    }
}

/* The image comes from memory, a few lines of each row at a time: too few for the hardware to see
 * them coming. Asks for what the tile below the next one will see anew. */
static void prefetch(const struct eng_conv3_bf16_args *g, int y, int x)
{
    int row = (y + ROWS_AHEAD) * g->geo.stride - g->geo.top + 3 - g->geo.stride;
    const float *from =
        g->in + ((ptrdiff_t)row * g->geo.in_w + x * g->geo.stride - g->geo.left) * 3;
    if (row < 0 || row + g->geo.stride > g->geo.in_h)
        return;
    for (int r = 0; r < g->geo.stride; r++, from += g->geo.in_w * 3)
        for (int i = 0; i < TILE_MR * 3 * g->geo.stride; i += 16)
            __builtin_prefetch(from + i);
}

/* All channels of `count` pixels at (y, x). */
static void pixels(const struct eng_conv3_bf16_args *g, struct conv3_tile *t, int y, int x,
                   int count)
{
    _Alignas(ENG_ALIGN) uint16_t seen[3 * SEEN_ROW], spill[TILE_VECTORS * TILE_MR * ENG_BLOCK];
    int top = y * g->geo.stride - g->geo.top, left = x * g->geo.stride - g->geo.left;
    int ky0 = top < 0 ? -top : 0, ky1 = g->geo.in_h - top < 3 ? g->geo.in_h - top : 3;
    uint16_t *out = g->out + (size_t)(y - g->geo.y0) * g->out_row + (size_t)x * ENG_BLOCK;

    prefetch(g, y, x);
    for (int ky = ky0; ky < ky1; ky++)
        round_row(g, top + ky, left, seen + (ky - ky0) * SEEN_ROW);
    t->a = seen;
    t->rows = ky1 - ky0;
    for (int b = 0, v; b < g->n_blocks; b += v) {
        v = g->n_blocks - b < TILE_VECTORS ? 1 : TILE_VECTORS;
        t->bias = (const char *)g->packed + (size_t)b * BF16_CONV3_BYTES;
        t->w = t->bias + (1 + ky0 * BF16_ROW_PAIRS) * BF16_PAIR_BYTES;
        t->out = count < TILE_MR ? spill : out + (size_t)b * g->out_stride;
        t->out_bytes = (count < TILE_MR ? TILE_MR * ENG_BLOCK : g->out_stride) * sizeof(uint16_t);
        tiles[v - 1][g->geo.stride - 1](t);
        for (int j = 0; j < v && count < TILE_MR; j++)
            memcpy(out + (size_t)(b + j) * g->out_stride, spill + j * TILE_MR * ENG_BLOCK,
                   (size_t)count * ENG_BLOCK * sizeof(uint16_t));
    }
}

static void run(const struct eng_conv3_bf16_args *g)
{
    struct conv3_tile t = {.lo = &g->lo, .hi = &g->hi};

    for (int y = g->geo.y0; y < g->geo.y1; y++) {
        int x = 0;
        for (; x + TILE_MR <= g->geo.out_w; x += TILE_MR)
            pixels(g, &t, y, x, TILE_MR);
        if (x < g->geo.out_w && g->geo.out_w > TILE_MR)
            pixels(g, &t, y, g->geo.out_w - TILE_MR, TILE_MR);
        else if (x < g->geo.out_w)
            pixels(g, &t, y, x, g->geo.out_w - x);
    }
}

const struct eng_conv3_bf16_kernel eng_conv3_bf16_avx512bf16 = {
    .name = "conv3_bf16_avx512bf16",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512BF16,
    .packed_bytes = bf16_conv3_packed_bytes,
    .pack = bf16_conv3_pack,
    .run = run,
};
