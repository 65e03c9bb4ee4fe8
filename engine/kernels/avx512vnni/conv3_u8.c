/* First convolution 3x3 over 3-channel pixels, u8, AVX-512 VNNI + VBMI.
 *
 * Byte permutes lay the 27 values under each output pixel side by side (a row of at most CHUNK
 * pixels, 32 bytes each, in L1); then it is a pointwise tile with 7 steps of 4 k. Where some w - zw
 * leaves int8 the weights are w - 128, and (128 - zw) * sum of the 27 starts the sums. */
#include <string.h>

#include "engine/kernels/avx512vnni/tile.h"
#include "engine/kernels/requant.h"

enum { TAPS = 27, STEPS = 7, WINDOW = 32, CHUNK = 4 * MR, SPAN = (CHUNK * 2 + 1) * 3 };

struct panel {
    int32_t bias[NR];
    float scale[NR];
    int32_t sum_factor[NR]; /* 128 - zw: an int16 in an int32 */
    int8_t w[STEPS][NR][4];
    int32_t needs_sum;
    int32_t unused[15];
};

static size_t packed_bytes(int n)
{
    return ((size_t)n + NR - 1) / NR * sizeof(struct panel);
}

static int needs_sum(const struct eng_conv3_u8_weights *w, int from, int to)
{
    for (int n = from; n < to; n++)
        for (int t = 0; t < TAPS; t++) {
            int v = w->w[(size_t)n * TAPS + (size_t)t] - w->zw[n];
            if (v < -128 || v > 127)
                return 1;
        }
    return 0;
}

static void pack(const struct eng_conv3_u8_weights *w, void *dst)
{
    struct panel *panels = dst;
    memset(panels, 0, packed_bytes(w->n));
    for (int n = 0; n < w->n; n++) {
        struct panel *p = &panels[n / NR];
        int lane = n % NR;
        if (lane == 0)
            p->needs_sum = needs_sum(w, n, w->n - n < NR ? w->n : n + NR);
        int centre = p->needs_sum ? 128 : w->zw[n];
        int32_t bias = w->bias ? w->bias[n] : 0;
        for (int t = 0; t < TAPS; t++) {
            int v = w->w[(size_t)n * TAPS + (size_t)t];
            p->w[t / 4][lane][t % 4] = (int8_t)(v - centre);
            bias = eng_add32(bias, -w->zx * (v - w->zw[n]));
        }
        p->bias[lane] = bias;
        p->scale[lane] = w->scale[n];
        p->sum_factor[lane] = centre - w->zw[n];
    }
}

/* The windows of up to CHUNK output pixels, and room for what the last pair writes behind. */
struct windows {
    uint8_t v[(CHUNK + 1) * WINDOW] __attribute__((aligned(64)));
    uint8_t sum[(CHUNK + 1) * WINDOW] __attribute__((aligned(64))); /* int32 at each window */
};

/* Input row iy from pixel ix on, `pixels` long: in place where all of it exists, else a copy in
 * tmp with zero points around. */
static const uint8_t *source(const struct eng_conv3_u8_args *a, int iy, int ix, int pixels,
                             uint8_t tmp[SPAN + 64])
{
    const uint8_t *row = a->in + (ptrdiff_t)iy * a->in_w * 3;
    int inside = iy >= 0 && iy < a->in_h;
    if (inside && ix >= 0 && ix + pixels <= a->in_w)
        return row + (ptrdiff_t)ix * 3;
    int from = ix < 0 ? 0 : ix, to = ix + pixels > a->in_w ? a->in_w : ix + pixels;
    memset(tmp, a->zx, SPAN + 64);
    if (inside && from < to)
        memcpy(tmp + (ptrdiff_t)(from - ix) * 3, row + (ptrdiff_t)from * 3,
               (size_t)(to - from) * 3);
    return tmp;
}

/* Two windows a vector: byte i of window row r comes from byte (i / 32) * 3 * stride + i % 32 - 9 r
 * of input row r. */
struct spread {
    __m512i index[3];
    __mmask64 mask[3];
};

static struct spread spread_of(int stride)
{
    struct spread s;
    uint8_t index[3][64] = {{0}};
    for (int r = 0; r < 3; r++) {
        s.mask[r] = 0x000001ff000001ffull << (9 * r);
        for (int t = 0; t < 9; t++) {
            index[r][9 * r + t] = (uint8_t)t;
            index[r][32 + 9 * r + t] = (uint8_t)(3 * stride + t);
        }
        s.index[r] = _mm512_loadu_si512(index[r]);
    }
    return s;
}

static void gather(const struct eng_conv3_u8_args *a, const struct spread *s, int y, int x, int n,
                   int with_sum, struct windows *win)
{
    uint8_t tmp[3][SPAN + 64];
    const uint8_t *in[3];
    size_t step = (size_t)a->stride * 6;
    for (int r = 0; r < 3; r++)
        in[r] = source(a, y * a->stride - a->top + r, x * a->stride - a->left,
                       (n - 1) * a->stride + 3, tmp[r]);
    for (int i = 0; i < n; i += 2) {
        __m512i v = _mm512_setzero_si512();
#pragma GCC unroll 3
        for (int r = 0; r < 3; r++) {
            const uint8_t *at = in[r] + (size_t)(i / 2) * step;
            __m128i row = _mm_loadu_si128((const __m128i *)(const void *)at);
            v = _mm512_mask_permutexvar_epi8(v, s->mask[r], s->index[r],
                                             _mm512_castsi128_si512(row));
        }
        _mm512_store_si512(win->v + i * WINDOW, v);
        if (!with_sum)
            continue;
        __m512i d = _mm512_sad_epu8(v, _mm512_setzero_si512());
        d = _mm512_add_epi64(d, _mm512_permutex_epi64(d, 0x4e));
        d = _mm512_add_epi64(d, _mm512_permutex_epi64(d, 0xb1));
        _mm512_store_si512(win->sum + i * WINDOW, d);
    }
}

INLINE void tile(const struct panel *p, const struct windows *win, int first, const struct rq512 *q,
                 uint8_t *out, size_t out_stride, int mr, int nv)
{
    __m512i acc[MR][NV];
    const uint8_t *in = win->v + first * WINDOW, *sum = win->sum + first * WINDOW;
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) {
        __m512i bias = _mm512_load_si512(p->bias + v * 16);
#pragma GCC unroll 14
        for (int i = 0; i < mr; i++)
            acc[i][v] = bias;
        if (!p->needs_sum)
            continue;
        __m512i factor = _mm512_load_si512(p->sum_factor + v * 16);
#pragma GCC unroll 14
        for (int i = 0; i < mr; i++)
            acc[i][v] = _mm512_dpwssd_epi32(bias, broadcast(sum + i * WINDOW), factor);
    }
#pragma GCC unroll 7
    for (int k = 0; k < STEPS; k++)
        dot_step(acc, in + k * 4, WINDOW, &p->w[k][0][0], mr, nv);
    finish(acc, p->scale, q, out, out_stride, mr, nv);
}

#define TILE(mr, nv)                                                                               \
    static __attribute__((noinline)) void tile_##mr##_##nv(                                        \
        const struct panel *p, const struct windows *win, int first, const struct rq512 *q,        \
        uint8_t *out, size_t out_stride)                                                           \
    {                                                                                              \
        tile(p, win, first, q, out, out_stride, mr, nv);                                           \
    }
TILES(TILE, 1)
TILES(TILE, 2)

typedef void tile_fn(const struct panel *, const struct windows *, int, const struct rq512 *,
                     uint8_t *, size_t);
#define TILE_NAME(mr, nv) tile_##mr##_##nv,
static tile_fn *const tiles[NV][MR] = {{TILES(TILE_NAME, 1)}, {TILES(TILE_NAME, 2)}};

static void run_chunk(const struct eng_conv3_u8_args *a, const struct windows *win,
                      const struct rq512 *q, int n, uint8_t *out)
{
    const struct panel *p = a->packed;
    int first = 0;
    for (int left = (n + MR - 1) / MR; left > 0; left--) {
        int mr = (n - first + left - 1) / left;
        for (int b = 0; b < a->n_blocks; b += NV) {
            int nv = a->n_blocks - b < NV ? a->n_blocks - b : NV;
            tiles[nv - 1][mr - 1](p + b / NV, win, first, q,
                                  out + (size_t)b * a->out_stride + first * ENG_BLOCK,
                                  a->out_stride);
        }
        first += mr;
    }
}

static void run(const struct eng_conv3_u8_args *a)
{
    const struct panel *p = a->packed;
    struct rq512 q = rq512_load(&a->rq);
    struct spread spread = spread_of(a->stride);
    struct windows win;
    int with_sum = 0;
    for (int b = 0; b < a->n_blocks; b += NV)
        with_sum |= p[b / NV].needs_sum;
    for (int y = a->y0; y < a->y1; y++)
        for (int x = 0; x < a->out_w; x += CHUNK) {
            int n = a->out_w - x < CHUNK ? a->out_w - x : CHUNK;
            gather(a, &spread, y, x, n, with_sum, &win);
            run_chunk(a, &win, &q, n,
                      a->out + (size_t)(y - a->y0) * a->out_row + (size_t)x * ENG_BLOCK);
        }
}

const struct eng_conv3_u8_kernel eng_conv3_u8_avx512vnni = {
    .name = "conv3_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
