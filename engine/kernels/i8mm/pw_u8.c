/* Pointwise, u8, on NEON with int8 matrix multiplies: usmmla takes activations as they are, twice
 * the products of a dot product an instruction. Weights are w - zw where all of them fit int8, else
 * w - 128, and (128 - zw) * sum[pixel] is added. */
#include <string.h>

#include "engine/kernels/neon/u8_128.h"
#include "engine/kernels/requant.h"

#define MMLA_V vec
#define MMLA_BYTES ENG_BLOCK

static inline vec mmla_load(const void *two)
{
    return vcombine_s32(vld1_s32(two), vld1_s32(two));
}

static inline __attribute__((always_inline)) void mmla_step(vec *acc, uint8x16_t x, uint8x16_t w)
{
    __asm__ volatile("usmmla %0.4s, %1.16b, %2.16b" : "+w"(*acc) : "w"(x), "w"(w));
}

static inline vec mmla_low(vec a, vec b)
{
    return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

static inline vec mmla_high(vec a, vec b)
{
    return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

#include "engine/kernels/mmla.inc"

enum { PIECE = 8 };

struct panel {
    int32_t bias[NR];
    float scale[NR];
    int32_t sum_factor; /* 128 - zw, or 0 where the weights are w - zw */
    int32_t unused[15];
    int8_t w[]; /* [k16 / 8][NR][8] */
};

static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + ((size_t)k + ENG_BLOCK - 1) / ENG_BLOCK * ENG_BLOCK * NR;
}

static int needs_sum(const struct eng_pw_u8_weights *w)
{
    for (size_t i = 0; i < (size_t)w->n * (size_t)w->k; i++)
        if (w->w[i] - w->zw < INT8_MIN || w->w[i] - w->zw > INT8_MAX)
            return 1;
    return 0;
}

/* Lanes of k past the last get the zero point, like any weight that counts for nothing. */
static void pack_channel(const struct eng_pw_u8_weights *w, int n, int centre, struct panel *p)
{
    const uint8_t *from = w->w + (size_t)n * (size_t)w->k;
    int k16 = (w->k + ENG_BLOCK - 1) / ENG_BLOCK * ENG_BLOCK, lane = n % NR;
    int32_t bias = w->bias ? w->bias[n] : 0;
    for (int k = 0; k < k16; k++) {
        int v = k < w->k ? from[k] : w->zw;
        p->w[(k / PIECE * NR + lane) * PIECE + k % PIECE] = (int8_t)(v - centre);
        bias = eng_add32(bias, -w->zx * (v - w->zw));
    }
    p->bias[lane] = bias;
    p->scale[lane] = w->scale[n];
}

static void pack(const struct eng_pw_u8_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    int centre = needs_sum(w) ? 128 : w->zw;
    memset(dst, 0, bytes * (size_t)((w->n + NR - 1) / NR));
    for (int n = 0; n < w->n; n++) {
        char *at = (char *)dst + (size_t)(n / NR) * bytes;
        struct panel *p = (struct panel *)(void *)at;
        p->sum_factor = centre - w->zw;
        pack_channel(w, n, centre, p);
    }
}

static void finish(vec sums[MMLA_VECTORS], const struct panel *p, const int32_t *sum,
                   const struct rq *q, uint8_t *out)
{
    for (int v = 0; v < MMLA_VECTORS && sum && p->sum_factor; v++)
        sums[v] = vaddq_s32(sums[v], vdupq_n_s32(eng_mul32(*sum, p->sum_factor)));
    rq_store(out, sums, p->scale, q);
}

static void run(const struct eng_pw_u8_args *g)
{
    size_t bytes = panel_bytes(g->k_blocks * ENG_BLOCK);
    struct rq q = rq_load(&g->rq);
    vec sums[MMLA_MR][MMLA_VECTORS];
    struct mmla_tile t = {.a_bytes = g->a_stride, .k_blocks = g->k_blocks, .sums = sums};

    for (int j = 0; j < g->n_panels; j++) {
        const char *at = (const char *)g->panels + (size_t)j * bytes;
        const struct panel *p = (const struct panel *)(const void *)at;
        uint8_t *out = g->out + (size_t)j * g->out_stride;
        t.w = (const uint8_t *)p->w;
        t.bias = p->bias;
        for (int pixel = 0, mr; pixel < g->pixels; pixel += mr) {
            mr = mmla_rows(g->pixels - pixel);
            t.a = g->a + (size_t)pixel * ENG_BLOCK;
            mmla_tiles[mr](&t);
            for (int i = 0; i < mr; i++)
                finish(sums[i], p, g->sum ? g->sum + pixel + i : NULL, &q,
                       out + (size_t)(pixel + i) * ENG_BLOCK);
        }
    }
}

const struct eng_pw_u8_kernel eng_pw_u8_i8mm = {
    .name = "pw_u8_i8mm",
    .cpu_bits = ENG_CPU_NEON | ENG_CPU_I8MM,
    .mr = MMLA_MR,
    .nr = NR,
    .together = 1,
    .macs = 64,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .needs_sum = needs_sum,
    .run = run,
};
