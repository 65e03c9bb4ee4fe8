/* From the golden heads of the face detectors to the faces that were found in them: priors,
 * decoding, suppression. */
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

enum { PHOTOS = 3, PRIORS = 4420, MOST = 64 };

static void *golden(const char *name)
{
    char path[160];
    size_t size;
    snprintf(path, sizeof(path), "golden/tasks/%s", name);
    return golden_read(path, &size);
}

/* The faces of a photo: scores and corners, in their order. */
static void compare(json_t *all, size_t photo, const char *number, const float (*boxes)[4],
                    const float *scores, const int *kept, int n)
{
    const json_t *faces = json_object_get(json_array_get(all, photo), "faces");
    assert_int_equal(json_array_size(faces), n);
    for (int i = 0; i < n; i++) {
        const json_t *face = json_array_get(faces, (size_t)i);
        const json_t *corners = json_object_get(face, "xmin_ymin_xmax_ymax");
        assert_int_equal(json_integer_value(json_object_get(face, number)), kept[i]);
        double score = json_number_value(json_object_get(face, "score"));
        assert_true(fabs(score - (double)scores[kept[i]]) < 2e-6);
        for (size_t k = 0; k < 4; k++)
            assert_true(fabs(json_number_value(json_array_get(corners, k)) -
                             (double)boxes[kept[i]][k]) < 2e-6);
    }
}

static json_t *detections(const char *path)
{
    size_t size;
    unsigned char *text = golden_read(path, &size);
    json_t *all = json_loadb((const char *)text, size, 0, NULL);
    free(text);
    assert_non_null(all);
    return all;
}

static void ultra_light(void **state)
{
    static const struct eng_prior_map maps[4] = {{40, 30, 3, {10, 16, 24}},
                                                 {20, 15, 2, {32, 48}},
                                                 {10, 8, 2, {64, 96}},
                                                 {5, 4, 3, {128, 192, 256}}};
    static float priors[PRIORS][4], boxes[PRIORS][4], scores[PRIORS];
    (void)state;
    golden_need_shared();
    const float(*want)[4] = golden("ultra_light_face_rfb320.priors_4420x4.f32");
    const float(*loc)[4] = golden("ultra_light_face_rfb320.ort.loc_1x4420x4.f32");
    const float(*decoded)[4] = golden("ultra_light_face_rfb320.ort.boxes_3x4420x4.f32");
    const float(*classes)[2] = golden("ultra_light_face_rfb320.ort.scores_3x4420x2.f32");
    json_t *all = detections("golden/tasks/ultra_light_face_rfb320.detections.json");
    assert_int_equal(eng_prior_count(maps, 4), PRIORS);
    eng_priors(maps, 4, 320, 240, priors);
    assert_memory_equal(priors, want, sizeof(priors));
    eng_prior_boxes(loc, (const float(*)[4])priors, PRIORS, boxes);
    for (int i = 0; i < PRIORS; i++)
        for (int k = 0; k < 4; k++)
            assert_true(fabsf(boxes[i][k] - decoded[i][k]) < 5e-7f);
    struct eng_keep_options o = {0.7f, 0.3f, 1e-5f, 200, MOST};
    void *scratch = malloc(eng_keep_scratch(PRIORS));
    assert_non_null(scratch);
    for (size_t photo = 0; photo < PHOTOS; photo++) {
        int kept[MOST];
        const float(*of)[4] = decoded + photo * PRIORS;
        for (size_t i = 0; i < PRIORS; i++)
            scores[i] = classes[photo * PRIORS + i][1];
        int n = eng_keep(&o, of, scores, PRIORS, scratch, kept);
        compare(all, photo, "prior", of, scores, kept, n);
    }
    free(scratch);
    json_decref(all);
    free((void *)(uintptr_t)want);
    free((void *)(uintptr_t)loc);
    free((void *)(uintptr_t)decoded);
    free((void *)(uintptr_t)classes);
}

static void short_range(void **state)
{
    static float anchors[ENG_BLAZE_ANCHORS][2], boxes[ENG_BLAZE_ANCHORS][4];
    static float points[ENG_BLAZE_POINTS][2], scores[ENG_BLAZE_ANCHORS];
    (void)state;
    golden_need_shared();
    const float(*values)[ENG_BLAZE_VALUES] =
        golden("face_detection_short_range.xnnpack.regressors_3x896x16.f32");
    const float *logits = golden("face_detection_short_range.xnnpack.classificators_3x896x1.f32");
    json_t *all = detections("golden/tasks/face_detection_short_range.detections.json");
    struct eng_keep_options o = {0.5f, 0.3f, 0, ENG_BLAZE_ANCHORS, MOST};
    void *scratch = malloc(eng_keep_scratch(ENG_BLAZE_ANCHORS));
    assert_non_null(scratch);
    eng_blaze_anchors(anchors);
    for (size_t photo = 0; photo < PHOTOS; photo++) {
        int kept[MOST];
        for (size_t i = 0; i < ENG_BLAZE_ANCHORS; i++) {
            size_t at = photo * ENG_BLAZE_ANCHORS + i;
            eng_blaze_decode(values[at], anchors[i], boxes[i], points);
            scores[i] = eng_blaze_score(logits[at]);
        }
        int n = eng_keep(&o, (const float(*)[4])boxes, scores, ENG_BLAZE_ANCHORS, scratch, kept);
        compare(all, photo, "anchor", (const float(*)[4])boxes, scores, kept, n);
    }
    free(scratch);
    json_decref(all);
    free((void *)(uintptr_t)values);
    free((void *)(uintptr_t)logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ultra_light),
        cmocka_unit_test(short_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
