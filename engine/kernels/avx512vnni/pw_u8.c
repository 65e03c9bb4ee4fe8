/* Pointwise, u8, AVX-512 VNNI: tiles of up to 14 pixels x 32 channels, 28 accumulators.
 *
 * A step of four k broadcasts a word of each pixel (a load, no arithmetic port) against two weight
 * vectors. 14 divides every map of a 224 network (49 = 13 + 12 + 12 + 12), and tile heights are
 * evened out, so that no tile is nearly empty. Weights are kept as w - zw in int8. A uint8 scheme
 * has a few that do not fit (often one a layer): what is missing of them is in further steps of the
 * panel. If there are more than such steps, all are w - 128, and (128 - zw) * sum[pixel] starts the
 * sums. */
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/avx512vnni/tile.h"
#include "engine/kernels/requant.h"

enum { L1_WEIGHTS = 24 << 10, SHORT = 16, STRETCH = 1024, MORE = 4 };

struct panel {
    int32_t bias[NR];
    float scale[NR];
    int32_t sum_factor;    /* 128 - zw, or 0 where the weights are w - zw */
    int32_t n_more;        /* further steps, */
    int32_t more_at[MORE]; /* each over the words of this step */
    int32_t unused[10];
    int8_t w[]; /* [k16 / 4][NR][4], then [MORE][NR][4] */
};

static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + ((size_t)k + 15) / 16 * 16 * NR + (size_t)MORE * NR * 4;
}

/* Largest |v - int8| of the weights of step `s` in the panel from channel n0 on; 128 of 255 is out
 * of reach for two. */
static int missing_in_step(const struct eng_pw_u8_weights *w, int n0, int s)
{
    int most = 0;
    for (int n = n0; n < n0 + NR && n < w->n; n++)
        for (int k = 4 * s; k < 4 * s + 4 && k < w->k; k++) {
            int v = w->w[(size_t)n * (size_t)w->k + (size_t)k] - w->zw;
            most = abs(v - into_int8(v)) > most ? abs(v - into_int8(v)) : most;
        }
    return most;
}

static int needs_sum(const struct eng_pw_u8_weights *w)
{
    for (int n0 = 0; n0 < w->n; n0 += NR) {
        int more = 0;
        for (int s = 0; s < (w->k + 3) / 4; s++) {
            int missing = missing_in_step(w, n0, s);
            more += missing > 0;
            if (missing > 127 || more > MORE)
                return 1;
        }
    }
    return 0;
}

/* Adds what `missing` int8 lacks of weight k of a lane. */
static void add_more(struct panel *p, int steps, int lane, int k, int missing)
{
    int e = 0;
    while (e < p->n_more && p->more_at[e] != k / 4)
        e++;
    p->more_at[e] = k / 4;
    p->n_more = e == p->n_more ? e + 1 : p->n_more;
    p->w[((steps + e) * NR + lane) * 4 + k % 4] = (int8_t)missing;
}

static void pack_channel(const struct eng_pw_u8_weights *w, struct panel *p, int lane, int n,
                         int centre)
{
    int32_t bias = w->bias ? w->bias[n] : 0;
    const uint8_t *from = w->w + (size_t)n * (size_t)w->k;
    for (int k = 0; k < w->k; k++) {
        int v = from[k] - centre, near = into_int8(v);
        p->w[(k / 4 * NR + lane) * 4 + k % 4] = (int8_t)near;
        if (v != near)
            add_more(p, (w->k + 15) / 16 * 4, lane, k, v - near);
        bias = eng_add32(bias, -w->zx * (from[k] - w->zw));
    }
    p->bias[lane] = bias;
    p->scale[lane] = w->scale[n];
}

static void pack(const struct eng_pw_u8_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k), more = (size_t)MORE * NR * 4;
    int centre = needs_sum(w) ? 128 : w->zw;
    char *at = dst;
    for (int n0 = 0; n0 < w->n; n0 += NR, at += bytes) {
        struct panel *p = (struct panel *)(void *)at;
        memset(p, 0, sizeof(*p));
        memset(p->w, w->zw - centre, bytes - sizeof(*p) - more);
        memset((char *)p + bytes - more, 0, more);
        p->sum_factor = centre - w->zw;
        for (int i = 0; i < NR && n0 + i < w->n; i++)
            pack_channel(w, p, i, n0 + i, centre);
    }
}

INLINE void start(__m512i acc[][NV], const struct panel *p, const int32_t *sum, int mr, int nv)
{
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) {
        __m512i bias = _mm512_load_si512(p->bias + v * 16);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
            acc[i][v] = bias;
    }
    if (!sum)
        return;
    __m512i factor = _mm512_set1_epi32(p->sum_factor);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        __m512i s = _mm512_mullo_epi32(_mm512_set1_epi32(sum[i]), factor);
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            acc[i][v] = _mm512_add_epi32(acc[i][v], s);
    }
}

/* The steps behind the last one; `w` is there. */
INLINE void more_steps(__m512i acc[][NV], const struct eng_pw_u8_args *a, const struct panel *p,
                       int pixel, const int8_t *w, int mr, int nv)
{
    for (int e = 0; e < p->n_more; e++, w += NR * 4) {
        int at = p->more_at[e];
        dot_step(acc, a->a + (size_t)(at / 4) * a->a_stride + (size_t)(pixel * 16 + at % 4 * 4),
                 ENG_BLOCK, w, mr, nv);
    }
}

/* One pixel: its two sums alone would wait for each other's latency, so each is four. */
INLINE void single(const struct eng_pw_u8_args *a, const struct panel *p, int pixel, uint8_t *out,
                   int nv)
{
    __m512i acc[MR][NV]; /* four of them */
    const uint8_t *in = a->a + (size_t)pixel * 16;
    const int8_t *w = p->w;
    start(acc, p, a->sum ? a->sum + pixel : NULL, 1, nv);
#pragma GCC unroll 3
    for (int j = 1; j < 4; j++)
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            acc[j][v] = _mm512_setzero_si512();
    for (int b = 0; b < a->k_blocks; b++, in += a->a_stride)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++, w += NR * 4)
            dot_step(acc + j, in + j * 4, ENG_BLOCK, w, 1, nv);
    more_steps(acc, a, p, pixel, w, 1, nv);
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
        acc[0][v] = _mm512_add_epi32(_mm512_add_epi32(acc[0][v], acc[1][v]),
                                     _mm512_add_epi32(acc[2][v], acc[3][v]));
    struct rq512 q = rq512_load(&a->rq);
    finish(acc, p->scale, &q, out, a->out_stride, 1, nv);
}

INLINE void tile(const struct eng_pw_u8_args *a, const struct panel *p, int pixel, uint8_t *out,
                 int mr, int nv)
{
    __m512i acc[MR][NV];
    if (mr == 1) {
        single(a, p, pixel, out, nv);
        return;
    }
    const uint8_t *in = a->a + (size_t)pixel * 16;
    const int8_t *w = p->w;
    start(acc, p, a->sum ? a->sum + pixel : NULL, mr, nv);
    for (int b = 0; b < a->k_blocks; b++, in += a->a_stride)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++, w += NR * 4)
            dot_step(acc, in + j * 4, ENG_BLOCK, w, mr, nv);
    more_steps(acc, a, p, pixel, w, mr, nv);
    struct rq512 q = rq512_load(&a->rq);
    finish(acc, p->scale, &q, out, a->out_stride, mr, nv);
}

#define TILE(mr, nv)                                                                               \
    static __attribute__((noinline)) void tile_##mr##_##nv(                                        \
        const struct eng_pw_u8_args *a, const struct panel *p, int pixel, uint8_t *out)            \
    {                                                                                              \
        tile(a, p, pixel, out, mr, nv);                                                            \
    }
TILES(TILE, 1)
TILES(TILE, 2)

typedef void tile_fn(const struct eng_pw_u8_args *, const struct panel *, int, uint8_t *);
#define TILE_NAME(mr, nv) tile_##mr##_##nv,
static tile_fn *const tiles[NV][MR] = {{TILES(TILE_NAME, 1)}, {TILES(TILE_NAME, 2)}};

/* `count` tiles of 16 / nv pixels and nv vectors of a panel; the parts of a tile go along with the
 * first `blocks` blocks of k of the next. */
INLINE void piped(const struct eng_pw_u8_args *a, const struct panel *p, int pixel, int count,
                  uint8_t *out, int blocks, int nv)
{
    enum { every_block = 4 };
    int pixels = PIPE_PARTS / nv, every = blocks * every_block * pixels / PIPE_PARTS;
    struct pipe_sums sums;
    struct pipe s = {.scale = {_mm512_load_ps(p->scale), _mm512_load_ps(p->scale + 16)},
                     .out_stride = a->out_stride,
                     .q = rq512_load(&a->rq)};
    for (int t = 0; t < count; t++, pixel += pixels, out += pixels * ENG_BLOCK) {
        __m512i acc[PIPE_PARTS][NV];
        const uint8_t *in = a->a + (size_t)pixel * ENG_BLOCK;
        const int8_t *w = p->w;
        start(acc, p, a->sum ? a->sum + pixel : NULL, pixels, nv);
        int b = 0;
        if (t > 0)
#pragma GCC unroll 4
            for (; b < blocks; b++, in += a->a_stride)
#pragma GCC unroll 4
                for (int j = 0; j < 4; j++, w += NR * 4)
                    pipe_step(&s, &sums, acc, in + j * 4, ENG_BLOCK, w, b * 4 + j, every, nv);
        for (; b < a->k_blocks; b++, in += a->a_stride)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++, w += NR * 4)
                pipe_step(&s, &sums, acc, in + j * 4, ENG_BLOCK, w, 0, 0, nv);
        more_steps(acc, a, p, pixel, w, pixels, nv);
        pipe_leave(&s, &sums, acc, out, nv);
    }
    pipe_end(&s, &sums, nv);
}

#define PIPED(blocks, nv)                                                                          \
    static __attribute__((noinline)) void piped_##blocks##_##nv(                                   \
        const struct eng_pw_u8_args *a, const struct panel *p, int pixel, int count, uint8_t *out) \
    {                                                                                              \
        piped(a, p, pixel, count, out, blocks, nv);                                                \
    }
PIPED(1, 1)
PIPED(2, 1)
PIPED(4, 1)
PIPED(1, 2)
PIPED(2, 2)
PIPED(4, 2)

typedef void piped_fn(const struct eng_pw_u8_args *, const struct panel *, int, int, uint8_t *);
static piped_fn *const pipes[NV][3] = {{piped_1_1, piped_2_1, piped_4_1},
                                       {piped_1_2, piped_2_2, piped_4_2}};

/* Pixels from .. to-1 of one panel, in tiles of nearly equal height. */
static void run_panel(const struct eng_pw_u8_args *a, int panel, int from, int to)
{
    size_t bytes = panel_bytes(a->k_blocks * ENG_BLOCK);
    const char *at = (const char *)a->panels + (size_t)panel * bytes;
    const struct panel *p = (const struct panel *)(const void *)at;
    int blocks = a->n_blocks - panel * NV;
    tile_fn *const *of = tiles[blocks < NV ? blocks - 1 : NV - 1];
    uint8_t *out = a->out + (size_t)(panel * NV) * a->out_stride;
    int nv = blocks < NV ? blocks : NV, together = PIPE_PARTS / nv;
    if (a->k_blocks <= SHORT && to - from >= together) {
        int count = (to - from) / together, depth = a->k_blocks >= 4 ? 2 : a->k_blocks >= 2;
        pipes[nv - 1][depth](a, p, from, count, out + (size_t)from * ENG_BLOCK);
        from += count * together;
    }
    for (int n = (to - from + MR - 1) / MR; n > 0; n--) {
        int mr = (to - from + n - 1) / n;
        of[mr - 1](a, p, from, out + (size_t)from * 16);
        from += mr;
    }
}

/* Weights that stay in L1 go round for each tile; larger ones stay a panel at a time. */
static void run(const struct eng_pw_u8_args *a)
{
    if ((size_t)a->n_panels * panel_bytes(a->k_blocks * ENG_BLOCK) > L1_WEIGHTS) {
        for (int n = 0; n < a->n_panels; n++)
            run_panel(a, n, 0, a->pixels);
        return;
    }
    for (int from = 0; from < a->pixels; from += STRETCH) {
        int to = a->pixels - from < STRETCH ? a->pixels : from + STRETCH;
        for (int n = 0; n < a->n_panels; n++)
            run_panel(a, n, from, to);
    }
}

const struct eng_pw_u8_kernel eng_pw_u8_avx512vnni = {
    .name = "pw_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI,
    .mr = MR,
    .nr = NR,
    .together = 1,
    .macs = 128,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .needs_sum = needs_sum,
    .run = run,
};
