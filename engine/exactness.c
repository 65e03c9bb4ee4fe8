/* See exactness.h. */
#include "engine/exactness.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/kernel.h"

enum { PRODUCTS = 512, SIDE = 32 /* pixels, and outputs */, GROUP = ENG_PART_GROUP * ENG_BLOCK };

struct operands {
    float x[PRODUCTS / ENG_BLOCK][SIDE][ENG_BLOCK], w[SIDE][PRODUCTS];
    float out[SIDE / ENG_BLOCK][SIDE][ENG_BLOCK];
    uint16_t a[PRODUCTS / GROUP][ENG_PARTS][SIDE][GROUP];
    char panels[]; /* 64-aligned, as all are */
};

/* 0 to 1. */
static float next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-24f;
}

static void fill(struct operands *o)
{
    uint32_t seed = 2463534242u;
    float *x = &o->x[0][0][0], *w = &o->w[0][0];
    for (int i = 0; i < SIDE * PRODUCTS; i++) {
        float v = next(&seed);
        x[i] = v < 1.0f / 3 ? 0 : 6 * next(&seed);
        w[i] = 2 * next(&seed) - 1;
    }
}

static void multiply(const struct eng_pw_f32x_kernel *k, struct operands *o)
{
    k->pack(&(struct eng_pw_f32_weights){.k = PRODUCTS, .n = SIDE, .w = &o->w[0][0]}, o->panels);
    for (int g = 0; g < PRODUCTS / GROUP; g++)
        k->parts(&o->x[2 * g][0][0], &o->x[2 * g + 1][0][0], SIDE, &o->a[g][0][0][0], SIDE * GROUP);
    k->run(&(struct eng_pw_f32x_args){.a = &o->a[0][0][0][0],
                                      .a_stride = (size_t)ENG_PARTS * SIDE * GROUP,
                                      .a_part = SIDE * GROUP,
                                      .pixels = SIDE,
                                      .k_blocks = PRODUCTS / ENG_BLOCK,
                                      .panels = o->panels,
                                      .n_panels = (SIDE + k->nr - 1) / k->nr,
                                      .n_blocks = SIDE / ENG_BLOCK,
                                      .out = &o->out[0][0][0],
                                      .out_stride = (size_t)SIDE * ENG_BLOCK,
                                      .lo = -INFINITY,
                                      .hi = INFINITY});
}

static void compare(const struct operands *o, struct eng_exactness *ret)
{
    for (int n = 0; n < SIDE; n++)
        for (int p = 0; p < SIDE; p++) {
            double exact = 0;
            float fma = 0;
            for (int k = 0; k < PRODUCTS; k++) {
                float x = o->x[k / ENG_BLOCK][p][k % ENG_BLOCK];
                exact += (double)x * (double)o->w[n][k];
                fma = fmaf(x, o->w[n][k], fma);
            }
            double got = (double)o->out[n / ENG_BLOCK][p][n % ENG_BLOCK];
            ret->fp32x = fmax(ret->fp32x, fabs(got - exact));
            ret->fma = fmax(ret->fma, fabs((double)fma - exact));
        }
}

int eng_exactness_measure(struct eng_exactness *ret, uint32_t cpu_bits)
{
    struct eng_kernels k;
    struct operands *o = NULL;
    eng_kernels_choose(&k, cpu_bits);
    size_t panels = k.pw_f32x->panel_bytes(PRODUCTS) * (SIDE / ENG_BLOCK);
    size_t bytes = (sizeof(*o) + panels + 2 * ENG_OVERREAD) / ENG_ALIGN * ENG_ALIGN;
    o = aligned_alloc(ENG_ALIGN, bytes);
    if (!o)
        return -ENOMEM;
    *ret = (struct eng_exactness){.products = PRODUCTS};
    fill(o);
    multiply(k.pw_f32x, o);
    compare(o, ret);
    free(o);
    return 0;
}
