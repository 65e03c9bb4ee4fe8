/* What goes element after element in the file's own order, whatever the shape: reals to quanta and
 * back, tables; and concatenation along any axis. Equal to the reference operators in every bit. */
#include <string.h>

#include "engine/plan/maps.h"

/* Elements of a unit's piece: small enough for the first cache, large enough to be worth a call. */
enum { PIECE = 4096 };

int eng_flat_pieces(size_t elements)
{
    return (int)((elements + PIECE - 1) / PIECE);
}

static void to_quanta(const struct eng_flat_params *p, const float *in, uint8_t *out, size_t n)
{
    p->quant->run(&(struct eng_quant_f32_args){.in = in,
                                               .out = out,
                                               .n = n,
                                               .scale = p->scale,
                                               .zero_point = p->range.zero_point,
                                               .lo = p->range.lo,
                                               .hi = p->range.hi});
}

static void to_reals(const struct eng_flat_params *p, const uint8_t *in, float *out, size_t n)
{
    int32_t flip = p->is_signed ? 0x80 : 0;
    int32_t zero_point = p->range.zero_point + flip;
    float scale = p->scale;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((int32_t)(in[i] ^ flip) - zero_point) * scale;
}

static void by_table(const struct eng_flat_params *p, const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = p->table[in[i]];
}

static void run_flat(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_flat_params *p = c->step->params;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        if (p->by_door && c->run->pictures[c->image0 + image])
            continue;
        const char *in = eng_value_at(c, c->step->in[0], image);
        char *out = eng_value_at(c, c->step->out, image);
        size_t from = (size_t)b0 * PIECE, to = (size_t)b1 * PIECE;
        size_t n = (to < p->elements ? to : p->elements) - from;
        switch (p->kind) {
        case ENG_FLAT_TO_QUANTA:
            to_quanta(p, (const float *)(const void *)in + from, (uint8_t *)out + from, n);
            break;
        case ENG_FLAT_TO_REALS:
            to_reals(p, (const uint8_t *)in + from, (float *)(void *)out + from, n);
            break;
        case ENG_FLAT_TABLE:
            by_table(p, (const uint8_t *)in + from, (uint8_t *)out + from, n);
            break;
        case ENG_FLAT_FUNCTION:
            eng_map_activate(p->function, (const float *)(const void *)in + from,
                             (float *)(void *)out + from, (int)n);
            break;
        }
    }
}

const struct eng_driver eng_drive_flat = {
    .split = eng_split_blocks,
    .phase = {run_flat},
};

/* ---- concatenation ---- */

static void split_join(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    (void)s;
    (void)members;
    eng_cost_images(batch, ret);
}

static void join_part(const struct eng_join_params *p, const struct eng_join_part *part,
                      const char *in, char *out)
{
    for (size_t o = 0; o < p->outer; o++, in += part->bytes, out += p->row) {
        if (!part->table) {
            memcpy(out, in, part->bytes);
            continue;
        }
        for (size_t i = 0; i < part->bytes; i++)
            ((uint8_t *)out)[i] = part->table[(uint8_t)in[i]];
    }
}

static void run_join(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_join_params *p = c->step->params;
    (void)member;
    for (int image = begin; image < end; image++) {
        char *out = eng_value_at(c, c->step->out, image);
        for (int k = 0; k < c->step->n_in; k++) {
            join_part(p, &p->parts[k], eng_value_at(c, c->step->in[k], image), out);
            out += p->parts[k].bytes;
        }
    }
}

const struct eng_driver eng_drive_join = {
    .split = split_join,
    .phase = {run_join},
};
