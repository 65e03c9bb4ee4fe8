/* Depthwise 3x3, float, AVX-512: up to 8 output pixels of one row at a time.
 *
 * A column of the input is loaded once a row and feeds the two or three outputs that see it. A
 * column outside the image is a load with an empty mask: zeros, no branch, no fault. Tiles whose
 * padding is wider than one column take the slow path, in the same order of summation. */
#include <immintrin.h>
#include "engine/kernels/f32_pack.h"

enum { WIDTH = 8, TAP_ROW = 3 * ENG_BLOCK };

struct dw_tile {
    const float *in;       /* first column of the first row; not read if its mask is empty */
    size_t in_row;         /* floats */
    const float *w, *bias; /* w: of the first row */
    int rows;              /* 1 .. 3 */
    __mmask16 first, last; /* of the first and of the last column */
    float *out;
    __m512 lo, hi;
};

/* Accumulators are names, not an array: gcc 12 keeps arrays on the stack. */
#define ACCUMULATORS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define START(i) __m512 a##i = bias;
#define FINISH(i)                                                                                  \
    if (i < n)                                                                                     \
        _mm512_store_ps(g->out + (i)*ENG_BLOCK, _mm512_min_ps(_mm512_max_ps(a##i, g->lo), g->hi));
#define COLUMN(c)                                                                                  \
    if (c < columns)                                                                               \
        v = c == 0            ? _mm512_maskz_load_ps(g->first, in)                                 \
            : c < columns - 1 ? _mm512_load_ps(in + c * ENG_BLOCK)                                 \
                              : _mm512_maskz_load_ps(g->last, in + c * ENG_BLOCK);
#define TAP(i, kx)                                                                                 \
    if (i < n)                                                                                     \
        a##i = _mm512_fmadd_ps(v, w##kx, a##i);

/* clang-format off */
#define STRIDE1                                                                                    \
    COLUMN(0) TAP(0, 0)                                                                            \
    COLUMN(1) TAP(0, 1) TAP(1, 0)                                                                  \
    COLUMN(2) TAP(0, 2) TAP(1, 1) TAP(2, 0)                                                        \
    COLUMN(3) TAP(1, 2) TAP(2, 1) TAP(3, 0)                                                        \
    COLUMN(4) TAP(2, 2) TAP(3, 1) TAP(4, 0)                                                        \
    COLUMN(5) TAP(3, 2) TAP(4, 1) TAP(5, 0)                                                        \
    COLUMN(6) TAP(4, 2) TAP(5, 1) TAP(6, 0)                                                        \
    COLUMN(7) TAP(5, 2) TAP(6, 1) TAP(7, 0)                                                        \
    COLUMN(8) TAP(6, 2) TAP(7, 1)                                                                  \
    COLUMN(9) TAP(7, 2)
#define STRIDE2                                                                                    \
    COLUMN(0) TAP(0, 0)                                                                            \
    COLUMN(1) TAP(0, 1)                                                                            \
    COLUMN(2) TAP(0, 2) TAP(1, 0)                                                                  \
    COLUMN(3) TAP(1, 1)                                                                            \
    COLUMN(4) TAP(1, 2) TAP(2, 0)                                                                  \
    COLUMN(5) TAP(2, 1)                                                                            \
    COLUMN(6) TAP(2, 2) TAP(3, 0)                                                                  \
    COLUMN(7) TAP(3, 1)                                                                            \
    COLUMN(8) TAP(3, 2) TAP(4, 0)                                                                  \
    COLUMN(9) TAP(4, 1)                                                                            \
    COLUMN(10) TAP(4, 2) TAP(5, 0)                                                                 \
    COLUMN(11) TAP(5, 1)                                                                           \
    COLUMN(12) TAP(5, 2) TAP(6, 0)                                                                 \
    COLUMN(13) TAP(6, 1)                                                                           \
    COLUMN(14) TAP(6, 2) TAP(7, 0)                                                                 \
    COLUMN(15) TAP(7, 1)                                                                           \
    COLUMN(16) TAP(7, 2)

/* tileS_N: N outputs at stride S. */
#define TILE(s, outputs)                                                                           \
    static void tile##s##_##outputs(const struct dw_tile *g)                                       \
    {                                                                                              \
        enum { n = outputs, columns = (n - 1) * s + 3 };                                           \
        const float *in = g->in, *w = g->w;                                                        \
        __m512 v, bias = _mm512_load_ps(g->bias);                                                  \
        ACCUMULATORS(START)                                                                        \
        for (int r = g->rows; r > 0; r--, in += g->in_row, w += TAP_ROW) {                         \
            __m512 w0 = _mm512_load_ps(w), w1 = _mm512_load_ps(w + ENG_BLOCK),                     \
                   w2 = _mm512_load_ps(w + 2 * ENG_BLOCK);                                         \
            STRIDE##s                                                                              \
        }                                                                                          \
        ACCUMULATORS(FINISH)                                                                       \
    }
#define TILES(s)                                                                                   \
    TILE(s, 1) TILE(s, 2) TILE(s, 3) TILE(s, 4) TILE(s, 5) TILE(s, 6) TILE(s, 7) TILE(s, 8)
TILES(1)
TILES(2)
/* clang-format on */

typedef void tile_fn(const struct dw_tile *g);
static tile_fn *const tiles[2][WIDTH + 1] = {
    {NULL, tile1_1, tile1_2, tile1_3, tile1_4, tile1_5, tile1_6, tile1_7, tile1_8},
    {NULL, tile2_1, tile2_2, tile2_3, tile2_4, tile2_5, tile2_6, tile2_7, tile2_8},
};

/* One output whose window starts at column `left`. */
static void slow_pixel(const struct dw_tile *g, int left, int in_w, float *out)
{
    __m512 acc = _mm512_load_ps(g->bias);

    for (int r = 0; r < g->rows; r++)
        for (int kx = 0; kx < 3; kx++)
            if (left + kx >= 0 && left + kx < in_w)
                acc = _mm512_fmadd_ps(
                    _mm512_load_ps(g->in + (size_t)r * g->in_row + (left + kx) * ENG_BLOCK),
                    _mm512_load_ps(g->w + r * TAP_ROW + kx * ENG_BLOCK), acc);
    _mm512_store_ps(out, _mm512_min_ps(_mm512_max_ps(acc, g->lo), g->hi));
}

static void row(const struct eng_dw_f32_args *g, struct dw_tile *t, const float *in, float *out)
{
    int n_tiles = (g->out_w + WIDTH - 1) / WIDTH;

    for (int i = 0, x = 0, n; i < n_tiles; i++, x += n) {
        n = (g->out_w - x + n_tiles - i - 1) / (n_tiles - i);
        int left = x * g->stride - g->left, last = left + (n - 1) * g->stride + 2;
        if (left < -1 || last > g->in_w) {
            t->in = in;
            for (int p = 0; p < n; p++)
                slow_pixel(t, left + p * g->stride, g->in_w, out + (size_t)(x + p) * ENG_BLOCK);
            continue;
        }
        t->in = in + (ptrdiff_t)left * ENG_BLOCK;
        t->first = left < 0 ? 0 : 0xffff;
        t->last = last < g->in_w ? 0xffff : 0;
        t->out = out + (size_t)x * ENG_BLOCK;
        tiles[g->stride - 1][n](t);
    }
}

static void run(const struct eng_dw_f32_args *g)
{
    struct dw_tile t = {.in_row = g->in_row,
                        .bias = g->block,
                        .lo = _mm512_set1_ps(g->lo),
                        .hi = _mm512_set1_ps(g->hi)};

    for (int y = g->y0; y < g->y1; y++) {
        int top = y * g->stride - g->top;
        int ky0 = top < 0 ? -top : 0, ky1 = g->in_h - top < 3 ? g->in_h - top : 3;
        t.rows = ky1 - ky0;
        t.w = t.bias + ENG_BLOCK + ky0 * TAP_ROW;
        row(g, &t, g->in + (ptrdiff_t)(top + ky0) * (ptrdiff_t)g->in_row,
            g->out + (size_t)(y - g->y0) * g->out_row);
    }
}

const struct eng_dw_f32_kernel eng_dw_f32_avx512 = {
    .name = "dw_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pack = f32_dw_pack,
    .run = run,
};
