/* First convolution, bf16, AMX: the 27 values under a pixel, rounded and laid out as one row of an
 * A-tile, make it a pointwise of 32 inputs. AVX512-BF16's own is slower than FMAs on the processors
 * that have tiles. */
#include "engine/kernels/amx/ops.h"

enum { TAPS = 27, ROW_TAPS = 9, LANES = TILE_ROW / 2, PANEL_PIXELS = 448 /* 28 KB */ };

static size_t packed_bytes(int n)
{
    int nr = eng_pw_bf16_amx.nr;
    return (size_t)((n + nr - 1) / nr) * eng_pw_bf16_amx.panel_bytes(TAPS);
}

static void pack(const struct eng_conv3_f32_weights *w, void *dst)
{
    eng_pw_bf16_amx.pack(
        &(struct eng_pw_f32_weights){.k = TAPS, .n = w->n, .w = w->w, .bias = w->bias}, dst);
}

/* Which of the nine floats from column ix on are of the image. */
static uint32_t inside(const struct eng_conv3_bf16_args *g, int ix)
{
    uint32_t bits = 0;
    for (int kx = 0; kx < 3; kx++)
        if (ix + kx >= 0 && ix + kx < g->geo.in_w)
            bits |= 7u << 3 * kx;
    return bits;
}

/* Output pixels x .. x1-1 of row y. A row of the window is stored as 16 lanes, the rest of which
 * the next row overwrites, or leaves 0; behind the last pixel are two lanes more. */
static void lay_out(const struct eng_conv3_bf16_args *g, int y, int x, int x1, uint16_t *to)
{
    int iy = y * g->geo.stride - g->geo.top;
    for (; x < x1; x++, to += LANES) {
        int ix = x * g->geo.stride - g->geo.left;
        uint32_t bits = ix >= 0 && ix + 3 <= g->geo.in_w ? 0x1ff : inside(g, ix);
        const float *in = g->in + ((ptrdiff_t)iy * g->geo.in_w + ix) * 3;
        for (int ky = 0; ky < 3; ky++, in += (ptrdiff_t)g->geo.in_w * 3)
            bf16_put(to + ky * ROW_TAPS, in, iy + ky >= 0 && iy + ky < g->geo.in_h ? bits : 0);
    }
}

/* Outputs x .. x1-1 of rows y .. y1-1, which are next to each other. */
static void run_part(const struct eng_conv3_bf16_args *g, int y, int y1, int x, int x1)
{
    uint16_t panel[PANEL_PIXELS * LANES + LANES] __attribute__((aligned(64)));
    int wide = x1 - x, nr = eng_pw_bf16_amx.nr, blocks = nr / ENG_BLOCK;
    for (int row = y; row < y1; row++)
        lay_out(g, row, x, x1, panel + (size_t)(row - y) * (size_t)wide * LANES);
    uint16_t *out = g->out + (size_t)(y - g->geo.y0) * g->out_row + (size_t)x * ENG_BLOCK;
    eng_pw_bf16_amx.run(&(struct eng_pw_bf16_args){.a = panel,
                                                   .a_stride = PANEL_PIXELS * LANES,
                                                   .pixels = (y1 - y) * wide,
                                                   .k_blocks = LANES / ENG_BLOCK,
                                                   .panels = g->packed,
                                                   .n_panels = (g->n_blocks + blocks - 1) / blocks,
                                                   .n_blocks = g->n_blocks,
                                                   .out = out,
                                                   .out_stride = g->out_stride,
                                                   .lo = g->lo,
                                                   .hi = g->hi});
}

static void run(const struct eng_conv3_bf16_args *g)
{
    int together = g->out_row == (size_t)g->geo.out_w * ENG_BLOCK ? PANEL_PIXELS / g->geo.out_w : 1;
    together = together < 1 ? 1 : together;
    for (int y = g->geo.y0; y < g->geo.y1; y += together)
        for (int x = 0; x < g->geo.out_w; x += PANEL_PIXELS)
            run_part(g, y, g->geo.y1 - y < together ? g->geo.y1 : y + together, x,
                     g->geo.out_w - x < PANEL_PIXELS ? g->geo.out_w : x + PANEL_PIXELS);
}

const struct eng_conv3_bf16_kernel eng_conv3_bf16_amx = {
    .name = "conv3_bf16_amx",
    .cpu_bits = ENG_CPU_AMXBF16,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};
