/* The class of every pixel: ARGMAX along the channels of a map of quanta, in blocks of channels.
 *
 * Sixteen pixels go at a time. Their bytes are turned, so that a vector holds one channel of all
 * sixteen; then a channel costs a comparison and two choices for all of them. Written with vectors
 * of the compiler: every instruction set that it builds for has these. */
#include <string.h>

#include "engine/plan/lower.h"
#include "engine/plan/maps.h"

enum { PIECE = 4096 }; /* pixels of a unit */

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline bytes16 zip_low(bytes16 a, bytes16 b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline bytes16 zip_high(bytes16 a, bytes16 b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

/* A perfect shuffle of sixteen vectors; unrolled, so that they stay in registers. */
static inline __attribute__((always_inline)) void shuffle(const bytes16 from[16], bytes16 to[16])
{
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        to[2 * i] = zip_low(from[i], from[i + 8]);
        to[2 * i + 1] = zip_high(from[i], from[i + 8]);
    }
}

/* Rows become columns: four perfect shuffles. */
static inline __attribute__((always_inline)) void turn(const bytes16 in[16], bytes16 out[16])
{
    bytes16 a[16], b[16];
    shuffle(in, a);
    shuffle(a, b);
    shuffle(b, a);
    shuffle(a, out);
}

/* The best channel of n <= 16 pixels, whose first block is at `in`. */
static void best_of(const struct eng_argmax_params *p, const uint8_t *in, size_t stride, int n,
                    uint8_t ret[16])
{
    bytes16 best = {0}, which = {0};
    for (int first = 0; first < p->channels; first += ENG_BLOCK, in += stride) {
        bytes16 rows[16] = {{0}}, channel[16];
        int lanes = eng_min(p->channels - first, ENG_BLOCK);
        if (n == 16)
            memcpy(rows, in, sizeof(rows));
        else
            memcpy(rows, in, (size_t)n * ENG_BLOCK);
        turn(rows, channel);
        for (int k = 0; k < lanes; k++) {
            bytes16 v = channel[k] ^ p->flip;
            bytes16 better = (bytes16)(v > best);
            best = (v & better) | (best & ~better);
            which = ((uint8_t)(first + k) & better) | (which & ~better);
        }
    }
    memcpy(ret, &which, sizeof(which));
}

static void run_argmax(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_argmax_params *p = c->step->params;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        const uint8_t *in = (const uint8_t *)eng_block_at(c, c->step->in[0], image, 0);
        char *out = eng_value_at(c, c->step->out, image);
        int last = eng_min(b1 * PIECE, p->pixels);
        for (int at = b0 * PIECE; at < last; at += 16) {
            uint8_t which[16];
            int n = eng_min(last - at, 16);
            best_of(p, in + (size_t)at * ENG_BLOCK, p->stride, n, which);
            for (int i = 0; i < n; i++)
                if (p->is_wide)
                    ((int64_t *)(void *)out)[at + i] = which[i];
                else
                    ((int32_t *)(void *)out)[at + i] = which[i];
        }
    }
}

static const struct eng_driver drive_argmax = {
    .split = eng_split_blocks,
    .phase = {run_argmax},
};

int eng_lower_argmax(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    int h, w, c;
    if (n->op != ENG_OP_ARGMAX || x->data || !eng_is_quantised(x) || n->axis != x->rank - 1 ||
        !eng_lower_geometry(x, &h, &w, &c) || c > 256 || h * w < 16 ||
        l->p->rep[n->in[0]][ENG_REP_C16] < 0)
        return 0;
    struct eng_argmax_params *p = eng_lower_alloc(l, sizeof(*p));
    int in = p ? eng_lower_need(l, n->in[0], ENG_REP_C16) : eng_lower_no_memory(l);
    if (in < 0)
        return in;
    p->pixels = h * w;
    p->channels = c;
    p->stride = l->p->values[in].stride;
    p->flip = n->least ? 0xff : 0;
    p->is_wide = y->type == ENG_I64;
    p->b.blocks = (p->pixels + PIECE - 1) / PIECE;
    p->b.pixels = PIECE;
    p->b.block_bytes = (size_t)PIECE * (size_t)eng_round_up((size_t)c, ENG_BLOCK);
    struct eng_step s = {.driver = &drive_argmax, .node = i, .node2 = -1, .mid = -1};
    s.params = p;
    s.kernel = "argmax_u8";
    s.out = eng_lower_make(l, n->out, ENG_REP_FILE);
    int rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : 1;
}
