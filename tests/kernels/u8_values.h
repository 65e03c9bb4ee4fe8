/* What the tests of u8 kernels are fed with: random values, and the worst there are. */
#ifndef TESTS_KERNELS_U8_VALUES_H
#define TESTS_KERNELS_U8_VALUES_H

#include <math.h>

#include "tests/kernels/kernel_test.h"

enum { OVER = ENG_OVERREAD };

/* ---- values ---- */

static void fill_u8(uint8_t *p, size_t n, int style)
{
    for (size_t i = 0; i < n; i++)
        p[i] = style == 0   ? (uint8_t)kt_rand()
               : style == 1 ? 255
               : style == 2 ? (kt_rand() & 1 ? 255 : 0)
               : style == 3 ? (uint8_t)kt_range(124, 132)
                            : 0;
}

static int draw_zero_point(void)
{
    static const int known[] = {0, 1, 127, 128, 129, 255};
    return kt_rand() & 1 ? known[kt_rand() % 6] : kt_range(0, 255);
}

/* From products that vanish, over halves that tie, to products past any int. */
static void fill_scale(float *s, int n, int taps)
{
    int style = kt_range(0, 5);
    for (int i = 0; i < n; i++)
        s[i] = style == 0   ? 0.5f
               : style == 1 ? 1e9f * kt_unit()
               : style == 2 ? 0x1p-9f
                            : kt_unit() * 0.02f / sqrtf((float)taps);
}

static void fill_bias(int32_t *b, int n)
{
    int wide = kt_rand() % 4 == 0;
    for (int i = 0; i < n; i++)
        b[i] = wide ? kt_range(-1000000000, 1000000000) : kt_range(-20000, 20000);
}

static struct eng_requant draw_requant(void)
{
    struct eng_requant rq = {.zero_point = draw_zero_point(), .lo = 0, .hi = 255};
    int style = kt_range(0, 3);
    if (style == 3)
        rq.zero_point = 0;
    if (style == 1)
        rq.lo = (uint8_t)rq.zero_point;
    if (style == 2) {
        rq.lo = (uint8_t)kt_range(0, 200);
        rq.hi = (uint8_t)kt_range(rq.lo, 255);
    }
    return rq;
}

static uint8_t expected(int64_t acc, float scale, const struct eng_requant *rq)
{
    volatile float product = (float)(int32_t)acc * scale;
    double y = nearbyint((double)product) + rq->zero_point;
    return (uint8_t)(y < rq->lo ? rq->lo : y > rq->hi ? rq->hi : y);
}

/* Canonical weights of any of the three convolutions: [n][taps], or [taps][n] for depthwise. */
struct weights {
    uint8_t *w;
    int32_t *zw, *bias;
    float *scale;
    int zx;
};

static struct weights draw_weights(int n, int taps)
{
    struct weights w = {.w = malloc((size_t)(n * taps)),
                        .zw = malloc((size_t)n * 4),
                        .bias = malloc((size_t)n * 4),
                        .scale = malloc((size_t)n * 4),
                        .zx = draw_zero_point()};
    assert_true(w.w && w.zw && w.bias && w.scale);
    int style = kt_range(0, 4), zw = draw_zero_point();
    fill_u8(w.w, (size_t)(n * taps), style == 1 ? 2 : style == 2 ? 1 : 0);
    for (int i = 0; i < n; i++)
        w.zw[i] = style >= 3 ? 128 : kt_rand() & 1 ? zw : draw_zero_point();
    if (style == 4)
        kt_spoil_some(w.w, n * taps, w.zw, n);
    fill_bias(w.bias, n);
    fill_scale(w.scale, n, taps);
    if (kt_rand() % 4 == 0) {
        free(w.bias);
        w.bias = NULL;
    }
    return w;
}

static void free_weights(struct weights *w)
{
    free(w->w);
    free(w->zw);
    free(w->bias);
    free(w->scale);
}

#endif
