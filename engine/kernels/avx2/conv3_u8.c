/* First convolution 3x3, u8, AVX2: the 27 values under each pixel of a row side by side, then the
 * tiles of the pointwise with 28 of 32 k. */
#include "engine/kernels/avx2/tile.h"

enum {
    TAPS = 27,
    WINDOW = 32, /* bytes; what stands behind the taps has weights of 0 */
    WINDOW_BLOCKS = WINDOW / ENG_BLOCK,
    TAIL = 3,    /* steps of the second block */
    GROUP = 128, /* pixels at a time */
};

struct packed {
    struct panel p;
    int16_t w[WINDOW_BLOCKS * BLOCK_WEIGHTS];
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
        struct channel c = {.w = w->w + (size_t)n * TAPS,
                            .k = TAPS,
                            .zw = w->zw[n],
                            .zx = w->zx,
                            .bias = w->bias ? w->bias[n] : 0,
                            .scale = w->scale[n]};
        pack_channel(&b->p, n % NR, &c, 1);
        for (int k = 0; k < TAPS; k++)
            b->w[weight_at(n % NR, k)] = (int16_t)(c.w[k] - c.zw);
    }
}

struct group {
    int16_t x[GROUP * WINDOW] __attribute__((aligned(64)));
    vec sums[GROUP][NR / LANES];
    int32_t cross[GROUP];
};

/* The window whose first pixel is (iy, ix), where some of it is outside the image. */
static void edge_window(const struct eng_conv3_u8_args *a, int iy, int ix, uint8_t v[WINDOW])
{
    memset(v, a->zx, WINDOW);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            if (iy + r >= 0 && iy + r < a->in_h && ix + c >= 0 && ix + c < a->in_w)
                memcpy(v + (r * 3 + c) * 3, a->in + ((ptrdiff_t)(iy + r) * a->in_w + ix + c) * 3,
                       3);
}

INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Windows of MR pixels: what tiles take as channel blocks. */
struct windows {
    uint8_t at[WINDOW_BLOCKS][MR][ENG_BLOCK];
};

INLINE void set_window(struct windows *w, int i, __m128i lower, __m128i upper)
{
    const __m128i seen = _mm_setr_epi32(-1, -1, -1, 0); /* by TAIL steps */
    _mm_store_si128((__m128i *)(void *)w->at[0][i], lower);
    _mm_store_si128((__m128i *)(void *)w->at[1][i], _mm_and_si128(upper, seen));
}

/* `at`: its first pixel; all of it is inside the image. */
INLINE void inner_window(struct windows *w, int i, const uint8_t *at, size_t row)
{
    const __m128i nine = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0);
    __m128i r0 = load16(at), r1 = load16(at + row), r2 = load16(at + 2 * row);
    set_window(w, i, _mm_or_si128(_mm_and_si128(r0, nine), _mm_slli_si128(r1, 9)),
               _mm_blend_epi16(_mm_srli_si128(r1, 7), _mm_slli_si128(r2, 2), 0xfe));
}

/* Output pixels x .. x+n-1 of row y. */
static void lay_windows(struct group *g, const struct eng_conv3_u8_args *a, int y, int x, int n)
{
    struct windows w __attribute__((aligned(32))) = {0};
    int iy = y * a->stride - a->top, ix = x * a->stride - a->left;
    int rows = iy >= 0 && iy + 3 <= a->in_h;
    memset(g->cross, 0, sizeof g->cross);
    for (int i = 0; i < n; i += MR, ix += MR * a->stride) {
        int16_t *to = g->x + i * WINDOW;
        vec cross[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        if (rows && ix >= 0 && ix + (MR - 1) * a->stride + 3 <= a->in_w) {
            const uint8_t *at = a->in + ((ptrdiff_t)iy * a->in_w + ix) * 3;
#pragma GCC unroll 4
            for (int r = 0; r < MR; r++)
                inner_window(&w, r, at + (ptrdiff_t)(r * a->stride * 3), (size_t)a->in_w * 3);
        } else {
            for (int r = 0; r < MR && i + r < n; r++) {
                uint8_t v[WINDOW];
                edge_window(a, iy, ix + r * a->stride, v);
                set_window(&w, r, load16(v), load16(v + ENG_BLOCK));
            }
        }
        lay_pixels(to, w.at[0][0], cross);
        lay_pixels(to + BLOCK_CELLS, w.at[1][0], cross);
        add_parts(g->cross + i, cross);
    }
}

static __attribute__((noinline)) void run_tiles(const struct tiles *t)
{
    tiles_run(t, TAIL);
}

static void run(const struct eng_conv3_u8_args *a)
{
    struct group g;
    struct finish f = finish_load(&a->rq);
    for (int y = a->y0; y < a->y1; y++)
        for (int x = 0; x < a->out_w; x += GROUP) {
            int n = a->out_w - x < GROUP ? a->out_w - x : GROUP;
            lay_windows(&g, a, y, x, n);
            for (int b = 0; b < a->n_blocks; b++) {
                const struct packed *p = (const struct packed *)a->packed + b;
                struct tiles t = {.x = g.x,
                                  .w = p->w,
                                  .cells = WINDOW_BLOCKS * BLOCK_CELLS,
                                  .blocks = WINDOW_BLOCKS - 1,
                                  .pixels = n,
                                  .bias = p->p.bias,
                                  .sums = g.sums};
                run_tiles(&t);
                finish(&p->p, g.sums, g.cross, n, &f,
                       a->out + (size_t)b * a->out_stride + (size_t)(y - a->y0) * a->out_row +
                           (size_t)x * ENG_BLOCK);
            }
        }
}

const struct eng_conv3_u8_kernel eng_conv3_u8_avx2 = {
    .name = "conv3_u8_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
