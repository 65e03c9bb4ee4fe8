/* Pointwise and first convolution, bf16, on NEON with bf16 matrix multiplies.
 *
 * bfmmla adds inputs in pairs: the sum of two exact products, then that to the accumulator, each
 * rounded to odd, an error of at most one unit in the last place where rounding to nearest has a
 * half. A pair costs two roundings of the running sum's size at most, as two inputs do in the plain
 * C, and (k + 3) half units bound the whole as they bound that; only the bits differ. Sums that are
 * denormal count as 0. */
#include <arm_neon.h>

#include "engine/kernels/bf16_pack.h"

#define MMLA_V float32x4_t
#define MMLA_BYTES (ENG_BLOCK * (int)sizeof(uint16_t))

static inline float32x4_t mmla_load(const void *two)
{
    return vcombine_f32(vld1_f32(two), vld1_f32(two));
}

static inline __attribute__((always_inline)) void mmla_step(float32x4_t *acc, uint8x16_t x,
                                                            uint8x16_t w)
{
    __asm__ volatile("bfmmla %0.4s, %1.8h, %2.8h" : "+w"(*acc) : "w"(x), "w"(w));
}

static inline float32x4_t mmla_low(float32x4_t a, float32x4_t b)
{
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

static inline float32x4_t mmla_high(float32x4_t a, float32x4_t b)
{
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

#include "engine/kernels/mmla.inc"

enum {
    PIECE = 4, /* weights of eight bytes */
    TAPS = 27, /* of the first convolution, laid out as two channel blocks */
    TAP_BLOCKS = 2,
    SEEN = (MMLA_MR - 1) * 2 + 3, /* pixels that a row of a tile can see, at stride 2 */
};

/* Panel of 16 output channels: 16 fp32 of bias, then [k16 / 4][16][4]. */
static size_t panel_bytes(int k)
{
    return ENG_BLOCK * sizeof(float) + (size_t)f32_round16(k) * ENG_BLOCK * sizeof(uint16_t);
}

static void pack_panels(const float *w, const float *bias, int n_all, int k_all, void *dst)
{
    size_t bytes = panel_bytes(k_all);

    memset(dst, 0, bytes * (size_t)(f32_round16(n_all) / ENG_BLOCK));
    for (int n = 0; n < n_all; n++) {
        char *panel = (char *)dst + (size_t)(n / ENG_BLOCK) * bytes;
        float *biases = (float *)(void *)panel;
        uint16_t *to = (uint16_t *)(void *)(biases + ENG_BLOCK);
        biases[n % ENG_BLOCK] = bias ? bias[n] : 0.0f;
        for (int k = 0; k < k_all; k++)
            to[((size_t)(k / PIECE) * ENG_BLOCK + (size_t)(n % ENG_BLOCK)) * PIECE +
               (size_t)(k % PIECE)] = eng_bf16_from_f32(w[(size_t)n * (size_t)k_all + (size_t)k]);
    }
}

static void set_panel(struct mmla_tile *t, const char *panel)
{
    t->bias = panel;
    t->w = (const uint8_t *)panel + ENG_BLOCK * sizeof(float);
}

struct clamp {
    float32x4_t lo, hi;
};

static inline float32x4_t clamped(float32x4_t v, const struct clamp *c)
{
    return vminq_f32(vmaxq_f32(v, c->lo), c->hi);
}

static inline void store_f32(float *out, const float32x4_t sums[MMLA_VECTORS],
                             const struct clamp *c)
{
    for (int v = 0; v < MMLA_VECTORS; v++)
        vst1q_f32(out + 4 * v, clamped(sums[v], c));
}

static inline void store_bf16(uint16_t *out, const float32x4_t sums[MMLA_VECTORS],
                              const struct clamp *c)
{
    for (int v = 0; v < MMLA_VECTORS; v += 2) {
        bfloat16x8_t half = vcvtq_low_bf16_f32(clamped(sums[v], c));
        half = vcvtq_high_bf16_f32(half, clamped(sums[v + 1], c));
        vst1q_u16(out + 4 * v, vreinterpretq_u16_bf16(half));
    }
}

/* ---- pointwise ---- */

static void pw_pack(const struct eng_pw_f32_weights *w, void *dst)
{
    pack_panels(w->w, w->bias, w->n, w->k, dst);
}

static void pw_run(const struct eng_pw_bf16_args *g)
{
    size_t bytes = panel_bytes(g->k_blocks * ENG_BLOCK);
    struct clamp c = {vdupq_n_f32(g->lo), vdupq_n_f32(g->hi)};
    float32x4_t sums[MMLA_MR][MMLA_VECTORS];
    struct mmla_tile t = {
        .a_bytes = g->a_stride * sizeof(*g->a), .k_blocks = g->k_blocks, .sums = sums};

    for (int j = 0; j < g->n_panels; j++) {
        set_panel(&t, (const char *)g->panels + (size_t)j * bytes);
        for (int p = 0, mr; p < g->pixels; p += mr) {
            size_t at = (size_t)j * g->out_stride + (size_t)p * ENG_BLOCK;
            mr = mmla_rows(g->pixels - p);
            t.a = (const uint8_t *)(g->a + (size_t)p * ENG_BLOCK);
            mmla_tiles[mr](&t);
            for (int i = 0; i < mr; i++, at += ENG_BLOCK) {
                if (g->out_f32)
                    store_f32((float *)g->out + at, sums[i], &c);
                else
                    store_bf16((uint16_t *)g->out + at, sums[i], &c);
            }
        }
    }
}

const struct eng_pw_bf16_kernel eng_pw_bf16_neonbf16 = {
    .name = "pw_bf16_neonbf16",
    .cpu_bits = ENG_CPU_NEON | ENG_CPU_NEONBF16,
    .mr = MMLA_MR,
    .nr = ENG_BLOCK,
    .together = 1,
    .macs = 32,
    .panel_bytes = panel_bytes,
    .pack = pw_pack,
    .run = pw_run,
};

/* ---- first convolution ---- */

static size_t conv3_packed_bytes(int n)
{
    return (size_t)f32_round16(n) / ENG_BLOCK * panel_bytes(TAPS);
}

static void conv3_pack(const struct eng_conv3_f32_weights *w, void *dst)
{
    pack_panels(w->w, w->bias, w->n, TAPS, dst);
}

/* Pixels x .. x+SEEN-1 of image row y, zeros where there is no image. */
static void round_row(const struct eng_conv3_bf16_args *g, int y, int x, uint16_t ret[SEEN * 3])
{
    const float *in = g->in + ((ptrdiff_t)y * g->geo.in_w + x) * 3;
    int i = x < 0 ? -x * 3 : 0, to = (g->geo.in_w - x < SEEN ? g->geo.in_w - x : SEEN) * 3;

    memset(ret, 0, SEEN * 3 * sizeof(*ret));
    if (y < 0 || y >= g->geo.in_h)
        return;
    for (; i + 4 <= to; i += 4)
        vst1_u16(ret + i, vreinterpret_u16_bf16(vcvt_bf16_f32(vld1q_f32(in + i))));
    for (; i < to; i++)
        ret[i] = eng_bf16_from_f32(in[i]);
}

/* All channels of `mr` pixels at (y, x): their windows are laid out as channel blocks of taps. */
static void conv3_pixels(const struct eng_conv3_bf16_args *g, int y, int x, int mr)
{
    uint16_t seen[3][SEEN * 3], taps[TAP_BLOCKS][MMLA_MR][ENG_BLOCK];
    float32x4_t sums[MMLA_MR][MMLA_VECTORS];
    struct clamp c = {vdupq_n_f32(g->lo), vdupq_n_f32(g->hi)};
    struct mmla_tile t = {.a = (const uint8_t *)taps,
                          .a_bytes = sizeof(taps[0]),
                          .k_blocks = TAP_BLOCKS,
                          .sums = sums};

    for (int ky = 0; ky < 3; ky++)
        round_row(g, y * g->geo.stride - g->geo.top + ky, x * g->geo.stride - g->geo.left,
                  seen[ky]);
    for (int i = 0; i < mr; i++) {
        uint16_t window[TAP_BLOCKS * ENG_BLOCK] = {0};
        for (int ky = 0; ky < 3; ky++)
            memcpy(window + ky * 9, seen[ky] + i * g->geo.stride * 3, 9 * sizeof(*window));
        for (int b = 0; b < TAP_BLOCKS; b++)
            memcpy(taps[b][i], window + b * ENG_BLOCK, sizeof(taps[b][i]));
    }
    for (int b = 0; b < g->n_blocks; b++) {
        uint16_t *out = g->out + (size_t)b * g->out_stride + (size_t)(y - g->geo.y0) * g->out_row +
                        (size_t)x * ENG_BLOCK;
        set_panel(&t, (const char *)g->packed + (size_t)b * panel_bytes(TAPS));
        mmla_tiles[mr](&t);
        for (int i = 0; i < mr; i++)
            store_bf16(out + i * ENG_BLOCK, sums[i], &c);
    }
}

static void conv3_run(const struct eng_conv3_bf16_args *g)
{
    for (int y = g->geo.y0; y < g->geo.y1; y++)
        for (int x = 0, mr; x < g->geo.out_w; x += mr) {
            mr = mmla_rows(g->geo.out_w - x);
            conv3_pixels(g, y, x, mr);
        }
}

const struct eng_conv3_bf16_kernel eng_conv3_bf16_neonbf16 = {
    .name = "conv3_bf16_neonbf16",
    .cpu_bits = ENG_CPU_NEON | ENG_CPU_NEONBF16,
    .packed_bytes = conv3_packed_bytes,
    .pack = conv3_pack,
    .run = conv3_run,
};
