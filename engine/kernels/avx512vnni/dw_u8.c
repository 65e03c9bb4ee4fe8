/* Depthwise 3x3, u8, AVX-512 VNNI + VBMI: down strips of four output pixels.
 *
 * 64 bytes are 4 neighbouring pixels x 16 channels; one byte permute turns them into 16 channels x
 * 4 taps, and a dot product with (w0 w1 w2 0) or (0 w0 w1 w2) is one row of the window of one of
 * two neighbours. An input row is loaded once and feeds the three output rows that it touches:
 * their sums roll down the strip while all weights stay in registers. Rows outside the image are a
 * row of zero points, columns outside are masked in.
 *
 * Window rows where some w - zw leave int8 are kept as part0 + part1, or part0 + 2 * part1 if one
 * is 255: both int8. Only such rows pay for part1. */
#include <string.h>

#include "engine/kernels/avx512vnni/tile.h"
#include "engine/kernels/requant.h"

enum { TAP_VECTOR = 64, STRIP = 4, SPAN = 10 /* pixels of input under a strip, at most */ };

/* What a block's sums need: nothing beyond the saturation of packs (zero point 0, all of u8), a
 * zero point and bounds, or the two parts of weights and a bound before the conversion to int. */
enum level { PLAIN, BOUNDED, GENERAL };

struct block {
    int32_t bias[ENG_BLOCK];
    float scale[ENG_BLOCK];
    int8_t w[2][3][2][TAP_VECTOR]; /* [part][window row][which of two neighbours][lane][tap] */
    int32_t general;               /* two parts, or products that may be no ints */
    int32_t times[3];              /* part1 of a window row counts so often */
    int32_t unused[12];
};

static int weight(const struct eng_dw_u8_weights *w, int t, int c)
{
    return w->w[(size_t)t * (size_t)w->channels + (size_t)c] - w->zw[c];
}

static void count_parts(const struct eng_dw_u8_weights *w, struct block *b, int c)
{
    for (int t = 0; t < 9; t++) {
        int v = weight(w, t, c), times = v > 254 ? 2 : v < -128 || v > 127;
        b->times[t / 3] = times > b->times[t / 3] ? times : b->times[t / 3];
    }
}

static void pack_channel(const struct eng_dw_u8_weights *w, struct block *b, int c)
{
    int lane = c % ENG_BLOCK;
    int32_t bias = w->bias ? w->bias[c] : 0;
    double most = fabs((double)bias);
    for (int t = 0; t < 9; t++) {
        int v = weight(w, t, c), times = b->times[t / 3];
        int near = into_int8(v);
        int part1 = times == 2 ? (v - near) / 2 + (v - near) % 2 : v - near;
        int part0 = times == 2 ? v - 2 * part1 : near;
        for (int s = 0; s < 2; s++) {
            b->w[0][t / 3][s][lane * 4 + t % 3 + s] = (int8_t)part0;
            b->w[1][t / 3][s][lane * 4 + t % 3 + s] = (int8_t)part1;
        }
        b->general |= part1 != 0;
        bias = eng_add32(bias, -w->zx * v);
        most += 255.0 * abs(v);
    }
    b->bias[lane] = bias;
    b->scale[lane] = w->scale[c];
    b->general |= !(most * w->scale[c] < 0x1p30);
}

static void pack(const struct eng_dw_u8_weights *w, void *dst)
{
    struct block *blocks = dst;
    int n = (w->channels + ENG_BLOCK - 1) / ENG_BLOCK;
    memset(blocks, 0, (size_t)n * sizeof(*blocks));
    for (int c = 0; c < w->channels; c++)
        count_parts(w, &blocks[c / ENG_BLOCK], c);
    for (int c = 0; c < w->channels; c++)
        pack_channel(w, &blocks[c / ENG_BLOCK], c);
}

/* What stays the same down a strip. */
struct strip {
    const struct block *b;
    __m512i zx, taps, bias;
    __m512 scale;
    __m512i w[3][2];
    size_t out_pixel;
    __mmask64 inside[STRIP]; /* per load: bytes of pixels that exist */
    struct rq512 q;
};

/* Input rows one after the other; those outside the image are 160 bytes of zx. */
struct rows {
    const uint8_t *at, *outside;
    size_t step;
    int y, h;
};

INLINE const uint8_t *next_row(struct rows *r)
{
    const uint8_t *row = (unsigned)r->y < (unsigned)r->h ? r->at : r->outside;
    r->at += r->step;
    r->y++;
    return row;
}

/* Four bits -> four times 16 bits. */
INLINE __mmask64 pixel_mask(uint64_t bits)
{
    return ((bits & 15) * 0x0000200040008001 & 0x0001000100010001) * 0xffff;
}

INLINE void strip_start(struct strip *s, const struct eng_dw_u8_args *a, int ix, int edge)
{
    s->b = a->block;
    s->out_pixel = a->out_pixel;
    s->zx = _mm512_set1_epi8((char)a->zx);
    s->taps =
        _mm512_setr_epi32(0x30201000, 0x31211101, 0x32221202, 0x33231303, 0x34241404, 0x35251505,
                          0x36261606, 0x37271707, 0x38281808, 0x39291909, 0x3a2a1a0a, 0x3b2b1b0b,
                          0x3c2c1c0c, 0x3d2d1d0d, 0x3e2e1e0e, 0x3f2f1f0f);
    s->bias = _mm512_load_si512(s->b->bias);
    s->scale = _mm512_load_ps(s->b->scale);
    s->q = rq512_load(&a->rq);
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++) {
        s->w[r][0] = _mm512_load_si512(s->b->w[0][r][0]);
        s->w[r][1] = _mm512_load_si512(s->b->w[0][r][1]);
    }
    if (!edge)
        return;
    int before = ix < 0 ? -ix : 0, to = a->geo.in_w - ix;
    uint32_t all = (1u << SPAN) - 1, inside = before < SPAN ? all << before : 0;
    if (to < SPAN)
        inside &= to > 0 ? all >> (SPAN - to) : 0;
#pragma GCC unroll 4
    for (int i = 0; i < STRIP; i++)
        s->inside[i] = pixel_mask(inside >> 2 * i);
}

INLINE void load_row(const struct strip *s, __m512i x[STRIP], const uint8_t *in, int n, int stride,
                     int edge)
{
    int loads = stride == 1 ? (n + 1) / 2 : n;
#pragma GCC unroll 4
    for (int i = 0; i < loads; i++) {
        __m512i v = edge ? _mm512_mask_loadu_epi8(s->zx, s->inside[i], in + i * 32)
                         : _mm512_loadu_si512(in + i * 32);
        x[i] = _mm512_permutexvar_epi8(s->taps, v);
    }
}

/* In assembly, for gcc 12 copies the sums around such a rare branch. */
INLINE void add_part1(const struct strip *s, __m512i acc[STRIP], const __m512i x[STRIP], int row,
                      int n, int stride)
{
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        int of = stride == 1 ? i / 2 : i, which = stride == 1 ? i % 2 : 0;
        dot(&acc[i], x[of], _mm512_load_si512(s->b->w[1][row][which]));
    }
}

/* acc[i] += window row `row` over the input row whose taps are x. */
INLINE void add_row(const struct strip *s, __m512i acc[STRIP], const __m512i x[STRIP], int row,
                    int n, int stride, enum level level)
{
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        int of = stride == 1 ? i / 2 : i, which = stride == 1 ? i % 2 : 0;
        acc[i] = _mm512_dpbusd_epi32(acc[i], x[of], s->w[row][which]);
    }
    if (level == GENERAL && s->b->times[row] > 0)
        add_part1(s, acc, x, row, n, stride);
    if (level == GENERAL && s->b->times[row] > 1)
        add_part1(s, acc, x, row, n, stride);
}

INLINE void start_row(const struct strip *s, __m512i acc[STRIP], const __m512i x[STRIP], int n,
                      int stride, enum level level)
{
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
        acc[i] = s->bias;
    add_row(s, acc, x, 0, n, stride, level);
}

/* Where the next layer's A-panel holds four blocks side by side, pixels go to lines of their own.
 */
INLINE void store_row(uint8_t *out, size_t out_pixel, __m512i v, int n)
{
    if (out_pixel == ENG_BLOCK) {
        rq512_store(out, v, n);
        return;
    }
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(v));
    if (n > 1)
        _mm_storeu_si128((__m128i *)(void *)(out + 64), _mm512_extracti32x4_epi32(v, 1));
    if (n > 2)
        _mm_storeu_si128((__m128i *)(void *)(out + 128), _mm512_extracti32x4_epi32(v, 2));
    if (n > 3)
        _mm_storeu_si128((__m128i *)(void *)(out + 192), _mm512_extracti32x4_epi32(v, 3));
}

INLINE void finish_row(const struct strip *s, const __m512i acc[STRIP], uint8_t *out, int n,
                       enum level level)
{
    __m512i r[STRIP];
#pragma GCC unroll 4
    for (int i = 0; i < STRIP; i++) {
        if (i >= n)
            r[i] = r[0];
        else
            r[i] = level == GENERAL ? rq512_round(acc[i], s->scale, &s->q)
                                    : rq512_round_known(acc[i], s->scale);
    }
    store_row(out, s->out_pixel,
              level == PLAIN ? rq512_pack_plain(r[0], r[1], r[2], r[3], &s->q)
                             : rq512_pack_wide(r[0], r[1], r[2], r[3], &s->q),
              n);
}

/* Stride 1, one output row: `now` lacks its last window row, `next` its last two; `now` comes back
 * as the sums of the row after next, so the caller swaps the names. */
INLINE void step1(const struct strip *s, struct rows *r, __m512i now[STRIP], __m512i next[STRIP],
                  uint8_t *out, int n, int edge, enum level level)
{
    __m512i x[STRIP];
    load_row(s, x, next_row(r), n, 1, edge);
    add_row(s, now, x, 2, n, 1, level);
    finish_row(s, now, out, n, level);
    add_row(s, next, x, 1, n, 1, level);
    start_row(s, now, x, n, 1, level);
}

INLINE void strip1(const struct strip *s, const struct eng_dw_u8_args *a, struct rows *r,
                   uint8_t *out, int n, int edge, enum level level)
{
    __m512i even[STRIP], odd[STRIP], x[STRIP];
    load_row(s, x, next_row(r), n, 1, edge);
    start_row(s, even, x, n, 1, level);
    load_row(s, x, next_row(r), n, 1, edge);
    add_row(s, even, x, 1, n, 1, level);
    start_row(s, odd, x, n, 1, level);
    int y = a->geo.y0;
    for (; y + 2 <= a->geo.y1; y += 2) {
        step1(s, r, even, odd, out, n, edge, level);
        step1(s, r, odd, even, out + a->out_row, n, edge, level);
        out += 2 * a->out_row;
    }
    if (y < a->geo.y1)
        step1(s, r, even, odd, out, n, edge, level);
}

INLINE void strip2(const struct strip *s, const struct eng_dw_u8_args *a, struct rows *r,
                   uint8_t *out, int n, int edge, enum level level)
{
    __m512i acc[STRIP], x[STRIP];
    load_row(s, x, next_row(r), n, 2, edge);
    start_row(s, acc, x, n, 2, level);
    for (int y = a->geo.y0; y < a->geo.y1; y++, out += a->out_row) {
        load_row(s, x, next_row(r), n, 2, edge);
        add_row(s, acc, x, 1, n, 2, level);
        load_row(s, x, next_row(r), n, 2, edge);
        add_row(s, acc, x, 2, n, 2, level);
        finish_row(s, acc, out, n, level);
        start_row(s, acc, x, n, 2, level);
    }
}

/* All rows of `count` strips of n output pixels, from pixel x on. */
INLINE void run_strips(const struct eng_dw_u8_args *a, const uint8_t *outside, int x, int count,
                       int n, int stride, int edge, enum level level)
{
    int ix = x * stride - a->geo.left, iy = a->geo.y0 * stride - a->geo.top;
    const uint8_t *in = a->in + (ptrdiff_t)iy * (ptrdiff_t)a->in_row + (ptrdiff_t)ix * ENG_BLOCK;
    uint8_t *out = a->out + (size_t)x * a->out_pixel;
    struct strip s;
    strip_start(&s, a, ix, edge);
    for (; count > 0; count--, in += STRIP * stride * ENG_BLOCK, out += STRIP * a->out_pixel) {
        struct rows r = {
            .at = in, .outside = outside, .step = a->in_row, .y = iy, .h = a->geo.in_h};
        if (stride == 1)
            strip1(&s, a, &r, out, n, edge, level);
        else
            strip2(&s, a, &r, out, n, edge, level);
    }
}

#define STRIP_FN(n, stride, edge, level)                                                           \
    static __attribute__((noinline)) void strip_##n##_##stride##_##edge##_##level(                 \
        const struct eng_dw_u8_args *a, const uint8_t *outside, int x, int count)                  \
    {                                                                                              \
        run_strips(a, outside, x, count, n, stride, edge, level);                                  \
    }
#define STRIPS(X, stride, level)                                                                   \
    X(4, stride, 0, level)                                                                         \
    X(1, stride, 1, level)                                                                         \
    X(2, stride, 1, level) X(3, stride, 1, level) X(4, stride, 1, level)
STRIPS(STRIP_FN, 1, PLAIN)
STRIPS(STRIP_FN, 1, BOUNDED)
STRIPS(STRIP_FN, 1, GENERAL)
STRIPS(STRIP_FN, 2, PLAIN)
STRIPS(STRIP_FN, 2, BOUNDED)
STRIPS(STRIP_FN, 2, GENERAL)

typedef void strip_fn(const struct eng_dw_u8_args *, const uint8_t *, int, int);
#define STRIP_NAME(n, stride, edge, level) strip_##n##_##stride##_##edge##_##level,
static strip_fn *const strips[2][3][STRIP + 1] = {
    {{STRIPS(STRIP_NAME, 1, PLAIN)},
     {STRIPS(STRIP_NAME, 1, BOUNDED)},
     {STRIPS(STRIP_NAME, 1, GENERAL)}},
    {{STRIPS(STRIP_NAME, 2, PLAIN)},
     {STRIPS(STRIP_NAME, 2, BOUNDED)},
     {STRIPS(STRIP_NAME, 2, GENERAL)}},
};

/* Pixels that the output pixels x .. x+n-1 see all exist. */
static int is_inner(const struct eng_dw_u8_args *a, int x, int n)
{
    int first = x * a->geo.stride - a->geo.left, last = first + (n - 1) * a->geo.stride + 2;
    return first >= 0 && last < a->geo.in_w;
}

static void run(const struct eng_dw_u8_args *a)
{
    const struct block *b = a->block;
    int plain = a->rq.zero_point == 0 && a->rq.lo == 0 && a->rq.hi == 255;
    strip_fn *const *of = strips[a->geo.stride - 1][b->general ? GENERAL : plain ? PLAIN : BOUNDED];
    uint8_t outside[160];
    memset(outside, a->zx, sizeof(outside));
    for (int x = 0; x < a->geo.out_w;) {
        int inner = 0;
        while (x + (inner + 1) * STRIP <= a->geo.out_w && is_inner(a, x + inner * STRIP, STRIP))
            inner++;
        int n = inner || a->geo.out_w - x >= STRIP ? STRIP : a->geo.out_w - x;
        of[inner ? 0 : n](a, outside, x, inner ? inner : 1);
        x += inner ? inner * STRIP : n;
    }
}

const struct eng_dw_u8_kernel eng_dw_u8_avx512vnni = {
    .name = "dw_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    .spreads = 1,
    .block_bytes = sizeof(struct block),
    .pixel_cycles = 3,
    .pack = pack,
    .run = run,
};
