/* First convolution 3x3 over 3-channel pixels, u8, AVX-512 VNNI + VBMI.
 *
 * Byte permutes lay the 27 values under each output pixel side by side (a row of at most CHUNK
 * pixels, 32 bytes each, in L1); then it is a pointwise tile with 7 steps of 4 k. What w - zw lacks
 * in int8 is in further steps (pw_u8.c); if these are too few, the weights of the panel are w -
 * 128, and (128 - zw) * sum of the 27 starts the sums. */
#include <string.h>

#include "engine/kernels/avx512vnni/tile.h"
#include "engine/kernels/requant.h"

enum { TAPS = 27, STEPS = 7, WINDOW = 32, CHUNK = 112, MORE = 2 };

struct panel {
    int32_t bias[NR];
    float scale[NR];
    int32_t sum_factor[NR]; /* 128 - zw: an int16 in an int32 */
    int8_t w[STEPS][NR][4];
    int8_t more[MORE][NR][4];
    int32_t needs_sum;
    int32_t n_more;
    int32_t more_at[MORE]; /* each over the words of this step */
    int32_t unused[12];
};

static size_t packed_bytes(int n)
{
    return ((size_t)n + NR - 1) / NR * sizeof(struct panel);
}

static int needs_sum(const struct eng_conv3_u8_weights *w, int from, int to)
{
    int steps = 0; /* a bit for each that needs a further one */
    for (int n = from; n < to; n++)
        for (int t = 0; t < TAPS; t++) {
            int v = w->w[(size_t)n * TAPS + (size_t)t] - w->zw[n];
            if (v > 254)
                return 1; /* more than two int8 */
            if (v != into_int8(v))
                steps |= 1 << t / 4;
        }
    return __builtin_popcount((unsigned)steps) > MORE;
}

/* Adds what `missing` int8 lacks of weight t of a lane. */
static void add_more(struct panel *p, int lane, int t, int missing)
{
    int e = 0;
    while (e < p->n_more && p->more_at[e] != t / 4)
        e++;
    p->more_at[e] = t / 4;
    p->n_more = e == p->n_more ? e + 1 : p->n_more;
    p->more[e][lane][t % 4] = (int8_t)missing;
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
            int near = into_int8(v - centre);
            p->w[t / 4][lane][t % 4] = (int8_t)near;
            if (near != v - centre)
                add_more(p, lane, t, v - centre - near);
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

/* Bytes of the 5 pixels from ix on that exist in a row of w. */
INLINE __mmask16 inside(int ix, int w)
{
    int before = ix < 0 ? -ix : 0, to = w - ix;
    uint32_t from_left = before < 5 ? 0xffffu << 3 * before : 0;
    uint32_t to_right = to < 5 ? (1u << 3 * (to < 0 ? 0 : to)) - 1 : 0xffff;
    return (__mmask16)(from_left & to_right);
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

/* Where the three window rows of a pair of output pixels lie in the input. */
struct place {
    const uint8_t *in[3];
    __mmask16 exists[3];
};

/* The windows of one pair; edge: some of the `columns` or rows are zero points. */
INLINE __m512i spread_pair(const struct spread *s, const struct place *at, __mmask16 columns,
                           __m128i zx, int edge)
{
    __m512i v = _mm512_setzero_si512();
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++) {
        __m128i row = edge ? _mm_mask_loadu_epi8(zx, columns & at->exists[r], at->in[r])
                           : _mm_loadu_si128((const __m128i *)(const void *)at->in[r]);
        v = _mm512_mask_permutexvar_epi8(v, s->mask[r], s->index[r], _mm512_castsi128_si512(row));
    }
    return v;
}

/* Output pixels x .. x+n-1 of row y. */
static void gather(const struct eng_conv3_u8_args *a, const struct spread *s, int y, int x, int n,
                   struct windows *win)
{
    const __m128i zx = _mm_set1_epi8((char)a->zx);
    int ix = x * a->geo.stride - a->geo.left, iy = y * a->geo.stride - a->geo.top, whole = 1;
    struct place at;
    for (int r = 0; r < 3; r++) {
        at.exists[r] = iy + r >= 0 && iy + r < a->geo.in_h ? 0xffff : 0;
        at.in[r] = a->in + ((ptrdiff_t)(at.exists[r] ? iy + r : 0) * a->geo.in_w + ix) * 3;
        whole &= at.exists[r] != 0;
    }
    size_t step = 6 * (size_t)a->geo.stride;
    for (int i = 0; i < n; i += 2, ix += 2 * a->geo.stride) {
        __m512i v = whole && ix >= 0 && ix + 5 <= a->geo.in_w
                        ? spread_pair(s, &at, 0xffff, zx, 0)
                        : spread_pair(s, &at, inside(ix, a->geo.in_w), zx, 1);
        _mm512_store_si512(win->v + i * WINDOW, v);
        for (int r = 0; r < 3; r++)
            at.in[r] += step;
    }
}

static void sum_windows(struct windows *win, int n)
{
    for (int i = 0; i < n; i += 2) {
        __m512i v = _mm512_load_si512(win->v + i * WINDOW);
        __m512i d = _mm512_sad_epu8(v, _mm512_setzero_si512());
        d = _mm512_add_epi64(d, _mm512_permutex_epi64(d, 0x4e));
        d = _mm512_add_epi64(d, _mm512_permutex_epi64(d, 0xb1));
        _mm512_store_si512(win->sum + i * WINDOW, d);
    }
}

INLINE void start(__m512i acc[][NV], const struct panel *p, const uint8_t *sum, int mr, int nv)
{
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) {
        __m512i bias = _mm512_load_si512(p->bias + v * 16);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
            acc[i][v] = bias;
        if (!p->needs_sum)
            continue;
        __m512i factor = _mm512_load_si512(p->sum_factor + v * 16);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
            acc[i][v] = _mm512_dpwssd_epi32(bias, broadcast(sum + i * WINDOW), factor);
    }
}

/* `in`: the first window. */
INLINE void more_steps(__m512i acc[][NV], const struct panel *p, const uint8_t *in, int mr, int nv)
{
    for (int e = 0; e < p->n_more; e++)
        dot_step(acc, in + p->more_at[e] * 4, WINDOW, &p->more[e][0][0], mr, nv);
}

INLINE void tile(const struct panel *p, const struct windows *win, int first, const struct rq512 *q,
                 uint8_t *out, size_t out_stride, int mr, int nv)
{
    __m512i acc[MR][NV];
    start(acc, p, win->sum + first * WINDOW, mr, nv);
#pragma GCC unroll 7
    for (int k = 0; k < STEPS; k++)
        dot_step(acc, win->v + first * WINDOW + k * 4, WINDOW, &p->w[k][0][0], mr, nv);
    more_steps(acc, p, win->v + first * WINDOW, mr, nv);
    finish(acc, p->scale, q, out, out_stride, mr, nv);
}

/* `count` tiles of 16 / nv windows, whose 16 parts are spread over all 7 steps of the next. */
INLINE void piped(const struct panel *p, const struct windows *win, int count,
                  const struct rq512 *q, uint8_t *out, size_t out_stride, int nv)
{
    int pixels = PIPE_PARTS / nv, every = STEPS * pixels / PIPE_PARTS;
    struct pipe_sums sums;
    struct pipe s = {.scale = {_mm512_load_ps(p->scale), _mm512_load_ps(p->scale + 16)},
                     .out_stride = out_stride,
                     .q = *q};
    const uint8_t *in = win->v, *sum = win->sum;
    for (int t = 0; t < count; t++, out += pixels * ENG_BLOCK) {
        __m512i acc[PIPE_PARTS][NV];
        start(acc, p, sum, pixels, nv);
        if (t > 0) {
#pragma GCC unroll 7
            for (int k = 0; k < STEPS; k++)
                pipe_step(&s, &sums, acc, in + k * 4, WINDOW, &p->w[k][0][0], k, every, nv);
        } else {
#pragma GCC unroll 7
            for (int k = 0; k < STEPS; k++)
                pipe_step(&s, &sums, acc, in + k * 4, WINDOW, &p->w[k][0][0], 0, 0, nv);
        }
        more_steps(acc, p, in, pixels, nv);
        pipe_leave(&s, &sums, acc, out, nv);
        in += pixels * WINDOW;
        sum += pixels * WINDOW;
    }
    pipe_end(&s, &sums, nv);
}

static __attribute__((noinline)) void piped_1(const struct panel *p, const struct windows *win,
                                              int count, const struct rq512 *q, uint8_t *out,
                                              size_t out_stride)
{
    piped(p, win, count, q, out, out_stride, 1);
}

static __attribute__((noinline)) void piped_2(const struct panel *p, const struct windows *win,
                                              int count, const struct rq512 *q, uint8_t *out,
                                              size_t out_stride)
{
    piped(p, win, count, q, out, out_stride, 2);
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

static void run_panel(const struct panel *p, const struct windows *win, const struct rq512 *q,
                      int n, uint8_t *out, size_t out_stride, int nv)
{
    int together = PIPE_PARTS / nv, first = n / together * together;
    if (first > 0)
        (nv == NV ? piped_2 : piped_1)(p, win, first / together, q, out, out_stride);
    for (int left = (n - first + MR - 1) / MR; left > 0; left--) {
        int mr = (n - first + left - 1) / left;
        tiles[nv - 1][mr - 1](p, win, first, q, out + first * ENG_BLOCK, out_stride);
        first += mr;
    }
}

static void run_chunk(const struct eng_conv3_u8_args *a, const struct windows *win,
                      const struct rq512 *q, int n, uint8_t *out)
{
    const struct panel *p = a->packed;
    for (int b = 0; b < a->n_blocks; b += NV)
        run_panel(p + b / NV, win, q, n, out + (size_t)b * a->out_stride, a->out_stride,
                  a->n_blocks - b < NV ? a->n_blocks - b : NV);
}

static void run(const struct eng_conv3_u8_args *a)
{
    const struct panel *p = a->packed;
    struct rq512 q = rq512_load(&a->rq);
    struct spread spread = spread_of(a->geo.stride);
    struct windows win;
    int with_sum = 0;
    for (int b = 0; b < a->n_blocks; b += NV)
        with_sum |= p[b / NV].needs_sum;
    for (int y = a->geo.y0; y < a->geo.y1; y++)
        for (int x = 0; x < a->geo.out_w; x += CHUNK) {
            int n = a->geo.out_w - x < CHUNK ? a->geo.out_w - x : CHUNK;
            gather(a, &spread, y, x, n, &win);
            if (with_sum)
                sum_windows(&win, n);
            run_chunk(a, &win, &q, n,
                      a->out + (size_t)(y - a->geo.y0) * a->out_row + (size_t)x * ENG_BLOCK);
        }
}

const struct eng_conv3_u8_kernel eng_conv3_u8_avx512vnni = {
    .name = "conv3_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
