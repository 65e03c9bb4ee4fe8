/* Pointwise, fp32 by bf16 parts, AMX: the blocks of block.inc, a step six products of 32 inputs. Of
 * two products that follow each other one operand stays in its tiles, so that a step loads 14 tiles
 * for 24 products. Sums of even and of odd inputs of a product are made apart, each in its order,
 * and added to what was there (Intel 64 and IA-32 Architectures Software Developer's Manual,
 * TDPBF16PS): one order, whatever the pixels of a call. */
#include <string.h>

#define TILE_DOT(c, a, b) TILE_DOT_BF16(c, a, b)
#include "engine/kernels/amx/block.inc"
#include "engine/kernels/parts.h"

enum {
    STEP_INPUTS = TILE_ROW / 2,
    PART_BYTES = NR / 16 * TILE_BYTES,
    STEP_BYTES = ENG_PARTS * PART_BYTES,
};

struct panel {
    float bias[NR];
    uint16_t
        w[]; /* [k32 / 32][low, middle, high part][NR / 16] tiles of [16][16 outputs][2 inputs] */
};

static int steps_of(int k)
{
    return (k + STEP_INPUTS - 1) / STEP_INPUTS;
}

static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + (size_t)steps_of(k) * STEP_BYTES;
}

static void pack(const struct eng_pw_f32_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    memset(dst, 0, bytes * (size_t)((w->n + NR - 1) / NR));
    for (int n = 0; n < w->n; n++) {
        struct panel *p = (struct panel *)(void *)((char *)dst + (size_t)(n / NR) * bytes);
        p->bias[n % NR] = w->bias ? w->bias[n] : 0.0f;
        for (int k = 0; k < w->k; k++) {
            size_t at = (size_t)(k % STEP_INPUTS / 2 * (TILE_ROW / 2) + n % 16 * 2 + k % 2) +
                        (size_t)(n % NR / 16) * (TILE_BYTES / 2) +
                        (size_t)(k / STEP_INPUTS) * (STEP_BYTES / 2);
            uint16_t of[ENG_PARTS];
            parts_of(w->w[(size_t)n * (size_t)w->k + (size_t)k], of);
            for (int i = 0; i < ENG_PARTS; i++)
                p->w[at + (size_t)(ENG_PARTS - 1 - i) * (PART_BYTES / 2)] = of[i];
        }
    }
}

static void parts(const float *first, const float *second, int pixels, uint16_t *to, size_t a_part)
{
    for (int p = 0; p < pixels; p++, to += STEP_INPUTS) {
        floats a = floats_load(first + p * ENG_BLOCK);
        floats b = second ? floats_load(second + p * ENG_BLOCK) : floats_set1(0);
        for (int i = 0; i < ENG_PARTS; i++) {
            floats high_a = floats_part(a), high_b = floats_part(b);
            parts_store(to + (size_t)i * a_part, high_a, high_b);
            a = floats_sub(a, high_a);
            b = floats_sub(b, high_b);
        }
    }
}

/* ---- what follows the sums ---- */

/* A block whose sums are no outputs yet: quads next .. end-1. */
struct rest {
    const float *sums;
    float *out;
    int next, end;
};

/* Of all blocks of a call. */
struct finish {
    size_t out_stride;
    int pixels; /* of a quad */
    floats lo, hi;
};

INLINE void finish(struct rest *r, int quads, const struct place *places, const struct finish *f)
{
    int end = r->end - r->next < quads ? r->end : r->next + quads;
    for (; r->next < end; r->next++) {
        const struct place *at = places + r->next;
        const float *sums = r->sums + at->sums;
        float *out = r->out + at->pixel * ENG_BLOCK + (at->channel ? f->out_stride : 0);
        for (int i = 0; i < f->pixels; i++)
            floats_store(out + i * ENG_BLOCK,
                         floats_clamp(floats_load(sums + i * ENG_BLOCK), f->lo, f->hi));
    }
}

/* ---- products ---- */

INLINE void new_weights(const struct step *s)
{
    TILE_LOAD(6, s->w, TILE_ROW);
    TILE_DOT(0, 4, 6);
    if (s->two)
        TILE_DOT(2, 5, 6);
    TILE_LOAD(7, s->w + TILE_BYTES, TILE_ROW);
    TILE_DOT(1, 4, 7);
    if (s->two)
        TILE_DOT(3, 5, 7);
}

INLINE void new_pixels(const struct step *s)
{
    TILE_LOAD(4, s->x, TILE_ROW);
    TILE_DOT(1, 4, 7);
    if (s->two) {
        TILE_LOAD(5, s->x + s->below, TILE_ROW);
        TILE_DOT(3, 5, 7);
        TILE_DOT(2, 5, 6);
    }
    TILE_DOT(0, 4, 6);
}

static void run(const struct eng_pw_f32x_args *g)
{
    float sums[2][BLOCK_SUMS] __attribute__((aligned(64)));
    const size_t bytes = panel_bytes(g->k_blocks * ENG_BLOCK);
    const size_t group = g->a_stride * sizeof(uint16_t), part = g->a_part * sizeof(uint16_t);
    const int steps = steps_of(g->k_blocks * ENG_BLOCK);
    const struct cut cut = cut_pixels(g->pixels);
    const struct finish f = {.out_stride = g->out_stride,
                             .pixels = cut.pixels < QUAD ? cut.pixels : QUAD,
                             .lo = floats_set1(g->lo),
                             .hi = floats_set1(g->hi)};
    struct rest rest = {0}, left = {0}; /* stored; yet to be */
    int which = 0;
    configure(cut.rows, TILE_ROW);
    for (int n = 0; n < g->n_panels; n++) {
        const char *panel = (const char *)g->panels + (size_t)n * bytes;
        float *out = g->out + (size_t)(n * (NR / 16)) * g->out_stride;
        int blocks = g->n_blocks - n * (NR / 16) < NR / 16 ? 1 : NR / 16;
        const char *ahead = panel + bytes;
        int pairs =
            n + 1 < g->n_panels ? pairs_ahead(bytes, (PRODUCTS - 1) * steps, g->pixels, &cut) : 0;
        for (int next = 0; next < g->pixels; next += cut.pixels) {
            int m = g->pixels - next < cut.pixels ? g->pixels - cut.pixels : next;
            int quads = (rest.end + PRODUCTS * steps - 1) / (PRODUCTS * steps);
            const char *x = (const char *)g->a + (size_t)m * TILE_ROW;
            struct step s = {.x = x,
                             .below = (size_t)cut.below * TILE_ROW,
                             .two = cut.two,
                             .w = panel + sizeof(struct panel)};
            for (int k = 0; k < steps; k++, x += group, s.w += PART_BYTES) {
                s.x = x; /* in the order of PRODUCTS_OF_PARTS */
                if (k == 0)
                    first_step(&s, 1, panel, left.end ? (char *)sums[which] : NULL, &cut);
                else
                    step(&s);
                ask_ahead(&ahead, pairs);
                finish(&rest, quads, cut.places, &f);
                s.w += PART_BYTES;
                new_weights(&s);
                ask_ahead(&ahead, pairs);
                finish(&rest, quads, cut.places, &f);
                s.x = x + part;
                new_pixels(&s);
                ask_ahead(&ahead, pairs);
                finish(&rest, quads, cut.places, &f);
                s.w += PART_BYTES;
                new_weights(&s);
                ask_ahead(&ahead, pairs);
                finish(&rest, quads, cut.places, &f);
                s.x = x + 2 * part;
                new_pixels(&s);
                ask_ahead(&ahead, pairs);
                finish(&rest, quads, cut.places, &f);
                s.x = x;
                new_pixels(&s);
                finish(&rest, quads, cut.places, &f);
            }
            rest = left;
            which ^= 1;
            left = (struct rest){
                .sums = sums[which], .out = out + (size_t)m * ENG_BLOCK, .end = blocks * cut.quads};
        }
    }
    finish(&rest, rest.end, cut.places, &f);
    store_sums((char *)sums[which], &cut);
    finish(&left, left.end, cut.places, &f);
    tiles_release();
}

const struct eng_pw_f32x_kernel eng_pw_f32x_amx = {
    .name = "pw_f32x_amx",
    .cpu_bits = ENG_CPU_AMXBF16,
    .mr = BLOCK_PIXELS,
    .nr = NR,
    .macs = 80,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .parts = parts,
    .run = run,
};
