/* Pointwise, fp32 by bf16 parts, plain C. Of each group of 32 inputs and each pair of parts, even
 * and odd inputs are summed apart, as TDPBF16PS does, and then added to what was there. */
#include "engine/kernels/f32_pack.h"
#include "engine/kernels/parts.h"

enum {
    GROUP = ENG_PART_GROUP * ENG_BLOCK,
    GROUP_WEIGHTS = ENG_PARTS * GROUP * ENG_BLOCK, /* [part][input][16 outputs] */
};

static int groups_of(int k)
{
    return (k + GROUP - 1) / GROUP;
}

static size_t panel_bytes(int k)
{
    return ENG_BLOCK * sizeof(float) + (size_t)groups_of(k) * GROUP_WEIGHTS * sizeof(uint16_t);
}

static void pack(const struct eng_pw_f32_weights *w, void *dst)
{
    size_t panel = panel_bytes(w->k);

    memset(dst, 0, panel * (size_t)(f32_round16(w->n) / ENG_BLOCK));
    for (int n = 0; n < w->n; n++) {
        char *block = (char *)dst + (size_t)(n / ENG_BLOCK) * panel;
        uint16_t *to = (uint16_t *)(void *)(block + ENG_BLOCK * sizeof(float)) + n % ENG_BLOCK;
        ((float *)(void *)block)[n % ENG_BLOCK] = w->bias ? w->bias[n] : 0.0f;
        for (int k = 0; k < w->k; k++) {
            uint16_t of[ENG_PARTS];
            parts_of(w->w[(size_t)n * (size_t)w->k + (size_t)k], of);
            for (int i = 0; i < ENG_PARTS; i++)
                to[k / GROUP * GROUP_WEIGHTS + (i * GROUP + k % GROUP) * ENG_BLOCK] = of[i];
        }
    }
}

static void parts(const float *first, const float *second, int pixels, uint16_t *to, size_t a_part)
{
    for (int p = 0; p < pixels; p++)
        for (int k = 0; k < GROUP; k++) {
            const float *from = k < ENG_BLOCK ? first : second;
            uint16_t of[ENG_PARTS] = {0};
            if (from)
                parts_of(from[p * ENG_BLOCK + k % ENG_BLOCK], of);
            for (int i = 0; i < ENG_PARTS; i++)
                to[(size_t)i * a_part + (size_t)(p * GROUP + k)] = of[i];
        }
}

/* Sums of a pixel += the products of a part of x with one of w. */
static void add_products(const uint16_t *x, const uint16_t *w, float sum[ENG_BLOCK])
{
    float half[2][ENG_BLOCK] = {{0}};

    for (int k = 0; k < GROUP; k++)
        for (int c = 0; c < ENG_BLOCK; c++)
            half[k % 2][c] += eng_bf16_to_f32(x[k]) * eng_bf16_to_f32(w[k * ENG_BLOCK + c]);
    for (int c = 0; c < ENG_BLOCK; c++)
        sum[c] += half[0][c] + half[1][c];
}

static void pixel(const struct eng_pw_f32x_args *g, int p, const char *panel, float *out)
{
    static const int product[PRODUCTS][2] = PRODUCTS_OF_PARTS;
    const uint16_t *w = (const uint16_t *)(const void *)(panel + ENG_BLOCK * sizeof(float));
    const uint16_t *x = g->a + (size_t)p * GROUP;
    float sum[ENG_BLOCK];

    memcpy(sum, panel, sizeof(sum));
    for (int i = groups_of(g->k_blocks * ENG_BLOCK); i > 0; i--) {
        for (int j = 0; j < PRODUCTS; j++)
            add_products(x + (size_t)product[j][0] * g->a_part,
                         w + product[j][1] * GROUP * ENG_BLOCK, sum);
        x += g->a_stride;
        w += GROUP_WEIGHTS;
    }
    for (int c = 0; c < ENG_BLOCK; c++) {
        float v = sum[c] > g->lo ? sum[c] : g->lo;
        out[c] = v < g->hi ? v : g->hi;
    }
}

static void run(const struct eng_pw_f32x_args *g)
{
    size_t panel = panel_bytes(g->k_blocks * ENG_BLOCK);

    for (int j = 0; j < g->n_panels; j++)
        for (int p = 0; p < g->pixels; p++)
            pixel(g, p, (const char *)g->panels + (size_t)j * panel,
                  g->out + (size_t)j * g->out_stride + (size_t)p * ENG_BLOCK);
}

const struct eng_pw_f32x_kernel eng_pw_f32x_c = {
    .name = "pw_f32x_c",
    .cpu_bits = 0,
    .mr = 1,
    .nr = ENG_BLOCK,
    .macs = 1,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .parts = parts,
    .run = run,
};
