/* Networks of other tasks as their authors ship them, from the input to the file's own outputs,
 * against the engine that the file was made for: TFLite's interpreter with XNNPACK, ONNX Runtime.
 * Quantised ones to the bit. */
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* An output: the golden answers of all photos, one behind the other. */
struct answer {
    const char *name, *golden; /* below golden/tasks/ */
    float within;              /* 0: to the bit, as numbers */
    int as;                    /* type of the golden's elements */
};

struct file {
    const char *file, *inputs; /* below models/tasks/ and golden/tasks/inputs/ */
    int photos;
    float mean, scale; /* of a float input */
    struct answer answers[4];
};

static const struct file coco = {
    "coco_ssd_mobilenet_v1/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite",
    "coco_ssd_mobilenet_v1.5x300x300x3.u8", 5,
    .answers = {{"TFLite_Detection_PostProcess", "coco_ssd_mobilenet_v1.xnnpack.boxes_5x10x4.f32",
                 0, ENG_F32},
                {"TFLite_Detection_PostProcess:1", "coco_ssd_mobilenet_v1.xnnpack.classes_5x10.f32",
                 0, ENG_F32},
                {"TFLite_Detection_PostProcess:2", "coco_ssd_mobilenet_v1.xnnpack.scores_5x10.f32",
                 0, ENG_F32},
                {"TFLite_Detection_PostProcess:3", "coco_ssd_mobilenet_v1.xnnpack.count_5.f32", 0,
                 ENG_F32}}};

static const struct file deeplab = {
    "deeplabv3_mnv2/deeplabv3_mnv2_dm05_pascal_quant.tflite",
    "deeplabv3_mnv2_dm05_513.1x513x513x3.u8", 1,
    .answers = {{"ArgMax", "deeplabv3_mnv2_dm05_513.xnnpack.labels_1x513x513.u8", 0, ENG_U8}}};

static const struct file movenet = {
    "movenet_lightning/movenet_single_pose_lightning_ptq.tflite",
    "movenet_lightning.3x192x192x3.u8", 3,
    .answers = {{"StatefulPartitionedCall:0", "movenet_lightning.xnnpack.keypoints_3x17x3.f32", 0,
                 ENG_F32}}};

static const struct file bird = {"inat_bird/mobilenet_v2_1.0_224_inat_bird_quant.tflite",
                                 "inat_bird.3x224x224x3.u8", 3,
                                 .answers = {{NULL, "inat_bird.xnnpack.out_3x965.u8", 0, ENG_U8}}};

static const struct file short_range = {
    "face_detection_short_range/face_detection_short_range.tflite",
    "face_detection_short_range.3x128x128x3.u8",
    3,
    127.5f,
    127.5f,
    {{"regressors", "face_detection_short_range.xnnpack.regressors_3x896x16.f32", 5e-3f, ENG_F32},
     {"classificators", "face_detection_short_range.xnnpack.classificators_3x896x1.f32", 5e-3f,
      ENG_F32}}};

static const struct file rfb = {
    "ultra_light_face/version-RFB-320.onnx",
    "ultra_light_face_rfb320.3x240x320x3.u8",
    3,
    127,
    128,
    {{"scores", "ultra_light_face_rfb320.ort.scores_3x4420x2.f32", 2e-5f, ENG_F32},
     {"boxes", "ultra_light_face_rfb320.ort.boxes_3x4420x4.f32", 1e-5f, ENG_F32}}};

static unsigned char *below(const char *folder, const char *name, size_t *ret_size)
{
    char path[256];
    snprintf(path, sizeof(path), "golden/tasks/%s%s", folder, name);
    return golden_read(path, ret_size);
}

static void fill(struct golden_model *m, const struct file *f, const unsigned char *photo)
{
    const struct eng_tensor *t = &m->g->tensors[m->g->input];
    size_t n = eng_tensor_elements(t);
    void *in = eng_run_input(m->run, 0);
    for (size_t i = 0; i < n; i++) {
        if (t->type == ENG_F32)
            ((float *)in)[i] = ((float)photo[i] - f->mean) / f->scale;
        else
            ((unsigned char *)in)[i] = photo[i];
    }
}

static double element(enum eng_type type, const void *data, size_t i)
{
    switch (type) {
    case ENG_F32:
        return (double)((const float *)data)[i];
    case ENG_I64:
        return (double)((const int64_t *)data)[i];
    case ENG_I8:
        return ((const int8_t *)data)[i];
    default:
        return ((const uint8_t *)data)[i];
    }
}

static void compare(struct golden_model *m, const struct file *f, int photo, int k)
{
    const struct answer *a = &f->answers[k];
    size_t size, wrong = 0;
    double worst = 0;
    const struct eng_tensor *t = &m->g->tensors[m->g->outputs[k].tensor];
    size_t n = eng_tensor_elements(t);
    unsigned char *want = below("", a->golden, &size);
    const void *have = eng_run_tensor(m->run, m->g->outputs[k].tensor, 0);
    if (a->name)
        assert_string_equal(m->g->outputs[k].name, a->name);
    assert_int_equal(size, n * (size_t)f->photos * eng_type_size((enum eng_type)a->as));
    for (size_t i = 0; i < n; i++) {
        double d = fabs(element(t->type, have, i) -
                        element((enum eng_type)a->as, want, (size_t)photo * n + i));
        wrong += !(d <= (double)a->within);
        worst = d > worst ? d : worst;
    }
    if (wrong)
        fail_msg("%s, photo %d: %zu of %zu values differ, the worst by %g", a->golden, photo, wrong,
                 n, worst);
    free(want);
}

static void check_file(const struct file *f, enum golden_plan plan)
{
    char path[256];
    struct golden_case c = {.name = f->file, .files = {path}};
    struct golden_model m;
    size_t size;
    golden_need_shared();
    snprintf(path, sizeof(path), "tasks/%s", f->file);
    golden_load(&m, &c, plan, 1);
    unsigned char *photos = below("inputs/", f->inputs, &size);
    size_t one = size / (size_t)f->photos;
    assert_int_equal(one, eng_tensor_elements(&m.g->tensors[m.g->input]));
    int n = plan == GOLDEN_FAST && !golden_quick() ? f->photos : 1;
    for (int photo = 0; photo < n; photo++) {
        fill(&m, f, photos + one * (size_t)photo);
        assert_int_equal(eng_run_exec(m.run, 1, NULL), 0);
        for (int k = 0; k < 4 && f->answers[k].golden; k++)
            compare(&m, f, photo, k);
    }
    free(photos);
    golden_unload(&m);
}

static void fast(void **state)
{
    check_file(*state, GOLDEN_FAST);
}

static void reference(void **state)
{
    golden_need_shared();
    if (golden_quick())
        skip();
    check_file(*state, GOLDEN_REFERENCE);
}

#define EACH(which, file)                                                                          \
    {                                                                                              \
#file " " #which, which, NULL, NULL, (void *)(uintptr_t)&file                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(fast, coco),         EACH(fast, deeplab),     EACH(fast, movenet),
        EACH(fast, bird),         EACH(fast, short_range), EACH(fast, rfb),
        EACH(reference, movenet), EACH(reference, coco),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
