/* SSD detections on heads worked out by hand, and on hostile ones. */
#include "engine/postprocess.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BOXES = 4, COLUMNS = 3, MOST = 8 };

static const struct eng_detect_options usual = {.y_scale = 10,
                                                .x_scale = 10,
                                                .h_scale = 5,
                                                .w_scale = 5,
                                                .classes = 2,
                                                .max_detections = 4,
                                                .classes_per_detection = 1,
                                                .detections_per_class = 4,
                                                .score_threshold = 0.25f,
                                                .iou_threshold = 0.5f};

/* Boxes 0 and 1 are nearly the same, 2 and 3 stand apart. */
static const float encodings[BOXES * 4] = {0};
static const float anchors[BOXES * 4] = {
    0.25f, 0.25f, 0.5f,  0.5f,  0.25f, 0.3125f, 0.5f,  0.5f,
    0.75f, 0.75f, 0.25f, 0.25f, 0.75f, 0.25f,   0.25f, 0.25f,
};

struct result {
    float box[MOST][4], classes[MOST], scores[MOST];
    struct eng_detections d;
};

static void detect(const struct eng_detect_options *o, const float *scores, struct result *r)
{
    struct eng_detect_heads h = {.boxes = {encodings, ENG_F32, 1, 0},
                                 .scores = {scores, ENG_F32, 1, 0},
                                 .anchors = {anchors, ENG_F32, 1, 0},
                                 .n = BOXES,
                                 .columns = COLUMNS};
    assert_null(eng_detect_wrong(o, BOXES, COLUMNS));
    assert_true(eng_detect_rows(o) <= MOST);
    void *scratch = malloc(eng_detect_scratch(o, BOXES));
    assert_non_null(scratch);
    memset(r, 0x55, sizeof(*r));
    r->d = (struct eng_detections){.box = r->box, .classes = r->classes, .scores = r->scores};
    eng_detect(o, &h, scratch, &r->d);
    free(scratch);
}

/* Columns: background, class 0, class 1. */
static const float plain[BOXES * COLUMNS] = {
    0.9f, 0.5f, 0.1f, 0.9f, 0.6f, 0.2f, 0.9f, 0.1f, 0.5f, 0.9f, 0.2f, 0.1f,
};

static void fast(void **state)
{
    struct result r;
    (void)state;
    detect(&usual, plain, &r);
    assert_int_equal(r.d.count, 2);
    assert_true(r.scores[0] == 0.6f && r.classes[0] == 0);
    assert_true(r.scores[1] == 0.5f && r.classes[1] == 1);
    static const float want[4] = {0.625f, 0.625f, 0.875f, 0.875f};
    assert_memory_equal(r.box[1], want, sizeof(want));
    assert_true(r.scores[2] == 0 && r.classes[3] == 0 && r.box[3][3] == 0);
}

/* A box with the score of the threshold passes, an overlap of it stays. */
static void thresholds(void **state)
{
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    o.score_threshold = 0.2f;
    detect(&o, plain, &r);
    assert_int_equal(r.d.count, 3);
    float both[2][4] = {{0, 0, 0.5f, 0.5f}, {0, 0.0625f, 0.5f, 0.5625f}};
    o.iou_threshold = eng_box_overlap(both[0], both[1]);
    detect(&o, plain, &r);
    assert_int_equal(r.d.count, 4);
}

static void several_classes_of_a_box(void **state)
{
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    o.classes_per_detection = 2;
    detect(&o, plain, &r);
    assert_int_equal(r.d.count, 2);
    assert_int_equal(eng_detect_rows_of_box(&o), 2);
    assert_true(r.scores[1] == 0.2f && r.classes[1] == 1);
    assert_true(r.scores[3] == 0.1f && r.classes[3] == 0);
    assert_memory_equal(r.box[0], r.box[1], sizeof(r.box[0]));
}

/* Of equal boxes the lower goes first, and of equal classes. */
static void equals(void **state)
{
    static const float same[BOXES * COLUMNS] = {0, 0.5f, 0.5f, 0, 0.5f, 0.5f,
                                                0, 0.5f, 0.5f, 0, 0.5f, 0.5f};
    struct result r;
    (void)state;
    detect(&usual, same, &r);
    assert_int_equal(r.d.count, 3);
    for (int i = 0; i < 3; i++)
        assert_true(r.classes[i] == 0);
    assert_true(r.box[0][1] == 0 && r.box[1][1] == 0.625f && r.box[2][1] == 0.125f);
}

/* Each class for itself: the overlapping box lives on in the other class. */
static void regular(void **state)
{
    static const float scores[BOXES * COLUMNS] = {0, 0.9f, 0.3f, 0, 0.8f, 0.7f,
                                                  0, 0.5f, 0.1f, 0, 0.1f, 0.6f};
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    o.regular = 1;
    detect(&o, scores, &r);
    assert_int_equal(r.d.count, 4);
    static const float want[2][4] = {{0.9f, 0.7f, 0.6f, 0.5f}, {0, 1, 1, 0}};
    assert_memory_equal(r.scores, want[0], sizeof(want[0]));
    assert_memory_equal(r.classes, want[1], sizeof(want[1]));
    o.detections_per_class = 1;
    detect(&o, scores, &r);
    assert_int_equal(r.d.count, 2);
}

static void quanta(void **state)
{
    uint8_t q[BOXES * 32] = {0};
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    q[0 * 32 + 31] = 200; /* the last of 31 classes, in a row longer than a vector */
    q[2 * 32 + 1] = 201;
    q[3 * 32] = 255; /* background */
    o.classes = 31;
    struct eng_detect_heads h = {.boxes = {encodings, ENG_F32, 1, 0},
                                 .scores = {q, ENG_U8, 1.0f / 256, 0},
                                 .anchors = {anchors, ENG_F32, 1, 0},
                                 .n = BOXES,
                                 .columns = 32};
    void *scratch = malloc(eng_detect_scratch(&o, BOXES));
    assert_non_null(scratch);
    r.d = (struct eng_detections){.box = r.box, .classes = r.classes, .scores = r.scores};
    eng_detect(&o, &h, scratch, &r.d);
    assert_int_equal(r.d.count, 2);
    assert_true(r.classes[0] == 0 && r.scores[0] == 201.0f / 256);
    assert_true(r.classes[1] == 30 && r.scores[1] == 200.0f / 256);
    free(scratch);
}

static void numbers_that_are_none(void **state)
{
    static const float bad[BOXES * COLUMNS] = {0, NAN, NAN,  0, INFINITY,  NAN,
                                               0, NAN, 0.5f, 0, -INFINITY, NAN};
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    for (o.regular = 0; o.regular < 2; o.regular++) {
        detect(&o, bad, &r);
        assert_int_equal(r.d.count, 2);
        assert_true(isinf(r.scores[0]) && r.scores[1] == 0.5f);
    }
}

/* A million boxes that are all over the threshold and all alike: one is kept. */
static void a_million_boxes(void **state)
{
    enum { N = 1 << 20 };
    struct eng_detect_options o = usual;
    struct result r;
    (void)state;
    o.classes = 1;
    float *all = calloc((size_t)N * 5, sizeof(*all)), *scores = all + (size_t)N * 4;
    void *scratch = malloc(eng_detect_scratch(&o, N));
    assert_non_null(all);
    assert_non_null(scratch);
    for (int i = 0; i < N; i++) {
        all[4 * (size_t)i + 2] = all[4 * (size_t)i + 3] = 1;
        scores[i] = 1.0f - (float)(i % 1000) / 2000;
    }
    struct eng_detect_heads h = {.boxes = {all, ENG_F32, 1, 0},
                                 .scores = {scores, ENG_F32, 1, 0},
                                 .anchors = {all, ENG_F32, 1, 0},
                                 .n = N,
                                 .columns = 1};
    assert_null(eng_detect_wrong(&o, N, 1));
    r.d = (struct eng_detections){.box = r.box, .classes = r.classes, .scores = r.scores};
    eng_detect(&o, &h, scratch, &r.d);
    assert_int_equal(r.d.count, 1);
    free(scratch);
    free(all);
}

static void wrong_options(void **state)
{
    struct eng_detect_options o;
    (void)state;
#define WRONG(member, value, says)                                                                 \
    do {                                                                                           \
        o = usual;                                                                                 \
        o.member = value;                                                                          \
        const char *why = eng_detect_wrong(&o, BOXES, COLUMNS);                                    \
        assert_non_null(why);                                                                      \
        assert_non_null(strstr(why, says));                                                        \
    } while (0)
    WRONG(y_scale, 0, "scale");
    WRONG(w_scale, NAN, "scale");
    WRONG(classes, 4, "columns");
    WRONG(classes, 0, "columns");
    WRONG(max_detections, 0, "detections");
    WRONG(max_detections, ENG_DETECT_MAX_ROWS + 1, "detections");
    WRONG(classes_per_detection, 1 << 20, "detections");
    WRONG(detections_per_class, -1, "detections");
    WRONG(score_threshold, NAN, "threshold");
    WRONG(iou_threshold, INFINITY, "threshold");
    assert_non_null(strstr(eng_detect_wrong(&usual, (size_t)1 << 27, COLUMNS), "too many boxes"));
    assert_non_null(eng_detect_wrong(&usual, 0, COLUMNS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast),
        cmocka_unit_test(thresholds),
        cmocka_unit_test(several_classes_of_a_box),
        cmocka_unit_test(equals),
        cmocka_unit_test(regular),
        cmocka_unit_test(quanta),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(a_million_boxes),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
