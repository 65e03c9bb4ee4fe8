/* Detections of the golden heads of COCO SSD with other options of TFLite's operator: several
 * classes of a box, and the regular way. Equal scores come in any order there, so that rows are
 * compared as a set. */
#include "engine/postprocess.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/golden/golden.h"

enum { PHOTOS = 5, BOXES = 1917, COLUMNS = 91, MOST = 128 };

#define HEAD "golden/tasks/coco_ssd_mobilenet_v1."

static struct eng_detect_options usual(void)
{
    return (struct eng_detect_options){.y_scale = 10,
                                       .x_scale = 10,
                                       .h_scale = 5,
                                       .w_scale = 5,
                                       .classes = 90,
                                       .max_detections = 25,
                                       .classes_per_detection = 3,
                                       .detections_per_class = 100,
                                       .score_threshold = 0.3f,
                                       .iou_threshold = 0.6000000238f};
}

static unsigned char *scores_of(void)
{
    size_t size;
    unsigned char *scores = golden_read(HEAD "xnnpack.head_logits_5x1917x91.u8", &size);
    unsigned char *lut = golden_read(HEAD "logistic_lut_256.u8", &size);
    for (size_t i = 0; i < (size_t)PHOTOS * BOXES * COLUMNS; i++)
        scores[i] = lut[scores[i]];
    free(lut);
    return scores;
}

/* Class and score in 256ths are exact, corners have five decimals. */
static int is_row(const json_t *row, const struct eng_detections *d, int i)
{
    if (json_number_value(json_array_get(row, 1)) != (double)d->scores[i] * 256)
        return 0;
    for (size_t k = 0; k < 4; k++)
        if (fabs(json_number_value(json_array_get(row, 2 + k)) - (double)d->box[i][k]) > 6e-6)
            return 0;
    return 1;
}

static void compare(const json_t *variant, const struct eng_detections *d, int rows_of_box)
{
    const json_t *rows = json_object_get(variant, "rows");
    int n = d->count * rows_of_box, other_class = 0;
    assert_int_equal(json_integer_value(json_object_get(variant, "count")), d->count);
    assert_int_equal(json_array_size(rows), n);
    for (int i = 0; i < n; i++) {
        size_t k = 0, same = 0;
        for (; k < (size_t)n; k++) {
            const json_t *row = json_array_get(rows, k);
            int class = (int)json_number_value(json_array_get(row, 0));
            same |= is_row(row, d, i);
            if (is_row(row, d, i) && class == (int)d->classes[i])
                break;
        }
        /* Of equals at the cut any may be the one that is left out. */
        double last = json_number_value(json_array_get(json_array_get(rows, (size_t)n - 1), 1));
        if (!same && (double)d->scores[i] * 256 != last)
            fail_msg("row %d is none of the golden ones", i);
        other_class += same && k == (size_t)n;
    }
    assert_true(other_class <= 3); /* of equal classes any may be taken */
}

static void variant(const char *name, struct eng_detect_options o)
{
    float box[MOST][4], classes[MOST], scores_out[MOST];
    size_t size, text_size;
    golden_need_shared();
    unsigned char *text = golden_read(HEAD "detections.json", &text_size), *scores = scores_of();
    unsigned char *boxes = golden_read(HEAD "xnnpack.head_boxes_5x1917x4.u8", &size);
    unsigned char *anchors = golden_read(HEAD "anchors_1917x4.u8", &size);
    json_t *all = json_loadb((const char *)text, text_size, 0, NULL);
    void *scratch = malloc(eng_detect_scratch(&o, BOXES));
    assert_non_null(all);
    assert_non_null(scratch);
    assert_true(eng_detect_rows(&o) <= MOST);
    for (size_t photo = 0; photo < PHOTOS; photo++) {
        struct eng_detect_heads h = {
            .boxes = {boxes + photo * BOXES * 4, ENG_U8, 0.0790278763f, 191},
            .scores = {scores + photo * BOXES * COLUMNS, ENG_U8, 1.0f / 256, 0},
            .anchors = {anchors, ENG_U8, 0.00645306055f, 0},
            .n = BOXES,
            .columns = COLUMNS};
        struct eng_detections d = {.box = box, .classes = classes, .scores = scores_out};
        eng_detect(&o, &h, scratch, &d);
        const json_t *p = json_array_get(json_object_get(all, "photos"), photo);
        compare(json_object_get(p, name), &d, eng_detect_rows_of_box(&o));
    }
    json_decref(all);
    free(scratch);
    free(anchors);
    free(boxes);
    free(scores);
    free(text);
}

static void three_classes_of_a_box(void **state)
{
    (void)state;
    variant("variant_fast_25x3", usual());
}

static void each_class_alone(void **state)
{
    struct eng_detect_options o = usual();
    (void)state;
    o.regular = 1;
    o.iou_threshold = 0.5f;
    variant("variant_regular_25", o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_classes_of_a_box),
        cmocka_unit_test(each_class_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
