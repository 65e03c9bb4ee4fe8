/* Depthwise 3x3, u8, AVX2. Two rows of the input at a time become words of int16, so that one
 * vpmaddwd is two taps of a column of the window; an output row sees two such pairs of rows. Each
 * column is loaded once and feeds the outputs that see it. */
#include "engine/kernels/avx2/tile.h"

enum {
    WIDTH = 8,               /* output pixels of a tile */
    SEGMENT = 56,            /* of a run of tiles */
    SPAN = SEGMENT * 2 + 1,  /* columns that those see, at stride 2 */
    HALF = LANES * 2,        /* cells of the words of a vector */
    COLUMN_CELLS = HALF * 2, /* of a column; of 8 channels HALF */
};

struct block {
    struct panel p;
    /* [first row of the window is the first of a pair, is its second][pair][column][vector] */
    int16_t w[2][2][3][NR / LANES][HALF];
};

static void pack_block(const struct eng_dw_u8_weights *w, struct block *b, int c)
{
    uint8_t taps[9];
    struct channel ch = {.w = taps,
                         .k = 9,
                         .zw = w->zw[c],
                         .zx = w->zx,
                         .bias = w->bias ? w->bias[c] : 0,
                         .scale = w->scale[c]};
    for (int t = 0; t < 9; t++)
        taps[t] = w->w[(size_t)t * (size_t)w->channels + (size_t)c];
    b->p.narrow = is_narrow(w->channels - c / ENG_BLOCK * ENG_BLOCK);
    int lane = pack_channel(&b->p, c % ENG_BLOCK, &ch);
    for (int t = 0; t < 9; t++)
        for (int second = 0; second < 2; second++) {
            int row = t / 3 + second;
            b->w[second][row / 2][t % 3][lane / LANES][lane % LANES * 2 + row % 2] =
                (int16_t)(taps[t] - ch.zw);
        }
}

static void pack(const struct eng_dw_u8_weights *w, void *dst)
{
    struct block *blocks = dst;
    memset(blocks, 0, (size_t)((w->channels + ENG_BLOCK - 1) / ENG_BLOCK) * sizeof(*blocks));
    for (int c = 0; c < w->channels; c++)
        pack_block(w, &blocks[c / ENG_BLOCK], c);
}

/* Pairs of rows of a segment, two at a time. */
struct segment {
    int16_t pairs[2][SPAN * COLUMN_CELLS] __attribute__((aligned(64)));
    vec sums[SEGMENT][NR / LANES];
    int ix, columns; /* of the input; some may be outside */
    int rows;        /* that outputs need */
};

/* Column c of a pair of rows. */
INLINE void lay_column(int16_t *to, int c, __m128i upper, __m128i lower, int vecs)
{
    if (vecs == 1) {
        vec words = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(upper, lower));
        _mm256_store_si256((vec *)(void *)(to + c * HALF), words);
        return;
    }
    vec a = _mm256_cvtepu8_epi16(upper), b = _mm256_cvtepu8_epi16(lower);
    to += c * COLUMN_CELLS;
    _mm256_store_si256((vec *)(void *)to, _mm256_unpacklo_epi16(a, b));
    _mm256_store_si256((vec *)(void *)(to + HALF), _mm256_unpackhi_epi16(a, b));
}

/* Rows y and y + 1 of the input. */
INLINE void lay_pair(const struct segment *s, const struct eng_dw_u8_args *a, int y, int16_t *to,
                     int vecs)
{
    const __m128i zx = _mm_set1_epi8((char)a->zx);
    int from = s->ix < 0 ? -s->ix : 0;
    int inside = a->geo.in_w - s->ix < s->columns ? a->geo.in_w - s->ix : s->columns;
    const __m128i *row[2];
    size_t step[2];
    for (int i = 0; i < 2; i++) {
        int exists = y + i >= 0 && y + i < s->rows;
        const uint8_t *at = a->in + (ptrdiff_t)(y + i) * (ptrdiff_t)a->in_row;
        row[i] = exists
                     ? (const __m128i *)(const void *)(at + (ptrdiff_t)(s->ix + from) * ENG_BLOCK)
                     : &zx;
        step[i] = exists ? 1 : 0;
    }
    int c = 0;
    for (; c < from && c < s->columns; c++)
        lay_column(to, c, zx, zx, vecs);
    for (; c < inside; c++, row[0] += step[0], row[1] += step[1])
        lay_column(to, c, _mm_loadu_si128(row[0]), _mm_loadu_si128(row[1]), vecs);
    for (; c < s->columns; c++)
        lay_column(to, c, zx, zx, vecs);
}

/* Volatile assembly, for gcc 12 moves products away from their sums and spills. */
INLINE void tap(vec *acc, vec x, vec w)
{
    vec product;
    __asm__ volatile("vpmaddwd %[x], %[w], %[product]\n\t"
                     "vpaddd %[product], %[acc], %[acc]"
                     : [acc] "+x"(*acc), [product] "=&x"(product)
                     : [x] "x"(x), [w] "x"(w));
}

/* Sums of n neighbouring outputs; `pair`: the pairs of rows at the first column that they see. */
INLINE void tile(vec *sums, const struct block *b, int second, const int16_t *const pair[2], int n,
                 int stride, int vecs)
{
    int cells = vecs * HALF;
    for (int v = 0; v < vecs; v++) {
        vec acc[WIDTH];
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            acc[i] = v_load(b->p.bias + v * LANES);
#pragma GCC unroll 2
        for (int r = 0; r < 2; r++) {
            const int16_t *x = pair[r] + v * HALF;
            const vec w0 = v_load(b->w[second][r][0][v]), w1 = v_load(b->w[second][r][1][v]),
                      w2 = v_load(b->w[second][r][2][v]);
#pragma GCC unroll 17
            for (int c = 0; c < (n - 1) * stride + 3; c++) {
                const vec column = v_load(x + c * cells);
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) {
                    if (c == i * stride)
                        tap(&acc[i], column, w0);
                    if (c == i * stride + 1)
                        tap(&acc[i], column, w1);
                    if (c == i * stride + 2)
                        tap(&acc[i], column, w2);
                }
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            sums[i * vecs + v] = acc[i];
    }
}

typedef void dw_tile_fn(vec *, const struct block *, int, const int16_t *const[2]);
#define DW_TILE(n, stride, vecs)                                                                   \
    static __attribute__((noinline)) void tile_##n##_##stride##_##vecs(                            \
        vec *sums, const struct block *b, int second, const int16_t *const pair[2])                \
    {                                                                                              \
        tile(sums, b, second, pair, n, stride, vecs);                                              \
    }
#define DW_NAME(n, stride, vecs) tile_##n##_##stride##_##vecs,
#define DW_ALL(X, stride, vecs)                                                                    \
    X(1, stride, vecs)                                                                             \
    X(2, stride, vecs)                                                                             \
    X(3, stride, vecs)                                                                             \
    X(4, stride, vecs)                                                                             \
    X(5, stride, vecs) X(6, stride, vecs) X(7, stride, vecs) X(8, stride, vecs)
DW_ALL(DW_TILE, 1, 1)
DW_ALL(DW_TILE, 2, 1)
DW_ALL(DW_TILE, 1, 2)
DW_ALL(DW_TILE, 2, 2)
static dw_tile_fn *const dw_tiles[2][2][WIDTH] = {
    {{DW_ALL(DW_NAME, 1, 1)}, {DW_ALL(DW_NAME, 2, 1)}},
    {{DW_ALL(DW_NAME, 1, 2)}, {DW_ALL(DW_NAME, 2, 2)}}};

/* Output pixels x .. x+n-1 of all rows. */
INLINE void run_segment(struct segment *s, const struct eng_dw_u8_args *a, const struct finish *f,
                        int x, int n, int vecs)
{
    const struct block *b = a->block;
    int iy = a->geo.y0 * a->geo.stride - a->geo.top, pairs = 0;
    s->ix = x * a->geo.stride - a->geo.left;
    s->columns = (n - 1) * a->geo.stride + 3;
    for (int y = a->geo.y0; y < a->geo.y1; y++) {
        int row = (y - a->geo.y0) * a->geo.stride;
        for (; pairs <= row / 2 + 1; pairs++)
            lay_pair(s, a, iy + pairs * 2, s->pairs[pairs % 2], vecs);
        for (int i = 0, count; i < n; i += count) {
            int left = (n - i + WIDTH - 1) / WIDTH;
            size_t at = (size_t)(i * a->geo.stride * vecs * HALF);
            const int16_t *pair[2] = {s->pairs[row / 2 % 2] + at, s->pairs[(row / 2 + 1) % 2] + at};
            count = (n - i + left - 1) / left;
            dw_tiles[vecs - 1][a->geo.stride - 1][count - 1](s->sums[0] + i * vecs, b, row % 2,
                                                             pair);
        }
        finish(&b->p, s->sums, n, f,
               a->out + (size_t)(y - a->geo.y0) * a->out_row + (size_t)x * ENG_BLOCK);
    }
}

static void run(const struct eng_dw_u8_args *a)
{
    const struct block *b = a->block;
    struct segment s;
    struct finish f = finish_load(&a->rq);
    int needed = (a->geo.y1 - 1) * a->geo.stride - a->geo.top + 3;
    s.rows = needed < a->geo.in_h ? needed : a->geo.in_h;
    for (int x = 0; x < a->geo.out_w; x += SEGMENT) {
        int n = a->geo.out_w - x < SEGMENT ? a->geo.out_w - x : SEGMENT;
        if (b->p.narrow)
            run_segment(&s, a, &f, x, n, 1);
        else
            run_segment(&s, a, &f, x, n, 2);
    }
}

const struct eng_dw_u8_kernel eng_dw_u8_avx2 = {
    .name = "dw_u8_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .block_bytes = sizeof(struct block),
    .pixel_cycles = 13,
    .pack = pack,
    .run = run,
};
