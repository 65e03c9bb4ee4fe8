/* First convolution 3x3, u8, AVX2. A row of the image becomes words of int16 once; a window row is
 * then nine neighbours of it, which vpmaddwd takes in pairs: no window is put together. */
#include "engine/kernels/avx2/tile.h"

enum {
    TAPS = 9,  /* of a window row */
    PAIRS = 5, /* the last one has a weight of 0 */
    WINDOW = 3,
    WIDTH = 4,        /* output pixels of a tile of 16 channels */
    WIDTH_NARROW = 8, /* of 8 */
    GROUP = 128,      /* output pixels at a time */
    SPAN = ((GROUP - 1) * 2 + WINDOW) * 3 +
           LANES * 4, /* values under them, and what is written behind */
    WORDS = LANES * 2,
};

struct packed {
    struct panel p;
    int16_t w[WINDOW][PAIRS][NR / LANES][WORDS];
};

static size_t packed_bytes(int n)
{
    return (size_t)((n + NR - 1) / NR) * sizeof(struct packed);
}

static void pack(const struct eng_conv3_u8_weights *w, void *dst)
{
    struct packed *blocks = dst;
    memset(blocks, 0, packed_bytes(w->n));
    for (int n = 0; n < w->n; n++) {
        struct packed *b = &blocks[n / NR];
        struct channel c = {.w = w->w + (size_t)n * TAPS * WINDOW,
                            .k = TAPS * WINDOW,
                            .zw = w->zw[n],
                            .zx = w->zx,
                            .bias = w->bias ? w->bias[n] : 0,
                            .scale = w->scale[n]};
        b->p.narrow = is_narrow(w->n - n / NR * NR);
        int lane = pack_channel(&b->p, n % NR, &c);
        for (int k = 0; k < TAPS * WINDOW; k++)
            b->w[k / TAPS][k % TAPS / 2][lane / LANES][lane % LANES * 2 + k % TAPS % 2] =
                (int16_t)(c.w[k] - c.zw);
    }
}

struct group {
    int16_t rows[WINDOW][SPAN] __attribute__((aligned(64))); /* row y of the image: (y + top) % 3 */
    vec sums[GROUP][NR / LANES];
    int ix, columns; /* of the image; some may be outside */
};

/* Row iy of the image. */
static void lay_row(struct group *g, const struct eng_conv3_u8_args *a, int iy)
{
    int16_t *to = g->rows[(iy + a->geo.top) % WINDOW];
    int from = g->ix < 0 ? -g->ix : 0, inside = a->geo.in_w - g->ix;
    inside = inside < g->columns ? inside : g->columns;
    if (iy < 0 || iy >= a->geo.in_h || inside < from)
        inside = from;
    const uint8_t *at = a->in + ((ptrdiff_t)iy * a->geo.in_w + g->ix + from) * 3;
    for (int i = from * 3; i < inside * 3; i += WORDS, at += WORDS)
        _mm256_storeu_si256((vec *)(void *)(to + i), _mm256_cvtepu8_epi16(_mm_loadu_si128(
                                                         (const __m128i *)(const void *)at)));
    for (int i = 0; i < from * 3; i++)
        to[i] = a->zx;
    for (int i = inside * 3; i < g->columns * 3 + 1; i++)
        to[i] = a->zx;
}

/* Sums of n neighbouring outputs; row: the words of their first window. Volatile assembly, for gcc
 * 12 moves products away from their sums and spills. */
INLINE void tile(vec *sums, const struct packed *p, const int16_t *const row[WINDOW], int n,
                 int stride, int vecs)
{
    vec acc[WIDTH_NARROW][NR / LANES];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            acc[i][v] = v_load(p->p.bias + v * LANES);
#pragma GCC unroll 3
    for (int r = 0; r < WINDOW; r++)
#pragma GCC unroll 5
        for (int j = 0; j < PAIRS; j++) {
            const vec w0 = v_load(p->w[r][j][0]), w1 = vecs > 1 ? v_load(p->w[r][j][1]) : w0;
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) {
                const int16_t *x = row[r] + i * stride * 3 + j * 2;
                vec t0, t1;
                if (vecs > 1)
                    __asm__ volatile(
                        "vpbroadcastd %[x], %[t0]\n\t"
                        "vpmaddwd %[w1], %[t0], %[t1]\n\t"
                        "vpmaddwd %[w0], %[t0], %[t0]\n\t"
                        "vpaddd %[t1], %[c1], %[c1]\n\t"
                        "vpaddd %[t0], %[c0], %[c0]"
                        : [c0] "+x"(acc[i][0]), [c1] "+x"(acc[i][1]), [t0] "=&x"(t0), [t1] "=&x"(t1)
                        : [x] "m"(*(const int32_t *)(const void *)x), [w0] "x"(w0), [w1] "x"(w1));
                else
                    __asm__ volatile("vpbroadcastd %[x], %[t0]\n\t"
                                     "vpmaddwd %[w0], %[t0], %[t0]\n\t"
                                     "vpaddd %[t0], %[c0], %[c0]"
                                     : [c0] "+x"(acc[i][0]), [t0] "=&x"(t0)
                                     : [x] "m"(*(const int32_t *)(const void *)x), [w0] "x"(w0));
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            sums[i * vecs + v] = acc[i][v];
}

/* What tiles of one row of outputs see. */
struct row_tiles {
    const struct packed *p;
    const int16_t *rows[WINDOW]; /* the first window's */
    vec *sums;                   /* [pixel][vector] */
    int pixels;
};

INLINE void tiles(const struct row_tiles *t, int stride, int vecs)
{
    int width = vecs > 1 ? WIDTH : WIDTH_NARROW, i = 0;
    const int16_t *row[WINDOW] = {t->rows[0], t->rows[1], t->rows[2]};
    for (; i + width <= t->pixels; i += width) {
        tile(t->sums + i * vecs, t->p, row, width, stride, vecs);
        for (int r = 0; r < WINDOW; r++)
            row[r] += width * stride * 3;
    }
    for (; i < t->pixels; i++) {
        tile(t->sums + i * vecs, t->p, row, 1, stride, vecs);
        for (int r = 0; r < WINDOW; r++)
            row[r] += stride * 3;
    }
}

#define TILES(stride, vecs)                                                                        \
    static __attribute__((noinline)) void tiles_##stride##_##vecs(const struct row_tiles *t)       \
    {                                                                                              \
        tiles(t, stride, vecs);                                                                    \
    }
TILES(1, 1)
TILES(1, 2)
TILES(2, 1)
TILES(2, 2)

static void run_tiles(struct group *g, const struct eng_conv3_u8_args *a, const struct packed *p,
                      int iy, int n)
{
    struct row_tiles t = {.p = p, .sums = g->sums[0], .pixels = n};
    for (int r = 0; r < WINDOW; r++)
        t.rows[r] = g->rows[(iy + r + a->geo.top) % WINDOW];
    if (p->p.narrow)
        (a->geo.stride == 1 ? tiles_1_1 : tiles_2_1)(&t);
    else
        (a->geo.stride == 1 ? tiles_1_2 : tiles_2_2)(&t);
}

/* Output pixels x .. x+n-1 of all rows. */
static void run_group(struct group *g, const struct eng_conv3_u8_args *a, const struct finish *f,
                      int x, int n)
{
    int next = a->geo.y0 * a->geo.stride - a->geo.top; /* the first row that is not laid out */
    g->ix = x * a->geo.stride - a->geo.left;
    g->columns = (n - 1) * a->geo.stride + WINDOW;
    for (int y = a->geo.y0; y < a->geo.y1; y++) {
        int iy = y * a->geo.stride - a->geo.top;
        for (; next < iy + WINDOW; next++)
            lay_row(g, a, next);
        uint8_t *out = a->out + (size_t)(y - a->geo.y0) * a->out_row + (size_t)x * ENG_BLOCK;
        for (int b = 0; b < a->n_blocks; b++) {
            const struct packed *p = (const struct packed *)a->packed + b;
            run_tiles(g, a, p, iy, n);
            finish(&p->p, g->sums, n, f, out + (size_t)b * a->out_stride);
        }
    }
}

static void run(const struct eng_conv3_u8_args *a)
{
    struct group g;
    struct finish f = finish_load(&a->rq);
    for (int x = 0; x < a->geo.out_w; x += GROUP)
        run_group(&g, a, &f, x, a->geo.out_w - x < GROUP ? a->geo.out_w - x : GROUP);
}

const struct eng_conv3_u8_kernel eng_conv3_u8_avx2 = {
    .name = "conv3_u8_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
