/* Pixels to tensor values, every value of every channel, against the formula of the contract. */
#include "engine/image.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SIDE = 17, PIXELS = SIDE * SIDE };

static void make_pixels(uint8_t *rgb)
{
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)(i + 85 * c);
}

static void check(struct eng_preprocess p)
{
    uint8_t rgb[PIXELS * 3];
    float out[PIXELS * 3];
    p.width = p.height = SIDE;
    make_pixels(rgb);
    eng_preprocess_pixels(&p, rgb, out);
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < 3; c++) {
            float v = ((float)rgb[3 * i + (p.bgr ? 2 - c : c)] - p.mean[c]) * p.scale[c];
            double q = rint((double)v / (double)p.q_scale) + p.q_zero_point;
            int at = 3 * i + c;
            if (p.type == ENG_F32)
                assert_memory_equal(&out[at], &v, sizeof(v));
            else if (p.type == ENG_U8)
                assert_int_equal(((uint8_t *)out)[at], q < 0 ? 0 : q > 255 ? 255 : (int)q);
            else
                assert_int_equal(((int8_t *)out)[at], q < -128 ? -128 : q > 127 ? 127 : (int)q);
        }
}

static void every_kind(void **state)
{
    (void)state;
    static const enum eng_type types[] = {ENG_F32, ENG_U8, ENG_I8};
    for (int t = 0; t < 3; t++)
        for (int bgr = 0; bgr < 2; bgr++) {
            struct eng_preprocess p = {.type = types[t], .bgr = bgr, .q_scale = 1};
            p.scale[0] = p.scale[1] = p.scale[2] = 1;
            check(p); /* u8: the pixel */
            p.q_zero_point = -128;
            check(p); /* i8: the pixel - 128 */
            p = (struct eng_preprocess){.type = types[t],
                                        .bgr = bgr,
                                        .mean = {123.675f, 116.28f, 103.53f},
                                        .scale = {0.0171f, 0.0175f, 0.0174f},
                                        .q_scale = 0.0186f,
                                        .q_zero_point = t == 1 ? 114 : -14};
            check(p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
