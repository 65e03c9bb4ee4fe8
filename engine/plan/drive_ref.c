/* Drivers that move or define: reference operators on NHWC tensors, and the conversions between
 * representations. */
#include <string.h>

#include "engine/base/bf16.h"
#include "engine/kernels/ref/ref.h"
#include "engine/plan/steps.h"

static void split_images(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    (void)s;
    (void)members;
    eng_cost_images(batch, ret);
}

static void run_ref(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_ref_params *p = c->step->params;
    for (int image = begin; image < end; image++) {
        const void *in[ENG_MAX_INPUTS];
        for (int i = 0; i < c->step->n_in; i++)
            in[i] = c->step->in[i] < 0 ? p->constants[i] : eng_value_at(c, c->step->in[i], image);
        eng_ref_run(&(struct eng_ref_call){.g = p->g,
                                           .n = p->node,
                                           .in = in,
                                           .out = eng_value_at(c, c->step->out, image),
                                           .scratch = eng_scratch(c, member)});
    }
}

static size_t scratch_ref(const struct eng_step *s, int max_batch)
{
    const struct eng_ref_params *p = s->params;
    (void)max_batch;
    return eng_ref_scratch(p->g, p->node);
}

const struct eng_driver eng_drive_ref = {
    .split = split_images,
    .scratch = scratch_ref,
    .phase = {run_ref},
};

static void flip_bytes(const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] ^ 0x80;
}

static void run_flip(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_layout_params *p = c->step->params;
    (void)member;
    for (int image = begin; image < end; image++)
        flip_bytes((uint8_t *)eng_value_at(c, c->step->in[0], image),
                   (uint8_t *)eng_value_at(c, c->step->out, image), p->elements);
}

const struct eng_driver eng_drive_flip = {
    .split = split_images,
    .phase = {run_flip},
};

/* ---- blocks <-> NHWC ---- */

/* `n` <= 16 channels of one pixel from one layout to the other, by element type. What is read is n
 * elements; what is written is n, or 16 if `whole`. */
static inline void move_bytes(const char *in, char *out, size_t n, int whole, uint64_t sign)
{
    uint64_t w[2] = {0, 0};
    memcpy(w, in, n);
    w[0] ^= sign;
    w[1] ^= sign;
    memcpy(out, w, whole ? sizeof(w) : n);
}

static inline void move_f32(const char *in, char *out, size_t n, int whole)
{
    memcpy(out, in, n * sizeof(float));
    if (whole)
        memset(out + n * sizeof(float), 0, (ENG_BLOCK - n) * sizeof(float));
}

static inline void narrow(const char *in, char *out, size_t n, int whole)
{
    float x[ENG_BLOCK] = {0};
    uint16_t y[ENG_BLOCK];
    memcpy(x, in, n * sizeof(*x));
    for (int i = 0; i < ENG_BLOCK; i++)
        y[i] = eng_bf16_from_f32(x[i]);
    memcpy(out, y, (whole ? ENG_BLOCK : n) * sizeof(*y));
}

static inline void widen(const char *in, char *out, size_t n, int whole)
{
    uint16_t x[ENG_BLOCK] = {0};
    float y[ENG_BLOCK];
    memcpy(x, in, n * sizeof(*x));
    for (int i = 0; i < ENG_BLOCK; i++)
        y[i] = eng_bf16_to_f32(x[i]);
    memcpy(out, y, (whole ? ENG_BLOCK : n) * sizeof(*y));
}

/* The pixels of one block: `in_step` and `out_step` bytes from one to the next. */
struct lanes {
    const char *in;
    char *out;
    size_t in_step, out_step, pixels, n;
    int whole;
};

static inline __attribute__((always_inline)) void
each_pixel(const struct eng_layout_params *p, const struct lanes *l, size_t n, int whole)
{
    const char *in = l->in;
    char *out = l->out;
    uint64_t sign = p->flip ? UINT64_C(0x8080808080808080) : 0;
    for (size_t i = 0; i < l->pixels; i++, in += l->in_step, out += l->out_step) {
        if (p->in == ENG_F32 && p->out == ENG_BF16)
            narrow(in, out, n, whole);
        else if (p->in == ENG_BF16)
            widen(in, out, n, whole);
        else if (p->in == ENG_F32)
            move_f32(in, out, n, whole);
        else
            move_bytes(in, out, n, whole, sign);
    }
}

/* Whole blocks with a length that the compiler knows. */
static void move_block(const struct eng_layout_params *p, const struct lanes *l)
{
    if (l->n == ENG_BLOCK)
        each_pixel(p, l, ENG_BLOCK, 1);
    else
        each_pixel(p, l, l->n, l->whole);
}

static void split_layout(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    const struct eng_layout_params *p = s->params;
    eng_cost_blocks(p->b.blocks, p->b.block_bytes, batch, members, ret);
}

/* Units of blocks; `blocked` is the value in C16, the other one is NHWC. */
static void run_layout(const struct eng_call *c, int begin, int end, int to_blocks)
{
    const struct eng_layout_params *p = c->step->params;
    size_t in_size = eng_type_size(p->in), out_size = eng_type_size(p->out);
    size_t stride = eng_value_of(c, to_blocks ? c->step->out : c->step->in[0])->stride;
    for (int u = begin; u < end; u++) {
        int image = u / c->split->block_groups, b0 = u % c->split->block_groups * c->split->blocks;
        const char *in = eng_value_at(c, c->step->in[0], image);
        char *out = eng_value_at(c, c->step->out, image);
        for (int b = b0; b < eng_min(b0 + c->split->blocks, p->b.blocks); b++) {
            size_t at = (size_t)b * ENG_BLOCK, left = (size_t)p->c - at,
                   blocked = (size_t)b * stride;
            struct lanes l = {.in = in + (to_blocks ? at * in_size : blocked),
                              .out = out + (to_blocks ? blocked : at * out_size),
                              .in_step = in_size * (to_blocks ? (size_t)p->c : ENG_BLOCK),
                              .out_step = out_size * (to_blocks ? ENG_BLOCK : (size_t)p->c),
                              .pixels = (size_t)p->b.pixels,
                              .n = left < ENG_BLOCK ? left : ENG_BLOCK,
                              .whole = to_blocks};
            move_block(p, &l);
        }
    }
}

static void run_to_c16(void *arg, int begin, int end, int member)
{
    (void)member;
    run_layout(arg, begin, end, 1);
}

const struct eng_driver eng_drive_to_c16 = {
    .split = split_layout,
    .phase = {run_to_c16},
};

static void run_to_nhwc(void *arg, int begin, int end, int member)
{
    (void)member;
    run_layout(arg, begin, end, 0);
}

const struct eng_driver eng_drive_to_nhwc = {
    .split = split_layout,
    .phase = {run_to_nhwc},
};
