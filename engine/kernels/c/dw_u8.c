/* Depthwise 3x3 and global average pool, u8, plain C: the reference of the other rows. */
#include <string.h>

#include "engine/kernels/requant.h"

struct block {
    int32_t bias[ENG_BLOCK];
    float scale[ENG_BLOCK];
    int16_t w[9][ENG_BLOCK]; /* w - zw */
    int16_t unused[16];      /* to a multiple of 64 bytes */
};

static void pack(const struct eng_dw_u8_weights *w, void *dst)
{
    struct block *blocks = dst;
    int n = (w->channels + ENG_BLOCK - 1) / ENG_BLOCK;
    memset(blocks, 0, (size_t)n * sizeof(*blocks));
    for (int c = 0; c < w->channels; c++) {
        struct block *b = &blocks[c / ENG_BLOCK];
        int lane = c % ENG_BLOCK;
        int32_t bias = w->bias ? w->bias[c] : 0;
        for (int t = 0; t < 9; t++) {
            int v = w->w[(size_t)t * (size_t)w->channels + (size_t)c] - w->zw[c];
            b->w[t][lane] = (int16_t)v;
            bias = eng_add32(bias, -w->zx * v);
        }
        b->bias[lane] = bias;
        b->scale[lane] = w->scale[c];
    }
}

static void pixel(const struct eng_dw_u8_args *a, int y, int x, uint8_t *out)
{
    const struct block *b = a->block;
    uint32_t acc[ENG_BLOCK];
    for (int i = 0; i < ENG_BLOCK; i++)
        acc[i] = (uint32_t)b->bias[i];
    for (int t = 0; t < 9; t++) {
        int iy = y * a->geo.stride - a->geo.top + t / 3,
            ix = x * a->geo.stride - a->geo.left + t % 3;
        int inside = iy >= 0 && iy < a->geo.in_h && ix >= 0 && ix < a->geo.in_w;
        const uint8_t *in =
            inside ? a->in + (ptrdiff_t)iy * (ptrdiff_t)a->in_row + (ptrdiff_t)ix * 16 : NULL;
        for (int i = 0; i < ENG_BLOCK; i++)
            acc[i] += (uint32_t)((in ? in[i] : a->zx) * b->w[t][i]);
    }
    for (int i = 0; i < ENG_BLOCK; i++)
        out[i] = eng_requant((int32_t)acc[i], b->scale[i], &a->rq);
}

static void run(const struct eng_dw_u8_args *a)
{
    for (int y = a->geo.y0; y < a->geo.y1; y++)
        for (int x = 0; x < a->geo.out_w; x++)
            pixel(a, y, x,
                  a->out + (size_t)(y - a->geo.y0) * a->out_row + (size_t)x * a->out_pixel);
}

const struct eng_dw_u8_kernel eng_dw_u8_c = {
    .name = "dw_u8_c",
    .spreads = 1,
    .block_bytes = sizeof(struct block),
    .pixel_cycles = 250,
    .pack = pack,
    .run = run,
};

static void gap_run(const uint8_t *block, int pixels, int32_t sum[16])
{
    int32_t s[ENG_BLOCK] = {0};
    for (int p = 0; p < pixels; p++, block += ENG_BLOCK)
        for (int i = 0; i < ENG_BLOCK; i++)
            s[i] += block[i];
    memcpy(sum, s, sizeof(s));
}

const struct eng_gap_u8_kernel eng_gap_u8_c = {.name = "gap_u8_c", .run = gap_run};
