/* Priors, anchors, suppression and runs, on cases worked out by hand and on hostile numbers. */
#include "engine/postprocess.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void priors(void **state)
{
    static const struct eng_prior_map maps[2] = {{2, 1, 1, {16}}, {1, 1, 2, {64, 500}}};
    static const float want[4][4] = {{0.25f, 0.5f, 0.25f, 0.5f},
                                     {0.75f, 0.5f, 0.25f, 0.5f},
                                     {0.5f, 0.5f, 1, 1},
                                     {0.5f, 0.5f, 1, 1}};
    float have[4][4];
    (void)state;
    assert_int_equal(eng_prior_count(maps, 2), 4);
    eng_priors(maps, 2, 64, 32, have);
    assert_memory_equal(have, want, sizeof(want));
    static const struct eng_prior_map wrong[] = {{0, 1, 1, {1}},
                                                 {1, -1, 1, {1}},
                                                 {1, 1, 5, {1}},
                                                 {1 << 20, 1 << 20, 1, {1}},
                                                 {1025, 1024, 1, {1}}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(eng_prior_count(&wrong[i], 1), -1);
}

static void locations(void **state)
{
    static const float prior[1][4] = {{0.5f, 0.5f, 0.25f, 0.5f}}, raw[1][4] = {{10, -10, 0, 0}};
    static const float want[4] = {0.625f, -0.25f, 0.875f, 0.25f};
    float have[1][4];
    (void)state;
    eng_prior_boxes(raw, prior, 1, have);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(have[0][i] - want[i]) < 1e-6f);
}

static void anchors(void **state)
{
    static float a[ENG_BLAZE_ANCHORS][2];
    float values[ENG_BLAZE_VALUES] = {64, 0, 32, 64, 128}, box[4], points[ENG_BLAZE_POINTS][2];
    (void)state;
    eng_blaze_anchors(a);
    assert_true(a[0][0] == 0.5f / 16 && a[1][0] == a[0][0] && a[2][0] == 1.5f / 16);
    assert_true(a[512][1] == 0.5f / 8 && a[895][0] == 7.5f / 8 && a[895][1] == 7.5f / 8);
    eng_blaze_decode(values, (float[2]){0.25f, 0.5f}, box, points);
    static const float want[4] = {0.625f, 0.25f, 0.875f, 0.75f};
    assert_memory_equal(box, want, sizeof(want));
    assert_true(points[0][0] == 1.25f && points[5][1] == 0.5f);
    assert_true(eng_blaze_score(0) == 0.5f && eng_blaze_score(1e30f) == 1);
    assert_true(eng_blaze_score(NAN) == 0 && eng_blaze_score(-INFINITY) == 0);
}

static void suppression(void **state)
{
    static const float boxes[5][4] = {
        {0, 0, 1, 1}, {0, 0, 1, 0.9f}, {2, 0, 3, 1}, {NAN, 0, 1, 1}, {0, 0, 0, 0}};
    static const float scores[5] = {0.8f, 0.9f, 0.9f, NAN, 0.7f};
    struct eng_keep_options o = {
        .score_threshold = 0.5f, .iou_threshold = 0.5f, .candidates = 5, .most = 5};
    int kept[5];
    char scratch[64];
    (void)state;
    assert_true(eng_keep_scratch(5) <= sizeof(scratch));
    assert_int_equal(eng_keep(&o, boxes, scores, 5, scratch, kept), 3);
    assert_true(kept[0] == 1 && kept[1] == 2 && kept[2] == 4);
    o.iou_threshold = 0.9f; /* exactly the overlap of the first two, but for the padding */
    assert_int_equal(eng_keep(&o, boxes, scores, 5, scratch, kept), 4);
    o.iou_threshold = 0.5f;
    o.padding = 1e-5f;
    assert_int_equal(eng_keep(&o, boxes, scores, 5, scratch, kept), 3);
    o.candidates = 1;
    assert_int_equal(eng_keep(&o, boxes, scores, 5, scratch, kept), 1);
    o.candidates = 5;
    o.most = 2;
    assert_int_equal(eng_keep(&o, boxes, scores, 5, scratch, kept), 2);
    assert_int_equal(eng_keep(&o, boxes, scores, 0, scratch, kept), 0);
}

static void labels(void **state)
{
    static const float logits[4 * 3] = {0, 2, 2, NAN, 1, 0, 1, 0, 0, -1, -2, -0.5f};
    static const uint8_t want[4] = {1, 0, 0, 2};
    static const uint32_t runs[6] = {1, 1, 0, 2, 2, 1};
    uint8_t have[4];
    uint32_t made[6] = {0};
    (void)state;
    eng_label_map(logits, 4, 3, have);
    assert_memory_equal(have, want, sizeof(want));
    assert_int_equal(eng_label_runs(have, 4, made, 6), 6);
    assert_memory_equal(made, runs, sizeof(runs));
    memset(made, 0, sizeof(made));
    assert_int_equal(eng_label_runs(have, 4, made, 3), 6);
    assert_true(made[1] == 1 && made[2] == 0 && made[3] == 0);
    assert_int_equal(eng_label_runs(have, 0, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priors),      cmocka_unit_test(locations), cmocka_unit_test(anchors),
        cmocka_unit_test(suppression), cmocka_unit_test(labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
