/* Depthwise 3x3, float, AVX-512: up to 8 output pixels of one row at a time, all nine weights in
 * registers over all rows of a call.
 *
 * A column of the input is loaded once a row and feeds the two or three outputs that see it. A
 * column outside the image is a load with an empty mask: zeros, no branch, no fault. Windows whose
 * padding is wider than one column take the slow path, in the same order of summation. */
#include <immintrin.h>
#include "engine/kernels/f32_pack.h"

enum { WIDTH = 8, TAP_ROW = 3 * ENG_BLOCK };

#define INLINE static inline __attribute__((always_inline))

/* Volatile assembly keeps the order below: gcc 12 otherwise puts dependent FMAs side by side and
 * turns one load for three of them into three. */
INLINE __m512 load(const float *p)
{
    __m512 v;
    __asm__ volatile("vmovaps %1, %0" : "=v"(v) : "m"(*(const __m512 *)p));
    return v;
}

INLINE __m512 load_masked(const float *p, __mmask16 mask)
{
    __m512 v;
    __asm__ volatile("vmovaps %1, %0%{%2%}%{z%}" : "=v"(v) : "m"(*(const __m512 *)p), "Yk"(mask));
    return v;
}

INLINE __m512 fused(__m512 v, __m512 w, __m512 acc)
{
    __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(acc) : "v"(v), "v"(w));
    return acc;
}

/* `tiles` neighbouring tiles in each of `lines` output rows that see the same rows of weights. */
struct dw_strip {
    const float *in;       /* first column of the first row; not read if its mask is empty */
    size_t in_row;         /* floats */
    const float *w, *bias; /* w: of the first row seen */
    int lines, tiles;
    __mmask16 first, last; /* of the first column of the first tile, of the last of the last */
    float *out;
    size_t out_row;
    const float *lo, *hi;
};

/* Accumulators and weights are names, not arrays: gcc 12 keeps arrays on the stack. */
#define ACCUMULATORS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define START(i) __m512 a##i = bias;
#define FINISH(i)                                                                                  \
    if (i < n)                                                                                     \
        _mm512_store_ps(out + (i)*ENG_BLOCK, _mm512_min_ps(_mm512_max_ps(a##i, lo), hi));
#define COLUMN(c)                                                                                  \
    if (c < columns) {                                                                             \
        if (c == 0)                                                                                \
            v = load_masked(row, first);                                                           \
        else if (c < columns - 1)                                                                  \
            v = load(row + c * ENG_BLOCK);                                                         \
        else                                                                                       \
            v = load_masked(row + c * ENG_BLOCK, last);                                            \
    }
#define TAP(i, kx)                                                                                 \
    if (i < n)                                                                                     \
        a##i = fused(v, w##kx, a##i);

/* clang-format off */
#define TAPS1                                                                                      \
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
#define TAPS2                                                                                      \
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
#define TAP_ROW_OF(s, r)                                                                           \
    if (r < rows) {                                                                                \
        const float *row = in + r * in_row;                                                        \
        const __m512 w0 = w##r##0, w1 = w##r##1, w2 = w##r##2;                                     \
        TAPS##s                                                                                    \
    }
#define LOAD_WEIGHTS(r)                                                                            \
    const float *from##r = g->w + (r < rows ? r : 0) * TAP_ROW;                                    \
    const __m512 w##r##0 = _mm512_load_ps(from##r),                                                \
                 w##r##1 = _mm512_load_ps(from##r + ENG_BLOCK),                                    \
                 w##r##2 = _mm512_load_ps(from##r + 2 * ENG_BLOCK);

/* stripS_N_R: tiles of N outputs at stride S that see R rows of the image. */
#define STRIP(s, outputs, seen)                                                                    \
    static void strip##s##_##outputs##_##seen(const struct dw_strip *g)                            \
    {                                                                                              \
        enum { n = outputs, columns = (n - 1) * s + 3, rows = seen };                              \
        const size_t in_row = g->in_row;                                                           \
        const __m512 bias = _mm512_load_ps(g->bias);                                               \
        const __m512 lo = _mm512_set1_ps(*g->lo), hi = _mm512_set1_ps(*g->hi);                     \
        const __mmask16 edge_first = g->first, edge_last = g->last;                                \
        LOAD_WEIGHTS(0)                                                                            \
        LOAD_WEIGHTS(1)                                                                            \
        LOAD_WEIGHTS(2)                                                                            \
        for (int y = 0; y < g->lines; y++) {                                                       \
            const float *in = g->in + (size_t)y * s * in_row;                                      \
            float *out = g->out + (size_t)y * g->out_row;                                          \
            __mmask16 first = edge_first, last = 0xffff;                                           \
            for (int tiles = g->tiles; tiles > 0; tiles--) {                                       \
                __m512 v;                                                                          \
                if (tiles == 1)                                                                    \
                    last = edge_last;                                                              \
                ACCUMULATORS(START)                                                                \
                TAP_ROW_OF(s, 0)                                                                   \
                TAP_ROW_OF(s, 1)                                                                   \
                TAP_ROW_OF(s, 2)                                                                   \
                ACCUMULATORS(FINISH)                                                               \
                first = 0xffff;                                                                    \
                in += n * s * ENG_BLOCK;                                                           \
                out += n * ENG_BLOCK;                                                              \
            }                                                                                      \
        }                                                                                          \
    }
#define STRIPS_OF(s, r)                                                                              \
    STRIP(s, 1, r) STRIP(s, 2, r) STRIP(s, 3, r) STRIP(s, 4, r)                                    \
    STRIP(s, 5, r) STRIP(s, 6, r) STRIP(s, 7, r) STRIP(s, 8, r)
#define NAMES_OF(s, r)                                                                             \
    {NULL, strip##s##_1_##r, strip##s##_2_##r, strip##s##_3_##r, strip##s##_4_##r,                 \
     strip##s##_5_##r, strip##s##_6_##r, strip##s##_7_##r, strip##s##_8_##r}
STRIPS_OF(1, 1)
STRIPS_OF(1, 2)
STRIPS_OF(1, 3)
STRIPS_OF(2, 1)
STRIPS_OF(2, 2)
STRIPS_OF(2, 3)

typedef void strip_fn(const struct dw_strip *g);
static strip_fn *const strips[2][3][WIDTH + 1] = {
    {NAMES_OF(1, 1), NAMES_OF(1, 2), NAMES_OF(1, 3)},
    {NAMES_OF(2, 1), NAMES_OF(2, 2), NAMES_OF(2, 3)},
};
/* clang-format on */

/* One output whose window starts at column `left` of an image of in_w columns. */
static void slow_pixel(const struct dw_strip *g, const float *in, int rows, int left, int in_w,
                       float *out)
{
    __m512 acc = _mm512_load_ps(g->bias);

    for (int r = 0; r < rows; r++)
        for (int kx = 0; kx < 3; kx++)
            if (left + kx >= 0 && left + kx < in_w)
                acc = _mm512_fmadd_ps(
                    _mm512_load_ps(in + (size_t)r * g->in_row + (left + kx) * ENG_BLOCK),
                    _mm512_load_ps(g->w + r * TAP_ROW + kx * ENG_BLOCK), acc);
    acc = _mm512_max_ps(acc, _mm512_set1_ps(*g->lo));
    _mm512_store_ps(out, _mm512_min_ps(acc, _mm512_set1_ps(*g->hi)));
}

/* Outputs x .. x + tiles * n - 1 of t->lines rows; `in` is column 0 of the first row that they see,
 * `out` is column 0 of the first of them. */
static void part(const struct eng_dw_f32_args *g, struct dw_strip *t, int rows, int x, int tiles,
                 int n, const float *in, float *out)
{
    int left = x * g->stride - g->left, last = left + (tiles * n - 1) * g->stride + 2;

    if (left < -1 || last > g->in_w) {
        for (int i = 0; i < t->lines * tiles * n; i++) {
            size_t y = (size_t)(i / (tiles * n));
            int p = i % (tiles * n);
            slow_pixel(t, in + y * (size_t)g->stride * g->in_row, rows, left + p * g->stride,
                       g->in_w, out + y * g->out_row + (size_t)(x + p) * ENG_BLOCK);
        }
        return;
    }
    t->in = in + (ptrdiff_t)left * ENG_BLOCK;
    t->out = out + (size_t)x * ENG_BLOCK;
    t->first = left < 0 ? 0 : 0xffff;
    t->last = last < g->in_w ? 0xffff : 0;
    t->tiles = tiles;
    strips[g->stride - 1][rows - 1][n](t);
}

/* Output rows from y on, at most to y1, that see the same rows of weights: t->w, t->lines and
 * the number of rows are set. */
static int same_rows(const struct eng_dw_f32_args *g, int y, struct dw_strip *t, int *ret_ky0)
{
    int top = y * g->stride - g->top;
    int ky0 = top < 0 ? -top : 0, ky1 = g->in_h - top < 3 ? g->in_h - top : 3;
    int inside = (g->in_h - 3 + g->top) / g->stride + 1; /* first row that sees below the image */

    t->lines = 1;
    if (ky1 - ky0 == 3)
        t->lines = (inside < g->y1 ? inside : g->y1) - y;
    t->w = t->bias + ENG_BLOCK + ky0 * TAP_ROW;
    *ret_ky0 = ky0;
    return ky1 - ky0;
}

static void run(const struct eng_dw_f32_args *g)
{
    int tiles = (g->out_w + WIDTH - 1) / WIDTH, n = (g->out_w + tiles - 1) / tiles;
    int thin = tiles * n - g->out_w, wide = tiles - thin; /* tiles of n - 1 and of n outputs */
    struct dw_strip t = {
        .in_row = g->in_row, .bias = g->block, .out_row = g->out_row, .lo = &g->lo, .hi = &g->hi};

    for (int y = g->y0; y < g->y1; y += t.lines) {
        int ky0, rows = same_rows(g, y, &t, &ky0);
        const float *in = g->in + (ptrdiff_t)(y * g->stride - g->top + ky0) * (ptrdiff_t)g->in_row;
        float *out = g->out + (size_t)(y - g->y0) * g->out_row;
        part(g, &t, rows, 0, wide, n, in, out);
        if (thin > 0)
            part(g, &t, rows, wide * n, thin, n - 1, in, out);
    }
}

const struct eng_dw_f32_kernel eng_dw_f32_avx512 = {
    .name = "dw_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pack = f32_dw_pack,
    .run = run,
};
