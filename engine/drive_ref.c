/* Drivers that move or define: reference operators on NHWC tensors, and the conversions between
 * representations. */
#include "engine/steps.h"

#include <string.h>

#include "engine/kernels/ref/ref.h"

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
    (void)member;
    for (int image = begin; image < end; image++) {
        const void *in[ENG_MAX_INPUTS];
        for (int i = 0; i < c->step->n_in; i++)
            in[i] = c->step->in[i] < 0 ? p->constants[i] : eng_value_at(c, c->step->in[i], image);
        eng_ref_run(&(struct eng_ref_call){
            .g = p->g, .n = p->node, .in = in, .out = eng_value_at(c, c->step->out, image)});
    }
}

const struct eng_driver eng_drive_ref = {
    .name = "ref",
    .split = split_images,
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
    .name = "flip",
    .split = split_images,
    .phase = {run_flip},
};

/* `n` bytes of one pixel's channels, sign turned if asked. */
static inline void move_lanes(const char *in, char *out, size_t n, int flip)
{
    memcpy(out, in, n);
    if (flip)
        for (size_t i = 0; i < n; i++)
            out[i] = (char)((uint8_t)out[i] ^ 0x80);
}

static void run_to_c16(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_layout_params *p = c->step->params;
    const struct eng_value *v = eng_value_of(c, c->step->out);
    size_t pixels = (size_t)p->h * (size_t)p->w, row = (size_t)p->c * p->element_size;
    size_t lane = ENG_BLOCK * p->element_size;
    (void)member;
    for (int image = begin; image < end; image++) {
        const char *in = eng_value_at(c, c->step->in[0], image);
        char *out = eng_value_at(c, c->step->out, image);
        for (int b = 0; b < v->blocks; b++) {
            size_t left = row - (size_t)b * lane, n = left < lane ? left : lane;
            for (size_t i = 0; i < pixels; i++) {
                char *to = out + (size_t)b * v->stride + i * lane;
                move_lanes(in + i * row + (size_t)b * lane, to, n, p->flip);
                memset(to + n, 0, lane - n);
            }
        }
    }
}

const struct eng_driver eng_drive_to_c16 = {
    .name = "to_c16",
    .split = split_images,
    .phase = {run_to_c16},
};

static void run_to_nhwc(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_layout_params *p = c->step->params;
    const struct eng_value *v = eng_value_of(c, c->step->in[0]);
    size_t pixels = (size_t)p->h * (size_t)p->w, row = (size_t)p->c * p->element_size;
    size_t lane = ENG_BLOCK * p->element_size;
    (void)member;
    for (int image = begin; image < end; image++) {
        const char *in = eng_value_at(c, c->step->in[0], image);
        char *out = eng_value_at(c, c->step->out, image);
        for (int b = 0; b < v->blocks; b++) {
            size_t left = row - (size_t)b * lane, n = left < lane ? left : lane;
            for (size_t i = 0; i < pixels; i++)
                move_lanes(in + (size_t)b * v->stride + i * lane, out + i * row + (size_t)b * lane,
                           n, p->flip);
        }
    }
}

const struct eng_driver eng_drive_to_nhwc = {
    .name = "to_nhwc",
    .split = split_images,
    .phase = {run_to_nhwc},
};
