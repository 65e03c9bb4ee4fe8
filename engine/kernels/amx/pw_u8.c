/* Pointwise, u8, AMX: blocks of 2 x 2 tiles, up to 32 pixels x 32 channels.
 *
 * An A-tile is up to 16 pixels of 64 input channels, a B-tile 64 inputs x 16 outputs, a product 4.3
 * ns. Tile heights are evened out over the pixels, so that no tile is nearly empty (14 at 14x14, 13
 * at 7x7); the last block overlaps the one before rather than read past the end. Sums go through
 * L1, and the requantisation of a block (16 vector instructions a 4 pixels x 16 channels, 8.7 ns a
 * tile) is done between the products of the next.
 *
 * Weights are kept as w - zw where all are an int8. Where one is not (uint8 schemes), all are
 * w - 128, and (128 - zw) times the sum of its inputs is added to each sum of a pixel: a product
 * with a tile of ones makes those of 16 pixels. */
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/amx/ops.h"
#include "engine/kernels/requant.h"

enum {
    NR = 32,
    STRETCH = 1024, /* pixels of which sums are kept */
    BLOCK_PIXELS = 2 * TILE_ROWS,
    QUAD = 4, /* pixels that are requantised together */
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

/* Where the quads of a block are, those of its first 16 channels first: the last of either overlaps
 * the one before rather than be a part of one. */
struct place {
    int pixel, channel; /* of the block */
    int sums;           /* of its sums */
};

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

/* How the pixels of a stretch are cut. */
struct cut {
    int rows, two; /* of a tile; whether blocks are two tiles high: */
    int below;     /* where the second one begins, it may overlap the first */
    int pixels;    /* of a block, four at least */
    int quads;     /* of 16 channels of a block */
    struct place places[2 * BLOCK_PIXELS / QUAD];
};

static struct cut cut_pixels(int pixels)
{
    int tiles = (pixels + TILE_ROWS - 1) / TILE_ROWS, two = tiles > 1;
    tiles += two && tiles % 2;
    int rows = (pixels + tiles - 1) / tiles;
    int below = two && 2 * rows > pixels ? pixels - rows : rows;
    struct cut cut = {.rows = rows, .two = two, .below = below};
    cut.pixels = two ? below + rows : rows;
    cut.quads = (cut.pixels + QUAD - 1) / QUAD;
    for (int i = 0; i < 2 * cut.quads; i++) {
        int block = i / cut.quads, at = i % cut.quads * QUAD;
        at = at > cut.pixels - QUAD ? cut.pixels - QUAD : at;
        cut.places[i] = (struct place){
            .pixel = at, .channel = 16 * block, .sums = (block * BLOCK_PIXELS + at) * 16};
    }
    return cut;
}

/* Tiles 4 and 5 are pixels, 6 and 7 weights, the others sums. */
static void configure(int rows)
{
    struct tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.rows[t] = (uint8_t)(t < 6 ? rows : TILE_ROWS);
        c.row_bytes[t] = TILE_ROW;
    }
    tiles_configure(&c);
}

/* factor[i]: the sum of the inputs of pixel i, times sum_factor. */
static void sum_inputs(const struct eng_pw_u8_args *a, int rows, const uint8_t *in, int pixels,
                       int32_t *factor)
{
    int32_t sums[TILE_ROWS][16] __attribute__((aligned(64)));
    int8_t ones[TILE_ROW] __attribute__((aligned(64)));
    const struct panel *p = a->panels;
    int steps = steps_of(a->k_blocks * ENG_BLOCK);
    memset(ones, 1, sizeof ones);
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

INLINE void step(const uint8_t *x, const uint8_t *x_below, const int8_t *w, int two)
{
    TILE_LOAD(4, x, TILE_ROW);
    TILE_LOAD(6, w, TILE_ROW);
    TILE_DOT_U8(0, 4, 6);
    TILE_LOAD(7, w + TILE_BYTES, TILE_ROW);
    TILE_DOT_U8(1, 4, 7);
    if (two) {
        TILE_LOAD(5, x_below, TILE_ROW);
        TILE_DOT_U8(2, 5, 6);
        TILE_DOT_U8(3, 5, 7);
    }
}

#define STORE(tile, pixel, channel)                                                                \
    TILE_STORE(tile, to + ((channel) / 16 * BLOCK_PIXELS + (pixel)) * 16, TILE_ROW)

INLINE void store_sums(int32_t *to, int two, int below)
{
    STORE(0, 0, 0);
    STORE(1, 0, 16);
    if (two) {
        STORE(2, below, 0);
        STORE(3, below, 16);
    }
}

/* step() from the bias on. The processor takes tile instructions in order, and a product's sums are
 * there after 52 cycles: those of the block before (to: NULL if none) are stored here, each three
 * products after the last one that it had, where nothing waits for it. `load`: the weights are not
 * there yet. */
INLINE void first_step(const uint8_t *x, const uint8_t *x_below, const int8_t *w, int load,
                       const int32_t *bias, int two, int32_t *to, int below)
{
    TILE_LOAD(4, x, TILE_ROW);
    if (load) {
        TILE_LOAD(6, w, TILE_ROW);
        TILE_LOAD(7, w + TILE_BYTES, TILE_ROW);
    }
    if (to)
        STORE(0, 0, 0);
    TILE_LOAD(0, bias, 0);
    TILE_DOT_U8(0, 4, 6);
    if (to)
        STORE(1, 0, 16);
    TILE_LOAD(1, bias + 16, 0);
    TILE_DOT_U8(1, 4, 7);
    if (two) {
        TILE_LOAD(5, x_below, TILE_ROW);
        if (to)
            STORE(2, below, 0);
        TILE_LOAD(2, bias, 0);
        TILE_DOT_U8(2, 5, 6);
        if (to)
            STORE(3, below, 16);
        TILE_LOAD(3, bias + 16, 0);
        TILE_DOT_U8(3, 5, 7);
    }
}

/* Pixels from .. from+pixels-1, at least 4, of all panels. */
INLINE void stretch(const struct eng_pw_u8_args *a, int from, int pixels, int plain, int with_sums)
{
    int32_t sums[2][NR / 16 * BLOCK_PIXELS * 16] __attribute__((aligned(64)));
    int32_t factor[STRETCH];
    const uint8_t *in = a->a + (size_t)from * TILE_ROW;
    const int steps = steps_of(a->k_blocks * ENG_BLOCK);
    const struct cut cut = cut_pixels(pixels);
    const size_t below = (size_t)cut.below * TILE_ROW, a_stride = a->a_stride;
    const int two = cut.two;
    struct rq512 q = rq512_load(&a->rq);
    struct rest rest = {0}, left = {0};
    int which = 0;
    configure(cut.rows);
    if (with_sums)
        sum_inputs(a, cut.rows, in, pixels, factor);
    for (int n = 0; n < a->n_panels; n++) {
        const struct panel *p = panel_of(a, n);
        for (int next = 0; next < pixels; next += cut.pixels) {
            int m = pixels - next < cut.pixels ? pixels - cut.pixels : next;
            const uint8_t *x = in + (size_t)m * TILE_ROW;
            const int8_t *w = p->w;
            int quads = (rest.end + steps - 1) / steps;
            int32_t *to = sums[which];
            first_step(x, x + below, w, steps > 1 || next == 0, p->bias, two, left.end ? to : NULL,
                       cut.below);
            finish(&rest, quads, cut.places, a->out_stride, &q, plain, with_sums);
            for (int k = 1; k < steps; k++) {
                x += a_stride;
                w += (NR / 16) * TILE_BYTES;
                step(x, x + below, w, two);
                finish(&rest, quads, cut.places, a->out_stride, &q, plain, with_sums);
            }
            rest = left;
            left = (struct rest){.factor = factor + m,
                                 .scale = p->scale,
                                 .out = a->out + (size_t)(n * (NR / 16)) * a->out_stride +
                                        (size_t)(from + m) * ENG_BLOCK,
                                 .end = (a->n_blocks - n * (NR / 16) < NR / 16 ? 1 : NR / 16) *
                                        cut.quads};
            which ^= 1;
            left.sums = sums[which];
        }
    }
    finish(&rest, rest.end, cut.places, a->out_stride, &q, plain, with_sums);
    store_sums(sums[which], two, cut.below);
    finish(&left, left.end, cut.places, a->out_stride, &q, plain, with_sums);
    tiles_release();
}

#define STRETCH_FN(plain, with_sums)                                                               \
    static __attribute__((noinline)) void stretch_##plain##_##with_sums(                           \
        const struct eng_pw_u8_args *a, int from, int pixels)                                      \
    {                                                                                              \
        stretch(a, from, pixels, plain, with_sums);                                                \
    }
STRETCH_FN(0, 0)
STRETCH_FN(0, 1)
STRETCH_FN(1, 0)
STRETCH_FN(1, 1)

typedef void stretch_fn(const struct eng_pw_u8_args *, int, int);
static stretch_fn *const stretches[2][2] = {{stretch_0_0, stretch_0_1}, {stretch_1_0, stretch_1_1}};

/* ---- few pixels: a tile of one row costs as much as one of seven, so vectors ---- */

static int32_t sum_of_pixel(const struct eng_pw_u8_args *a, int pixel, int steps)
{
    vec sum = vec_zero(), ones = vec_set1(0x01010101);
    int32_t lanes[16]; /* all the same */
    for (int k = 0; k < steps; k++) {
        const uint8_t *at = a->a + (size_t)k * a->a_stride + (size_t)pixel * TILE_ROW;
        for (int i = 0; i < TILE_ROW; i += 4) {
            int32_t word;
            memcpy(&word, at + i, sizeof word);
            sum = vec_dot_u8(sum, vec_set1(word), ones);
        }
    }
    memcpy(lanes, &sum, sizeof lanes);
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
            memcpy(&word, at + 4 * i, sizeof word);
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
    for (int from = 0, pixels; from < a->pixels; from += pixels) {
        pixels = a->pixels - from < STRETCH ? a->pixels - from : STRETCH;
        if (pixels >= QUAD)
            stretches[plain][p->sum_factor != 0](a, from, pixels);
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
