/* Resampling: weights and the resize modes. The kernels are tested under tests/kernels/. */
#include "engine/image/resize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

/* Weights are those of a filter: they sum to 1, and a flat picture stays flat. */
static void weights_sum_to_one(void **state)
{
    (void)state;
    for (int f = ENG_FILTER_BILINEAR; f <= ENG_FILTER_TF_BILINEAR; f++)
        for (int d = 1; d <= 8; d *= 2)
            for (uint32_t in = 1; in < 3000; in = in * 3 / 2 + 1)
                for (int flip = 0; flip < 2; flip++) {
                    struct eng_taps t = {0};
                    struct eng_span span = {0, in, 224, 0, 224, 0};
                    assert_int_equal(eng_taps_build(&t, &span, in, d, flip, (enum eng_filter)f), 0);
                    assert_true(t.hi <= (in + (uint32_t)d - 1) / (uint32_t)d);
                    for (int i = 0; i < t.count; i++) {
                        int32_t sum = 0;
                        for (int j = 0; j < t.stride; j++)
                            sum += t.coef[i * t.stride + j];
                        assert_in_range(sum, (1 << ENG_TAPS_BITS) - t.stride,
                                        (1 << ENG_TAPS_BITS) + t.stride);
                        assert_true(t.used[i] >= 1 && t.used[i] <= t.longest);
                    }
                    eng_taps_finish(&t);
                }
}

/* Flipping the stored order flips the source pixels that an output looks at, and nothing else. */
static void flip_mirrors(void **state)
{
    (void)state;
    struct eng_taps a = {0}, b = {0};
    struct eng_span span = {0, 375, 256, 16, 224, 0};
    assert_int_equal(eng_taps_build(&a, &span, 375, 1, 0, ENG_FILTER_BICUBIC), 0);
    assert_int_equal(eng_taps_build(&b, &span, 375, 1, 1, ENG_FILTER_BICUBIC), 0);
    for (int i = 0; i < 224; i++) {
        assert_int_equal(a.used[i], b.used[i]);
        assert_int_equal(a.first[i], 375 - b.first[i] - b.used[i]);
        for (int j = 0; j < a.used[i]; j++)
            assert_int_equal(a.coef[i * a.stride + j], b.coef[i * b.stride + b.used[i] - 1 - j]);
    }
    eng_taps_finish(&a);
    eng_taps_finish(&b);
}

static void short_side_geometry(void **state)
{
    (void)state;
    static const struct {
        uint32_t w, h;
        int size;
        uint64_t nw, nh, x, y;
    } cases[] = {
        {500, 375, 224, 341, 256, 58, 16},    {375, 500, 224, 256, 341, 16, 58},
        {320, 240, 96, 147, 110, 25, 7},      {1, 1, 224, 256, 256, 16, 16},
        {320, 1, 224, 81920, 256, 40848, 16}, {1, 65500, 128, 146, 9563000, 9, 4781436},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct eng_geometry g;
        struct eng_preprocess p = image_plain(cases[i].size);
        assert_int_equal(eng_geometry_plan(&g, cases[i].w, cases[i].h, &p), 0);
        assert_int_equal(g.x.full, cases[i].nw);
        assert_int_equal(g.y.full, cases[i].nh);
        assert_int_equal(g.x.first, cases[i].x);
        assert_int_equal(g.y.first, cases[i].y);
        assert_int_equal(g.x.count, cases[i].size);
        assert_int_equal(g.y.count, cases[i].size);
    }
}

static void other_geometries(void **state)
{
    (void)state;
    struct eng_geometry g;
    struct eng_preprocess p = image_plain(224);
    p.resize = ENG_RESIZE_CENTRAL_CROP;
    assert_int_equal(eng_geometry_plan(&g, 500, 375, &p), 0);
    assert_int_equal(g.x.in0, 31);
    assert_int_equal(g.x.in1, 469);
    assert_int_equal(g.y.in0, 23);
    assert_int_equal(g.y.in1, 352);
    p.resize = ENG_RESIZE_LETTERBOX;
    assert_int_equal(eng_geometry_plan(&g, 500, 375, &p), 0);
    assert_int_equal(g.x.count, 224);
    assert_int_equal(g.y.count, 168);
    assert_int_equal(g.y.place, 28);
    assert_int_equal(eng_geometry_plan(&g, 1, 60000, &p), 0);
    assert_int_equal(g.x.count, 1);
    assert_int_equal(g.x.place, 111);
    p.resize = ENG_RESIZE_SHORT_SIDE;
    p.width = 112;
    assert_int_equal(eng_geometry_plan(&g, 100, 100, &p), 0);
    assert_int_equal(g.y.full, 256);
    assert_int_equal(g.x.full, 256);
    p.width = 0;
    assert_true(eng_geometry_plan(&g, 100, 100, &p) < 0);
    p.width = 1 << 20;
    assert_true(eng_geometry_plan(&g, 100, 100, &p) < 0);
}

/* A point of the tensor on the picture. */
static void is_at(const struct eng_preprocess *p, uint32_t w, uint32_t h, const double want[4])
{
    struct eng_placement at;
    assert_int_equal(eng_image_place(&at, p, w, h), 0);
    const double got[4] = {at.x0, at.y0, at.x0 + p->width * at.dx, at.y0 + p->height * at.dy};
    for (int i = 0; i < 4; i++)
        if (fabs(got[i] - want[i]) > 1e-9)
            fail_msg("%d of %ux%u: %.12g and not %.12g", i, w, h, got[i], want[i]);
}

/* Corners of the tensor in pixels of the picture: what a box is turned back by. */
static void placement(void **state)
{
    (void)state;
    struct eng_preprocess p = image_plain(224);
    p.resize = ENG_RESIZE_SQUASH;
    is_at(&p, 500, 375, (const double[]){0, 0, 500, 375});
    p.resize = ENG_RESIZE_CENTRAL_CROP;
    is_at(&p, 500, 375, (const double[]){31, 23, 469, 352});
    p.resize = ENG_RESIZE_SHORT_SIDE; /* 341 x 256, of which 224 from 58 and 16 on */
    is_at(
        &p, 500, 375,
        (const double[]){58 * 500 / 341.0, 16 * 375 / 256.0, 282 * 500 / 341.0, 240 * 375 / 256.0});
    p.resize = ENG_RESIZE_LETTERBOX; /* 224 x 168, with 28 lines of filler above and below */
    is_at(&p, 500, 375, (const double[]){0, -28 * 375 / 168.0, 500, 196 * 375 / 168.0});
    is_at(&p, 375, 500, (const double[]){-28 * 375 / 168.0, 0, 196 * 375 / 168.0, 500});
    p.width = 448; /* a tensor that is no square */
    p.resize = ENG_RESIZE_SQUASH;
    is_at(&p, 10, 20, (const double[]){0, 0, 10, 20});
    struct eng_placement at;
    p.width = 0;
    assert_true(eng_image_place(&at, &p, 100, 100) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_sum_to_one),  cmocka_unit_test(flip_mirrors),
        cmocka_unit_test(short_side_geometry), cmocka_unit_test(other_geometries),
        cmocka_unit_test(placement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
