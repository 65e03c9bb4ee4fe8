/* Quantised networks of other tasks, up to where their own operators begin, bit for bit: what a
 * resize of quanta and a QUANTIZE from one scale to another are has no other witness. The files are
 * cut in memory; the golden answers are heads of TFLite's interpreter with XNNPACK. */
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/importers/flatbuffer.h"
#include "engine/importers/import.h"

/* tflite::BuiltinOperator */
enum { ADD = 0, CONV_2D = 3, DEPTHWISE_CONV_2D = 4, RESIZE_BILINEAR = 23, ALL = -1, END = -2 };

struct cut {
    const char *file, *photos;
    int side, zero; /* zero: quantum of a pixel of 0 */
    int first;      /* operator that reads `input` */
    int input;      /* tensor */
    signed char kept[5];
};

static const struct cut deeplab = {
    "models/tasks/deeplabv3_mnv2/deeplabv3_mnv2_dm05_pascal_quant.tflite",
    "golden/tasks/inputs/deeplabv3_mnv2_dm05_513.1x513x513x3.u8", .side = 513, .kept = {ALL, END}};
/* Before operator 5 it casts the bytes and takes 128 off them. */
static const struct cut movenet = {
    "models/tasks/movenet_lightning/movenet_single_pose_lightning_ptq.tflite",
    "golden/tasks/inputs/movenet_lightning.3x192x192x3.u8",
    .side = 192,
    .zero = -128,
    .first = 5,
    .input = 178,
    .kept = {ADD, CONV_2D, DEPTHWISE_CONV_2D, RESIZE_BILINEAR, END}};

struct head {
    int output; /* tensor */
    const char *golden;
};

static void put(unsigned char *bytes, size_t at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        bytes[at + (size_t)i] = (unsigned char)(v >> 8 * i);
}

static int is_kept(const struct cut *c, int code)
{
    for (int i = 0; c->kept[i] != END; i++)
        if (c->kept[i] == ALL || c->kept[i] == code)
            return 1;
    return 0;
}

/* Leaves the kept operators from c->first to the one that makes `output`. */
static void cut(const struct cut *c, unsigned char *bytes, size_t size, int output)
{
    struct eng_fb fb;
    eng_fb_init(&fb, bytes, size);
    struct eng_fb_table model = eng_fb_root(&fb);
    struct eng_fb_vector graphs = eng_fb_vector(&fb, &model, 2, 4);
    struct eng_fb_vector codes = eng_fb_vector(&fb, &model, 1, 4);
    struct eng_fb_table graph = eng_fb_vector_table(&fb, &graphs, 0);
    struct eng_fb_vector in = eng_fb_vector(&fb, &graph, 1, 4);
    struct eng_fb_vector out = eng_fb_vector(&fb, &graph, 2, 4);
    struct eng_fb_vector ops = eng_fb_vector(&fb, &graph, 3, 4);
    uint32_t n = 0;
    int made = -1;
    for (uint32_t i = (uint32_t)c->first; i < ops.n && made != output; i++) {
        struct eng_fb_table op = eng_fb_vector_table(&fb, &ops, i);
        struct eng_fb_table code =
            eng_fb_vector_table(&fb, &codes, (uint32_t)eng_fb_i32(&fb, &op, 0, 0));
        struct eng_fb_vector makes = eng_fb_vector(&fb, &op, 2, 4);
        if (!is_kept(c, eng_fb_i8(&fb, &code, 0, 0)))
            continue;
        made = eng_fb_vector_i32(&fb, &makes, 0);
        put(bytes, ops.at + 4 * (size_t)n, (uint32_t)(op.at - (ops.at + 4 * (size_t)n)));
        n++;
    }
    assert_false(fb.bad);
    assert_int_equal(made, output);
    put(bytes, ops.at - 4, n);
    put(bytes, in.at, (uint32_t)c->input);
    put(bytes, out.at, (uint32_t)output);
}

static void load(struct golden_model *m, const struct cut *c, int output, int reference)
{
    char err[256] = "";
    size_t size;
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    memset(m, 0, sizeof(*m));
    m->bytes[0] = golden_read(c->file, &size);
    cut(c, m->bytes[0], size, output);
    if (eng_import_tflite(&m->g, m->bytes[0], size, err, sizeof(err)) < 0 ||
        (!reference && eng_graph_fold(m->g, err, sizeof(err)) < 0) ||
        eng_plan_create(&m->plan, m->g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&m->run, m->plan, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s: %s", c->file, err);
}

static void run_photo(struct golden_model *m, const struct cut *c)
{
    size_t size, one = (size_t)c->side * (size_t)c->side * 3;
    unsigned char *photos = golden_read(c->photos, &size), *in = eng_run_input(m->run, 0);
    assert_true(size >= one);
    for (size_t i = 0; i < one; i++)
        in[i] = (unsigned char)(photos[i] + c->zero);
    free(photos);
    assert_int_equal(eng_run_exec(m->run, 1, NULL), 0);
}

static void check_head(const struct cut *c, const struct head *h, int reference)
{
    struct golden_model m;
    size_t size, wrong = 0;
    load(&m, c, h->output, reference);
    run_photo(&m, c);
    unsigned char *want = golden_read(h->golden, &size);
    const unsigned char *have = eng_run_tensor(m.run, m.g->output, 0);
    assert_int_equal(size, eng_tensor_elements(&m.g->tensors[m.g->output]));
    for (size_t i = 0; i < size; i++)
        wrong += have[i] != want[i];
    if (wrong)
        fail_msg("%s: %zu of %zu differ", h->golden, wrong, size);
    free(want);
    golden_unload(&m);
}

/* Three resizes of int8 by two, half pixels, in its feature pyramid. */
static void movenet_heads(void **state)
{
    static const struct head heads[] = {
        {259, "golden/tasks/movenet_lightning.xnnpack.head_center_1x48x48x1.i8"},
        {276, "golden/tasks/movenet_lightning.xnnpack.head_heatmap_1x48x48x17.i8"},
        {282, "golden/tasks/movenet_lightning.xnnpack.head_offset_1x48x48x34.i8"},
        {285, "golden/tasks/movenet_lightning.xnnpack.head_regress_1x48x48x34.i8"},
    };
    (void)state;
    golden_need_shared();
    for (int i = 0; i < (golden_quick() ? 1 : 4); i++)
        check_head(&movenet, &heads[i], 0);
    check_head(&movenet, &heads[1], 1);
}

/* A QUANTIZE of uint8 before the head. */
static void deeplab_head(void **state)
{
    static const struct head head = {
        182, "golden/tasks/deeplabv3_mnv2_dm05_513.xnnpack.head_1x33x33x21.u8"};
    (void)state;
    golden_need_shared();
    check_head(&deeplab, &head, 0);
    if (!golden_quick())
        check_head(&deeplab, &head, 1);
}

/* The best class of a pixel, the first of equals. */
static int best_of(const unsigned char *pixel)
{
    int best = 0;
    for (int k = 1; k < 21; k++)
        best = pixel[k] > pixel[best] ? k : best;
    return best;
}

/* Resized from 33 to 513 pixels, corners aligned: a value every 16, and the class of every pixel.
 */
static void deeplab_map(void **state)
{
    (void)state;
    golden_need_shared();
    struct golden_model m;
    size_t size, side = 513, wrong = 0;
    load(&m, &deeplab, 184, 0);
    run_photo(&m, &deeplab);
    const unsigned char *have = eng_run_tensor(m.run, m.g->output, 0);
    unsigned char *want = golden_read(
        "golden/tasks/deeplabv3_mnv2_dm05_513.xnnpack.logits_every16_from8_1x32x32x21.u8", &size);
    assert_int_equal(size, 32 * 32 * 21);
    for (size_t i = 0; i < size; i++) {
        size_t y = i / 21 / 32 * 16 + 8, x = i / 21 % 32 * 16 + 8;
        wrong += have[(y * side + x) * 21 + i % 21] != want[i];
    }
    assert_int_equal(wrong, 0);
    free(want);
    want = golden_read("golden/tasks/deeplabv3_mnv2_dm05_513.xnnpack.labels_1x513x513.u8", &size);
    assert_int_equal(size, side * side);
    for (size_t i = 0; i < size; i++)
        wrong += best_of(have + i * 21) != want[i];
    assert_int_equal(wrong, 0);
    free(want);
    golden_unload(&m);
}

/* A float network of two outputs that do not lead to each other, against ONNX Runtime. */
static void face_outputs(void **state)
{
    static const struct golden_case face = {
        .name = "RFB-320",
        .files = {"tasks/ultra_light_face/version-RFB-320_without_postprocessing.onnx"}};
    static const char *const names[2] = {"scores", "boxes"};
    static const char *const golden[2] = {
        "golden/tasks/ultra_light_face_rfb320.ort.scores_3x4420x2.f32",
        "golden/tasks/ultra_light_face_rfb320.ort.loc_1x4420x4.f32"};
    struct golden_model m;
    size_t size;
    (void)state;
    golden_need_shared();
    golden_load(&m, &face, GOLDEN_FAST, 1);
    unsigned char *photo =
        golden_read("golden/tasks/inputs/ultra_light_face_rfb320.3x240x320x3.u8", &size);
    float *in = eng_run_input(m.run, 0);
    for (int i = 0; i < 240 * 320 * 3; i++)
        in[i] = ((float)photo[i] - 127) / 128;
    free(photo);
    assert_int_equal(eng_run_exec(m.run, 1, NULL), 0);
    assert_int_equal(m.g->n_outputs, 2);
    for (int k = 0; k < 2; k++) {
        assert_string_equal(m.g->outputs[k].name, names[k]);
        unsigned char *bytes = golden_read(golden[k], &size);
        const float *want = (const float *)(const void *)bytes;
        const float *have = eng_run_tensor(m.run, m.g->outputs[k].tensor, 0);
        for (int i = 0; i < 4420 * (k ? 4 : 2); i++)
            assert_true(fabsf(have[i] - want[i]) < 1e-3f);
        free(bytes);
    }
    golden_unload(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(movenet_heads),
        cmocka_unit_test(deeplab_head),
        cmocka_unit_test(deeplab_map),
        cmocka_unit_test(face_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
