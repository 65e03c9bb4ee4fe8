/* Pointwise and row sums, u8, plain C: the reference of the other rows, and what runs where no
 * other does. Weights are kept as w - zw in 16 bits, so no row sum is needed. */
#include <string.h>

#include "engine/kernels/requant.h"

enum { NR = 16 };

/* One panel: 16 output channels; k16 * NR weights follow. */
struct panel {
    int32_t bias[NR];
    float scale[NR];
    int16_t w[]; /* [k16][NR], w - zw; 0 in pad lanes */
};

static size_t panel_bytes(int k)
{
    size_t k16 = ((size_t)k + 15) / 16 * 16;
    return sizeof(struct panel) + k16 * NR * sizeof(int16_t);
}

static void pack_channel(const struct eng_pw_u8_weights *w, struct panel *p, int lane, int n)
{
    int32_t bias = w->bias ? w->bias[n] : 0;
    for (int k = 0; k < w->k; k++) {
        int v = w->w[(size_t)n * (size_t)w->k + (size_t)k] - w->zw;
        p->w[k * NR + lane] = (int16_t)v;
        bias = eng_add32(bias, -w->zx * v);
    }
    p->bias[lane] = bias;
    p->scale[lane] = w->scale[n];
}

static void pack(const struct eng_pw_u8_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    char *at = dst;
    for (int n0 = 0; n0 < w->n; n0 += NR, at += bytes) {
        struct panel *p = (struct panel *)(void *)at;
        memset(p, 0, bytes);
        for (int i = 0; i < NR && n0 + i < w->n; i++)
            pack_channel(w, p, i, n0 + i);
    }
}

static int needs_sum(const struct eng_pw_u8_weights *w)
{
    (void)w;
    return 0;
}

static void pixel(const struct eng_pw_u8_args *a, const struct panel *p, const uint8_t *in,
                  uint8_t *out)
{
    uint32_t acc[NR];
    for (int i = 0; i < NR; i++)
        acc[i] = (uint32_t)p->bias[i];
    const int16_t *w = p->w;
    for (int b = 0; b < a->k_blocks; b++, in += a->a_stride)
        for (int j = 0; j < ENG_BLOCK; j++, w += NR)
            for (int i = 0; i < NR; i++)
                acc[i] += (uint32_t)(in[j] * w[i]);
    for (int i = 0; i < NR; i++)
        out[i] = eng_requant((int32_t)acc[i], p->scale[i], &a->rq);
}

static void run(const struct eng_pw_u8_args *a)
{
    size_t bytes = panel_bytes(a->k_blocks * ENG_BLOCK);
    const char *at = a->panels;
    for (int n = 0; n < a->n_panels; n++, at += bytes) {
        const struct panel *p = (const struct panel *)(const void *)at;
        uint8_t *out = a->out + (size_t)n * a->out_stride;
        for (int i = 0; i < a->pixels; i++)
            pixel(a, p, a->a + (size_t)i * ENG_BLOCK, out + (size_t)i * ENG_BLOCK);
    }
}

const struct eng_pw_u8_kernel eng_pw_u8_c = {
    .name = "pw_u8_c",
    .mr = 1,
    .nr = NR,
    .together = 1,
    .macs = 1,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .needs_sum = needs_sum,
    .run = run,
};

static void sum_run(const uint8_t *a, size_t a_stride, int pixels, int k_blocks, int32_t *sum)
{
    for (int p = 0; p < pixels; p++) {
        const uint8_t *in = a + (size_t)p * ENG_BLOCK;
        int32_t s = 0;
        for (int b = 0; b < k_blocks; b++, in += a_stride)
            for (int i = 0; i < ENG_BLOCK; i++)
                s += in[i];
        sum[p] = s;
    }
}

const struct eng_sum_u8_kernel eng_sum_u8_c = {.name = "sum_u8_c", .run = sum_run};
