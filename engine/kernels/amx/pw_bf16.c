/* Pointwise, bf16, AMX: the blocks of block.inc by tdpbf16ps.
 *
 * A step is 32 inputs, two blocks of 16. Where the blocks are odd in number, steps are of 16
 * inputs, for what would stand in the place of the last block may be no number, and no weight makes
 * that 0. Sums of even and of odd inputs of a step are made apart, each in its order, and added to
 * what was there (Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS): one
 * order, whatever the pixels of a call. */
#include <string.h>

#include "engine/base/bf16.h"

#define TILE_DOT(c, a, b) TILE_DOT_BF16(c, a, b)
#include "engine/kernels/amx/block.inc"

enum { STEP_INPUTS = TILE_ROW / 2, HALF_STEP = STEP_INPUTS / 2 };

struct panel {
    float bias[NR];
    uint16_t w[]; /* [k32 / 32][NR / 16] tiles of [16][16 outputs][2 inputs] */
};

static int steps_of(int k)
{
    return (k + STEP_INPUTS - 1) / STEP_INPUTS;
}

static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + (size_t)steps_of(k) * (NR / 16) * TILE_BYTES;
}

static void pack(const struct eng_pw_f32_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    memset(dst, 0, bytes * (size_t)((w->n + NR - 1) / NR));
    for (int n = 0; n < w->n; n++) {
        struct panel *p = (struct panel *)(void *)((char *)dst + (size_t)(n / NR) * bytes);
        p->bias[n % NR] = w->bias ? w->bias[n] : 0.0f;
        for (int k = 0; k < w->k; k++) {
            size_t tile = (size_t)(k / STEP_INPUTS * (NR / 16) + n % NR / 16);
            size_t at = (size_t)(k % STEP_INPUTS / 2 * (TILE_ROW / 2) + n % 16 * 2 + k % 2);
            p->w[tile * (TILE_BYTES / 2) + at] =
                eng_bf16_from_f32(w->w[(size_t)n * (size_t)w->k + (size_t)k]);
        }
    }
}

/* ---- what follows the sums ---- */

/* A block whose sums are no outputs yet: quads next .. end-1. */
struct rest {
    const float *sums;
    char *out;
    int next, end;
};

/* Of all blocks of a call. */
struct finish {
    size_t out_stride, pixel; /* bytes */
    int pixels;               /* of a quad */
    int out_f32;
    floats lo, hi;
};

INLINE void finish_quad(const struct finish *f, const float *sums, char *out)
{
    floats v[QUAD];
#pragma GCC unroll 4
    for (int i = 0; i < QUAD; i++)
        v[i] = floats_clamp(floats_load(sums + i * 16), f->lo, f->hi);
    if (f->out_f32 || f->pixels < QUAD) {
        for (int i = 0; i < f->pixels; i++)
            if (f->out_f32)
                floats_store((float *)(void *)(out + (size_t)i * f->pixel), v[i]);
            else
                bf16_store_one((uint16_t *)(void *)(out + (size_t)i * f->pixel), v[i]);
        return;
    }
    bf16_store_two((uint16_t *)(void *)out, v[0], v[1]);
    bf16_store_two((uint16_t *)(void *)(out + 2 * f->pixel), v[2], v[3]);
}

INLINE void finish(struct rest *r, int quads, const struct place *places, const struct finish *f)
{
    int end = r->end - r->next < quads ? r->end : r->next + quads;
    for (; r->next < end; r->next++) {
        const struct place *at = places + r->next;
        char *out = r->out + (size_t)at->pixel * f->pixel;
        finish_quad(f, r->sums + at->sums, at->channel ? out + f->out_stride : out);
    }
}

/* ---- products ---- */

/* The next step: of 32 inputs, or every other one 16 further on. */
INLINE void advance(struct step *s, int half, int k, size_t a_stride)
{
    if (half && k % 2) {
        s->x += HALF_STEP * sizeof(uint16_t);
        s->w += TILE_BYTES / 2;
        return;
    }
    s->x += a_stride - (size_t)half * HALF_STEP * sizeof(uint16_t);
    s->w += (NR / 16) * TILE_BYTES - half * TILE_BYTES / 2;
}

static void run(const struct eng_pw_bf16_args *g)
{
    float sums[2][BLOCK_SUMS] __attribute__((aligned(64)));
    const size_t bytes = panel_bytes(g->k_blocks * ENG_BLOCK);
    const size_t a_stride = g->a_stride * sizeof(uint16_t);
    const size_t size = g->out_f32 ? sizeof(float) : sizeof(uint16_t);
    const int half = g->k_blocks % 2, steps = half ? g->k_blocks : g->k_blocks / 2;
    const struct cut cut = cut_pixels(g->pixels);
    const struct finish f = {.out_stride = g->out_stride * size,
                             .pixel = ENG_BLOCK * size,
                             .pixels = cut.pixels < QUAD ? cut.pixels : QUAD,
                             .out_f32 = g->out_f32,
                             .lo = floats_set1(g->lo),
                             .hi = floats_set1(g->hi)};
    struct rest rest = {0}, left = {0}; /* stored; yet to be */
    int which = 0;
    configure(cut.rows, half ? TILE_ROW / 2 : TILE_ROW);
    for (int n = 0; n < g->n_panels; n++) {
        const char *panel = (const char *)g->panels + (size_t)n * bytes;
        char *out = (char *)g->out + (size_t)(n * (NR / 16)) * f.out_stride;
        int blocks = g->n_blocks - n * (NR / 16) < NR / 16 ? 1 : NR / 16;
        const char *ahead = panel + bytes;
        int pairs = n + 1 < g->n_panels ? pairs_ahead(bytes, steps, g->pixels, &cut) : 0;
        for (int next = 0; next < g->pixels; next += cut.pixels) {
            int m = g->pixels - next < cut.pixels ? g->pixels - cut.pixels : next;
            int quads = (rest.end + steps - 1) / steps;
            struct step s = {.x = (const char *)g->a + (size_t)m * TILE_ROW,
                             .below = (size_t)cut.below * TILE_ROW,
                             .two = cut.two,
                             .w = panel + sizeof(struct panel)};
            first_step(&s, steps > 1 || next == 0, panel, left.end ? (char *)sums[which] : NULL,
                       &cut);
            finish(&rest, quads, cut.places, &f);
            for (int k = 1; k < steps; k++) {
                advance(&s, half, k, a_stride);
                ask_ahead(&ahead, pairs);
                step(&s);
                finish(&rest, quads, cut.places, &f);
            }
            rest = left;
            which ^= 1;
            left = (struct rest){
                .sums = sums[which], .out = out + (size_t)m * f.pixel, .end = blocks * cut.quads};
        }
    }
    finish(&rest, rest.end, cut.places, &f);
    store_sums((char *)sums[which], &cut);
    finish(&left, left.end, cut.places, &f);
    tiles_release();
}

const struct eng_pw_bf16_kernel eng_pw_bf16_amx = {
    .name = "pw_bf16_amx",
    .cpu_bits = ENG_CPU_AMXBF16,
    .mr = BLOCK_PIXELS,
    .nr = NR,
    .together = 2,
    .macs = 500,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .run = run,
};
