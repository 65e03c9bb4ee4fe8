/* Pointwise, u8, AMX: the blocks of block.inc by tdpbusd, 64 inputs a step. What makes bytes of
 * sums is 16 vector instructions for 4 pixels x 16 channels, twice as long as one product of a
 * whole tile.
 *
 * Weights are kept as w - zw where all are an int8. Where one is not (uint8 schemes), all are
 * w - 128, and (128 - zw) times the sum of its inputs is added to each sum of a pixel: a product
 * with a tile of ones makes those of 16 pixels. */
#include <stdlib.h>
#include <string.h>

#define TILE_DOT(c, a, b) TILE_DOT_U8(c, a, b)
#include "engine/kernels/amx/block.inc"
#include "engine/kernels/requant.h"

enum {
    STRETCH = 1024, /* pixels of which sums of inputs are kept */
    FEW_STEPS = 4,  /* up to which vectors have their turn between the quarters of a step */
};

struct panel {
    int32_t bias[NR];
    float scale[NR];
    int32_t sum_factor; /* 128 - zw, or 0 where the weights are w - zw; of all panels */
    int32_t known;      /* no product with a scale leaves int32; of all panels */
    int32_t unused[14];
    int8_t w[]; /* [k64 / 64][NR / 16] tiles of [16][16 outputs][4 inputs] */
};

static int steps_of(int k)
{
    return (k + TILE_ROW - 1) / TILE_ROW;
}

static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + (size_t)steps_of(k) * (NR / 16) * TILE_BYTES;
}

static int fit_int8(const struct eng_pw_u8_weights *w)
{
    size_t n = (size_t)w->k * (size_t)w->n;
    for (size_t i = 0; i < n; i++)
        if (w->w[i] - w->zw < -128 || w->w[i] - w->zw > 127)
            return 0;
    return 1;
}

static int are_known(const struct eng_pw_u8_weights *w)
{
    for (int n = 0; n < w->n; n++) {
        const uint8_t *from = w->w + (size_t)n * (size_t)w->k;
        double most = w->bias ? fabs((double)w->bias[n]) : 0;
        for (int k = 0; k < w->k; k++)
            most += 255.0 * abs(from[k] - w->zw);
        if (!(most * (double)fabsf(w->scale[n]) < 0x1p30))
            return 0;
    }
    return 1;
}

/* Inputs behind the last weigh as if they had w = zw: whatever they hold, it counts for nothing. */
static void pack_channel(const struct eng_pw_u8_weights *w, struct panel *p, int lane, int n,
                         int centre)
{
    int32_t bias = w->bias ? w->bias[n] : 0;
    const uint8_t *from = w->w + (size_t)n * (size_t)w->k;
    for (int k = 0; k < w->k; k++) {
        size_t tile = (size_t)(k / TILE_ROW * (NR / 16) + lane / 16);
        size_t at = (size_t)(k % TILE_ROW / 4 * TILE_ROW + lane % 16 * 4 + k % 4);
        p->w[tile * TILE_BYTES + at] = (int8_t)(from[k] - centre);
        bias = eng_add32(bias, -w->zx * (from[k] - w->zw));
    }
    p->bias[lane] = bias;
    p->scale[lane] = w->scale[n];
}

static void pack(const struct eng_pw_u8_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    int centre = fit_int8(w) ? w->zw : 128, known = are_known(w);
    char *at = dst;
    for (int n0 = 0; n0 < w->n; n0 += NR, at += bytes) {
        struct panel *p = (struct panel *)(void *)at;
        memset(p, 0, sizeof(*p));
        memset(p->w, w->zw - centre, bytes - sizeof(*p));
        p->sum_factor = centre - w->zw;
        p->known = known;
        for (int i = 0; i < NR && n0 + i < w->n; i++)
            pack_channel(w, p, i, n0 + i, centre);
    }
}

static int needs_sum(const struct eng_pw_u8_weights *w)
{
    (void)w;
    return 0;
}

static const struct panel *panel_of(const struct eng_pw_u8_args *a, int n)
{
    size_t bytes = panel_bytes(a->k_blocks * ENG_BLOCK);
    return (const struct panel *)(const void *)((const char *)a->panels + (size_t)n * bytes);
}

/* ---- requantisation ---- */

/* Four pixels of 16 channels. */
INLINE void quad(const int32_t *sums, const int32_t *factor, const float *scale, uint8_t *out,
                 const struct rq512 *q, int plain, int with_sums)
{
    floats s = floats_load(scale);
    vec r[QUAD];
#pragma GCC unroll 4
    for (int i = 0; i < QUAD; i++) {
        vec sum = vec_load(sums + i * 16);
        if (with_sums)
            sum = vec_add(sum, vec_set1(factor[i]));
        r[i] = plain ? rq512_round_known(sum, s) : rq512_round(sum, s, q);
    }
    rq512_store(out,
                plain ? rq512_pack_plain(r[0], r[1], r[2], r[3], q)
                      : rq512_pack(r[0], r[1], r[2], r[3], q),
                QUAD);
}

/* A block whose sums are not bytes yet: quads next .. end-1. */
struct rest {
    const int32_t *sums, *factor;
    const float *scale;
    uint8_t *out;
    int next, end;
};

INLINE void finish(struct rest *r, int quads, const struct place *places, size_t out_stride,
                   const struct rq512 *q, int plain, int with_sums)
{
    int end = r->end - r->next < quads ? r->end : r->next + quads;
    for (; r->next < end; r->next++) {
        const struct place *at = places + r->next;
        uint8_t *out = r->out + at->pixel * ENG_BLOCK;
        quad(r->sums + at->sums, r->factor + at->pixel, r->scale + at->channel,
             at->channel ? out + out_stride : out, q, plain, with_sums);
    }
}

/* ---- products ---- */

/* factor[i]: the sum of the inputs of pixel i, times sum_factor. */
static void sum_inputs(const struct eng_pw_u8_args *a, int rows, const uint8_t *in, int pixels,
                       int32_t *factor)
{
    int32_t sums[TILE_ROWS][16] __attribute__((aligned(64)));
    int8_t ones[TILE_ROW] __attribute__((aligned(64)));
    const struct panel *p = a->panels;
    int steps = steps_of(a->k_blocks * ENG_BLOCK);
    memset(ones, 1, sizeof(ones));
    TILE_LOAD(6, ones, 0);
    for (int done = 0, m; done < pixels; done = m + rows) {
        m = pixels - done < rows ? pixels - rows : done;
        const uint8_t *at = in + (size_t)m * TILE_ROW;
        TILE_ZERO(0);
        for (int k = 0; k < steps; k++, at += a->a_stride) {
            TILE_LOAD(4, at, TILE_ROW);
            TILE_DOT_U8(0, 4, 6);
        }
        TILE_STORE(0, sums, TILE_ROW);
        for (int i = 0; i < rows; i++)
            factor[m + i] = (int32_t)((uint32_t)sums[i][0] * (uint32_t)p->sum_factor);
    }
}

/* Pixels from .. from+pixels-1, at least 4, of all panels. `fine`: vectors have their turn between
 * the quarters of a step. */
INLINE void stretch(const struct eng_pw_u8_args *a, int from, int pixels, int plain, int with_sums,
                    int fine)
{
    int32_t sums[2][BLOCK_SUMS] __attribute__((aligned(64)));
    int32_t factor[STRETCH];
    const uint8_t *in = a->a + (size_t)from * TILE_ROW;
    const int steps = steps_of(a->k_blocks * ENG_BLOCK);
    const struct cut cut = cut_pixels(pixels);
    struct rq512 q = rq512_load(&a->rq);
    struct rest rest = {0}, left = {0}; /* stored; yet to be */
    int which = 0;
    configure(cut.rows, TILE_ROW);
    if (with_sums)
        sum_inputs(a, cut.rows, in, pixels, factor);
    for (int n = 0; n < a->n_panels; n++) {
        const struct panel *p = panel_of(a, n);
        uint8_t *out = a->out + (size_t)(n * (NR / 16)) * a->out_stride;
        int blocks = a->n_blocks - n * (NR / 16) < NR / 16 ? 1 : NR / 16;
        const char *ahead = (const char *)panel_of(a, n + 1);
        int pairs = n + 1 < a->n_panels
                        ? pairs_ahead(panel_bytes(a->k_blocks * ENG_BLOCK), steps, pixels, &cut)
                        : 0;
        for (int next = 0; next < pixels; next += cut.pixels) {
            int m = pixels - next < cut.pixels ? pixels - cut.pixels : next;
            int quads = (rest.end + steps - 1) / steps, few = (quads + 3) / 4;
            struct step s = {.x = (const char *)in + (size_t)m * TILE_ROW,
                             .below = (size_t)cut.below * TILE_ROW,
                             .two = cut.two,
                             .w = (const char *)p->w};
#pragma GCC unroll 4
            for (int part = 0; part < 4; part++) {
                first_quarter(part, &s, steps > 1 || next == 0, (const char *)p->bias,
                              left.end ? (char *)sums[which] : NULL, &cut);
                if (fine)
                    finish(&rest, few, cut.places, a->out_stride, &q, plain, with_sums);
            }
            if (!fine)
                finish(&rest, quads, cut.places, a->out_stride, &q, plain, with_sums);
            for (int k = 1; k < steps; k++) {
                s.x += a->a_stride;
                s.w += (NR / 16) * TILE_BYTES;
                if (!fine) {
                    ask_ahead(&ahead, pairs);
                    step(&s);
                    finish(&rest, quads, cut.places, a->out_stride, &q, plain, with_sums);
                    continue;
                }
#pragma GCC unroll 4
                for (int part = 0; part < 4; part++) {
                    quarter_step(part, &s);
                    finish(&rest, few, cut.places, a->out_stride, &q, plain, with_sums);
                }
            }
            rest = left;
            which ^= 1;
            left = (struct rest){.sums = sums[which],
                                 .factor = factor + m,
                                 .scale = p->scale,
                                 .out = out + (size_t)(from + m) * ENG_BLOCK,
                                 .end = blocks * cut.quads};
        }
    }
    finish(&rest, rest.end, cut.places, a->out_stride, &q, plain, with_sums);
    store_sums((char *)sums[which], &cut);
    finish(&left, left.end, cut.places, a->out_stride, &q, plain, with_sums);
    tiles_release();
}

#define STRETCH_FN(plain, with_sums, fine)                                                         \
    static __attribute__((noinline)) void stretch_##plain##_##with_sums##_##fine(                  \
        const struct eng_pw_u8_args *a, int from, int pixels)                                      \
    {                                                                                              \
        stretch(a, from, pixels, plain, with_sums, fine);                                          \
    }
STRETCH_FN(0, 0, 0)
STRETCH_FN(0, 0, 1)
STRETCH_FN(0, 1, 0)
STRETCH_FN(0, 1, 1)
STRETCH_FN(1, 0, 0)
STRETCH_FN(1, 0, 1)
STRETCH_FN(1, 1, 0)
STRETCH_FN(1, 1, 1)

typedef void stretch_fn(const struct eng_pw_u8_args *, int, int);
static stretch_fn *const stretches[2][2][2] = {
    {{stretch_0_0_0, stretch_0_0_1}, {stretch_0_1_0, stretch_0_1_1}},
    {{stretch_1_0_0, stretch_1_0_1}, {stretch_1_1_0, stretch_1_1_1}}};

/* ---- few pixels: a tile of one row costs as much as one of seven, so vectors ---- */

static int32_t sum_of_pixel(const struct eng_pw_u8_args *a, int pixel, int steps)
{
    vec sum = vec_zero(), ones = vec_set1(0x01010101);
    int32_t lanes[16]; /* all the same */
    for (int k = 0; k < steps; k++) {
        const uint8_t *at = a->a + (size_t)k * a->a_stride + (size_t)pixel * TILE_ROW;
        for (int i = 0; i < TILE_ROW; i += 4) {
            int32_t word;
            memcpy(&word, at + i, sizeof(word));
            sum = vec_dot_u8(sum, vec_set1(word), ones);
        }
    }
    memcpy(lanes, &sum, sizeof(lanes));
    return lanes[0];
}

static void single_panel(const struct eng_pw_u8_args *a, const struct panel *p, int pixel,
                         int steps, int32_t factor, int blocks, uint8_t *out)
{
    enum { CHAINS = 4 }; /* a sum alone would wait for its own latency */
    vec sum[CHAINS][NR / 16];
    const int8_t *w = p->w;
#pragma GCC unroll 4
    for (int j = 0; j < CHAINS; j++)
#pragma GCC unroll 2
        for (int v = 0; v < NR / 16; v++)
            sum[j][v] = j ? vec_zero() : vec_add(vec_load(p->bias + v * 16), vec_set1(factor));
    for (int k = 0; k < steps; k++, w += (NR / 16) * TILE_BYTES) {
        const uint8_t *at = a->a + (size_t)k * a->a_stride + (size_t)pixel * TILE_ROW;
#pragma GCC unroll 16
        for (int i = 0; i < TILE_ROWS; i++) {
            int32_t word;
            memcpy(&word, at + 4 * i, sizeof(word));
            vec x = vec_set1(word);
#pragma GCC unroll 2
            for (int v = 0; v < NR / 16; v++)
                sum[i % CHAINS][v] =
                    vec_dot_u8(sum[i % CHAINS][v], x, vec_load(w + v * TILE_BYTES + i * TILE_ROW));
        }
    }
    struct rq512 q = rq512_load(&a->rq);
    for (int v = 0; v < blocks; v++) {
        vec s = vec_add(vec_add(sum[0][v], sum[1][v]), vec_add(sum[2][v], sum[3][v]));
        vec r = rq512_round(s, floats_load(p->scale + v * 16), &q);
        rq512_store(out + (size_t)v * a->out_stride, rq512_pack(r, r, r, r, &q), 1);
    }
}

static void single(const struct eng_pw_u8_args *a, int pixel)
{
    int steps = steps_of(a->k_blocks * ENG_BLOCK);
    int32_t factor = panel_of(a, 0)->sum_factor;
    uint8_t *out = a->out + (size_t)pixel * ENG_BLOCK;
    if (factor)
        factor = (int32_t)((uint32_t)factor * (uint32_t)sum_of_pixel(a, pixel, steps));
    for (int n = 0; n < a->n_panels; n++)
        single_panel(a, panel_of(a, n), pixel, steps, factor,
                     a->n_blocks - n * (NR / 16) < NR / 16 ? 1 : NR / 16,
                     out + (size_t)(n * (NR / 16)) * a->out_stride);
}

static void run(const struct eng_pw_u8_args *a)
{
    const struct panel *p = a->panels;
    int plain = p->known && a->rq.zero_point == 0 && a->rq.lo == 0 && a->rq.hi == 255;
    int fine = steps_of(a->k_blocks * ENG_BLOCK) <= FEW_STEPS;
    for (int from = 0, pixels; from < a->pixels; from += pixels) {
        pixels = a->pixels - from < STRETCH ? a->pixels - from : STRETCH;
        if (pixels >= QUAD)
            stretches[plain][p->sum_factor != 0][fine](a, from, pixels);
        else
            for (int i = 0; i < pixels; i++)
                single(a, from + i);
    }
}

const struct eng_pw_u8_kernel eng_pw_u8_amx = {
    .name = "pw_u8_amx",
    .cpu_bits = ENG_CPU_AMXINT8,
    .mr = BLOCK_PIXELS,
    .nr = NR,
    .together = 4,
    .macs = 1000,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .needs_sum = needs_sum,
    .run = run,
};
