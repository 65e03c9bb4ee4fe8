/* Version folders: manifests, parts, labels, what a model says of itself; and what goes wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/context.h"
#include "engine/base/file.h"
#include "engine/inside.h"
#include "engine/importers/manifest.h"
#include "engine/plan/plan.h"
#include "engine/plan/release.h"
#include "engine/base/sha256.h"
#include "tests/unit/onnx_writer.h"
#include "tests/unit/tflite_writer.h"
#include "tests/unit/put_file.h"

static char err[512], root[64], dir[128];
static _Alignas(64) uint8_t whole[TFW_BYTES];

/* ---- a folder NAME/VERSION of its own for each test ---- */

static int make_folder(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/mobilenetd-model-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(dir, sizeof(dir), "%s/tiny", root);
    mkdir(dir, 0700);
    snprintf(dir, sizeof(dir), "%s/tiny/3", root);
    return mkdir(dir, 0700);
}

static int drop_folder(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static void put(const char *name, const void *bytes, size_t len)
{
    put_file(dir, name, bytes, len);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void put_sample(const char *name, void (*sample)(struct tfw_model *))
{
    struct tfw_model m;
    sample(&m);
    put(name, whole, tfw_write(&m, whole));
}

static struct eng_model *load(void)
{
    struct eng_model *m = NULL;
    err[0] = '\0';
    if (eng_model_load(&m, dir, NULL, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_string_equal(err, "");
    return m;
}

static void refused(int code, const char *says)
{
    struct eng_model *m = NULL;
    err[0] = '\0';
    int rc = eng_model_load(&m, dir, NULL, err, sizeof(err));
    if (rc != code || m || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
}

/* ---- what is well ---- */

static void one_file_is_enough(void **state)
{
    (void)state;
    put_sample("any.tflite", tfw_sample);
    struct eng_model *m = load();
    const struct eng_model_info *i = eng_model_info(m);
    assert_string_equal(i->name, "tiny");
    assert_string_equal(i->version, "3");
    assert_string_equal(i->family, "");
    assert_string_equal(i->format, "tflite");
    assert_string_equal(i->precision, "uint8");
    assert_int_equal(i->outputs, 3);
    assert_int_equal(i->class_offset, 0);
    assert_int_equal(i->embedding, 4);
    assert_int_equal(i->preprocess.height, 8);
    assert_int_equal(i->preprocess.type, ENG_U8);
    assert_true(i->mult_adds > 1000 && i->parameters > 100 && i->weight_bytes > 0);
    assert_string_equal(eng_model_label(m, 0), "");
    eng_model_unref(m);
}

/* The format is seen in the bytes; one that the manifest says wrongly is an error. */
static void onnx_file(void **state)
{
    (void)state;
    static struct onw_model net;
    static uint8_t bytes[ONW_BYTES];
    onw_sample_qdq(&net);
    put("any.onnx", bytes, onw_write(&net, bytes));
    struct eng_model *m = load();
    const struct eng_model_info *i = eng_model_info(m);
    assert_string_equal(i->format, "onnx");
    assert_string_equal(i->precision, "uint8");
    assert_int_equal(i->outputs, 4);
    assert_int_equal(i->embedding, 4);
    assert_int_equal(i->preprocess.height, 8);
    assert_int_equal(i->preprocess.type, ENG_F32);
    eng_model_unref(m);
    put_text("model.json", "{\"format\":\"onnx\"}");
    eng_model_unref(load());
    put_text("model.json", "{\"format\":\"tflite\"}");
    refused(ENG_E_FORMAT, "not a TFLite file");
}

/* Without a word in the manifest a quantised input takes the pixel, a float one -1 .. 1. */
/* A folder as TF.js's converter leaves it, then the same files under a manifest of ours. */
static void tfjs_folders(void **state)
{
    (void)state;
    static const char model[] =
        "{\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":["
        "{\"class_name\":\"GlobalAveragePooling2D\",\"config\":{\"name\":\"g\","
        "\"batch_input_shape\":[null,4,4,3]}},"
        "{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"activation\":\"softmax\"}}]},"
        "\"weightsManifest\":[{\"paths\":[\"a.bin\",\"b.bin\"],\"weights\":["
        "{\"name\":\"d/kernel\",\"shape\":[3,2],\"dtype\":\"float32\"},"
        "{\"name\":\"d/bias\",\"shape\":[2],\"dtype\":\"float32\"}]}]}";
    static const float weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    put_text("model.json", model);
    put("a.bin", weights, 10);
    put("b.bin", (const char *)weights + 10, sizeof(weights) - 10);
    struct eng_model *m = load();
    assert_string_equal(eng_model_info(m)->format, "tfjs");
    assert_int_equal(eng_model_info(m)->outputs, 2);
    assert_int_equal(eng_model_info(m)->embedding, 3);
    eng_model_unref(m);

    put_text("net.json", model);
    put_text("model.json",
             "{\"files\": [\"net.json\", \"b.bin\", \"a.bin\"], \"class_offset\": 1}");
    m = load();
    assert_string_equal(eng_model_info(m)->format, "tfjs");
    assert_int_equal(eng_model_info(m)->class_offset, 1);
    eng_model_unref(m);
    put_text("model.json", "{\"files\": [\"net.json\", \"a.bin\"], \"format\": \"tfjs\"}");
    refused(ENG_E_DATA, "net.json: a group of weights names 2 shards");

    char open[sizeof(model) + 16];
    const char *size = strstr(model, "4,4,3]");
    snprintf(open, sizeof(open), "%.*snull,null,3]%s", (int)(size - model), model,
             size + strlen("4,4,3]"));
    put_text("net.json", open);
    put_text("model.json", "{\"files\": [\"net.json\", \"a.bin\", \"b.bin\"]}");
    refused(ENG_E_UNSUPPORTED, "the size of its input is not fixed");
    put_text("model.json", "{\"files\": [\"net.json\", \"a.bin\", \"b.bin\"], "
                           "\"input\": {\"height\": 6, \"width\": 5}}");
    m = load();
    assert_int_equal(eng_model_info(m)->preprocess.height, 6);
    assert_int_equal(eng_model_info(m)->preprocess.width, 5);
    eng_model_unref(m);
    put_text("model.json",
             "{\"modelTopology\": {}, \"weightsManifest\": [{\"paths\": [\"../w\"]}]}");
    refused(ENG_E_DATA, "leads out of the folder");
}

static void a_manifest_settles_open_sizes(void **state)
{
    static uint8_t bytes[ONW_BYTES];
    static struct onw_model net;
    (void)state;
    onw_sample(&net);
    net.input[2] = net.input[3] = -1;
    put("net.onnx", bytes, onw_write(&net, bytes));
    refused(ENG_E_UNSUPPORTED, "dimension 2 of the input x is not fixed");
    put_text("model.json", "{\"input\": {\"height\": 16}}");
    refused(ENG_E_UNSUPPORTED, "dimension 3 of the input x is not fixed");
    put_text("model.json", "{\"input\": {\"height\": 16, \"width\": 12}}");
    struct eng_model *m = load();
    assert_int_equal(eng_model_info(m)->preprocess.height, 16);
    assert_int_equal(eng_model_info(m)->preprocess.width, 12);
    eng_model_unref(m);
}

static void pixels_by_default(void **state)
{
    (void)state;
    uint8_t rgb[8 * 8 * 3], u8[8 * 8 * 3];
    float f32[8 * 8 * 3];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 255 / (sizeof(rgb) - 1));
    put_sample("a.tflite", tfw_sample);
    struct eng_model *m = load();
    eng_preprocess_pixels(&eng_model_info(m)->preprocess, rgb, u8);
    assert_memory_equal(rgb, u8, sizeof(rgb));
    eng_model_unref(m);
    put_sample("a.tflite", tfw_sample_float);
    m = load();
    eng_preprocess_pixels(&eng_model_info(m)->preprocess, rgb, f32);
    assert_true(f32[0] == -1.0f && f32[sizeof(rgb) - 1] > 0.99999f);
    eng_model_unref(m);
}

static void a_manifest_says_all(void **state)
{
    (void)state;
    put_sample("net.bin", tfw_sample);
    put_text("names.txt", "background\r\ncat\ndog \xc3\xa9\xff\n\n");
    put_text("model.json",
             "{\"format\":\"tflite\",\"files\":[\"net.bin\"],\"labels\":\"names.txt\","
             "\"class_offset\":1,\"family\":\"pets\",\"variant\":\"s\",\"licence\":\"MIT\","
             "\"source\":\"here\",\"input\":{\"height\":8,\"width\":8,\"resize\":\"letterbox\","
             "\"filter\":\"bicubic\",\"channels\":\"bgr\",\"mean\":[1,2,3],\"scale\":0.5}}");
    struct eng_model *m = load();
    const struct eng_model_info *i = eng_model_info(m);
    assert_string_equal(i->family, "pets");
    assert_string_equal(i->variant, "s");
    assert_string_equal(i->licence, "MIT");
    assert_int_equal(i->class_offset, 1);
    assert_int_equal(i->preprocess.resize, ENG_RESIZE_LETTERBOX);
    assert_int_equal(i->preprocess.filter, ENG_FILTER_BICUBIC);
    assert_int_equal(i->preprocess.bgr, 1);
    assert_true(i->preprocess.mean[2] == 3.0f && i->preprocess.scale[2] == 0.5f);
    assert_string_equal(eng_model_label(m, 0), "cat");
    assert_string_equal(eng_model_label(m, 1), "dog \xc3\xa9?");
    assert_string_equal(eng_model_label(m, 2), "");
    assert_string_equal(eng_model_label(m, -1), "");
    eng_model_unref(m);
    put_text("names.txt", "cat\ndog"); /* one line a class will do */
    m = load();
    assert_string_equal(eng_model_label(m, 0), "cat");
    assert_string_equal(eng_model_label(m, 1), "dog");
    eng_model_unref(m);
}

static void digest_of_the_file(void **state)
{
    (void)state;
    static uint8_t long_bytes[20011];
    struct eng_sha256 sum;
    char hex[65];
    eng_sha256_init(&sum);
    eng_sha256_hex(&sum, hex); /* FIPS 180-4 examples */
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    eng_sha256_init(&sum);
    for (int i = 0; i < 1000000; i++)
        eng_sha256_add(&sum, "a", 1);
    eng_sha256_hex(&sum, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    put_sample("a.tflite", tfw_sample);
    struct tfw_model tm;
    tfw_sample(&tm);
    /* Long pieces may take the processor's instructions, short ones never do. */
    char again[65];
    for (size_t i = 0; i < sizeof(long_bytes); i++)
        long_bytes[i] = (uint8_t)(i * 7 + i / 251);
    eng_digest(long_bytes, sizeof(long_bytes), hex);
    eng_sha256_init(&sum);
    for (size_t i = 0; i < sizeof(long_bytes); i += 77)
        eng_sha256_add(&sum, long_bytes + i,
                       sizeof(long_bytes) - i < 77 ? sizeof(long_bytes) - i : 77);
    eng_sha256_hex(&sum, again);
    assert_string_equal(hex, again);
    eng_sha256_init(&sum);
    eng_sha256_add(&sum, whole, tfw_write(&tm, whole));
    eng_sha256_hex(&sum, hex);
    struct eng_model *m = load();
    assert_string_equal(eng_model_info(m)->digest, hex);
    eng_model_unref(m);
}

/* The graph's constants are gone after loading: a run must not miss them, layers neither. */
static void runs_after_loading(void **state)
{
    (void)state;
    static void (*const samples[])(struct tfw_model *) = {tfw_sample, tfw_sample_float,
                                                          tfw_sample_zoo};
    for (size_t i = 0; i < 3; i++) {
        struct eng_context *c;
        struct eng_layer layer;
        put_sample("a.tflite", samples[i]);
        struct eng_model *m = load();
        assert_int_equal(eng_context_create(&c, m, 2, 1, err, sizeof(err)), 0);
        memset(eng_context_input(c, 0), 0, 8 * 8 * 3);
        memset(eng_context_input(c, 1), 0, 8 * 8 * 3);
        assert_int_equal(eng_context_run(c, 2, NULL), 0);
        float sum = 0;
        for (int k = 0; k < eng_model_info(m)->outputs; k++)
            sum += eng_context_probabilities(c, 1)[k];
        assert_true(sum > 0.999f && sum < 1.001f);
        for (int k = 0; k < eng_model_layers(m); k++)
            assert_int_equal(eng_model_layer(m, k, &layer), 0);
        assert_int_equal(eng_model_layer(m, eng_model_layers(m), &layer), -ERANGE);
        eng_context_destroy(c);
        eng_model_unref(m);
    }
}

/* Three nodes read pages 0-1, 0-1 again, and 2 of a file; what is shared stays to the end. */
static void constants_go_one_by_one(void **state)
{
    (void)state;
    size_t page = (size_t)getpagesize();
    char *text = malloc(3 * page);
    memset(text, 'x', 3 * page);
    put("pages", text, 3 * page);
    char path[256];
    struct eng_file file;
    struct eng_graph *g;
    struct eng_release r;
    snprintf(path, sizeof(path), "%s/pages", dir);
    assert_int_equal(eng_file_read(&file, path, SIZE_MAX, err, sizeof(err)), 0);
    assert_int_equal(eng_graph_create(&g), 0);
    const size_t starts[4] = {0, 0, 2, 0}, sizes[4] = {2 * page, 2 * page, page, 8};
    int in[4];
    for (int i = 0; i < 4; i++) {
        struct eng_tensor t = {.type = ENG_U8, .rank = 1, .dim = {(int32_t)sizes[i]}};
        t.size = sizes[i];
        t.data = (char *)file.bytes + starts[i] * page;
        if (i == 3) /* the graph's own */
            t.data = eng_graph_alloc_constant(g, sizes[i], 1);
        in[i] = eng_graph_add_tensor(g, &t);
        struct eng_node n = {.op = ENG_OP_FC, .n_in = 1, .in = &in[i]};
        eng_graph_add_node(g, &n);
    }
    assert_int_equal(eng_release_init(&r, g, &file, 1), 0);
    for (int i = 0; i < 4; i++)
        eng_release_packed(&r, i);
    assert_int_equal(((char *)file.bytes)[0], 'x');
    assert_int_equal(((char *)file.bytes)[2 * page - 1], 'x');
    assert_int_equal(((char *)file.bytes)[2 * page], 0);
    assert_int_equal(((char *)file.bytes)[3 * page - 1], 0);
    assert_non_null(g->tensors[0].data);
    assert_null(g->tensors[2].data);
    assert_null(g->tensors[3].data);
    eng_release_finish(&r);
    eng_graph_destroy(g);
    eng_file_finish(&file);
    free(text);
}

static void precision_as_asked(void **state)
{
    (void)state;
    struct eng_model *m = NULL;
    struct eng_model_options o = {.precision = ENG_PRECISION_UINT8};
    put_sample("a.tflite", tfw_sample);
    assert_int_equal(eng_model_load(&m, dir, &o, err, sizeof(err)), 0);
    eng_model_unref(m);
    o.precision = ENG_PRECISION_FP32;
    assert_int_equal(eng_model_load(&m, dir, &o, err, sizeof(err)), ENG_E_UNSUPPORTED);
    o = (struct eng_model_options){.max_file_bytes = 100};
    assert_int_equal(eng_model_load(&m, dir, &o, err, sizeof(err)), ENG_E_LIMIT);
}

/* ---- what is not ---- */

static void broken_folders(void **state)
{
    (void)state;
    refused(-ENOENT, "0 model files");
    put_sample("a.tflite", tfw_sample);
    put_sample("b.tflite", tfw_sample);
    refused(ENG_E_DATA, "2 model files");
    put_text("model.json", "{\"files\":[\"c.tflite\"]}");
    refused(-ENOENT, "c.tflite");
    put_text("model.json", "{\"files\":[\"a.tflite\"],\"labels\":\"l.txt\"}");
    refused(-ENOENT, "l.txt");
    put_text("l.txt", "one\ntwo\n");
    refused(ENG_E_DATA, "l.txt has 2 lines, the model 3 outputs");
    put_text("model.json", "{\"files\":[\"a.tflite\"],\"class_offset\":3}");
    refused(ENG_E_DATA, "class_offset 3");
    put_text("model.json",
             "{\"files\":[\"a.tflite\"],\"input\":{\"height\":16384,\"width\":16384}}");
    refused(ENG_E_LIMIT, "an input of 16384x16384");
    put_text("model.json", "{\"files\":[\"a.tflite\",\"b.tflite\"]}");
    refused(ENG_E_DATA, "b.tflite: the parts do not fit");
    put_text("model.json", "{\"files\":[\"model.json\"]}");
    refused(ENG_E_FORMAT, "model.json: not a TensorFlow.js model");
    put_text("model.json", "{\"format\":\"caffe\",\"files\":[\"a.tflite\"]}");
    refused(ENG_E_UNSUPPORTED, "caffe");
    put_text("model.json", "");
    refused(ENG_E_DATA, "empty");
    put("model.json", whole, 3000);
    refused(ENG_E_DATA, "line 1");
    put("a.tflite", whole, 200);
    put_text("model.json", "{\"files\":[\"a.tflite\"]}");
    refused(ENG_E_DATA, "a.tflite: ");
    strncat(dir, "/nowhere", sizeof(dir) - strlen(dir) - 1);
    refused(-ENOENT, "nowhere");
}

static void broken_manifests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"[]", "no JSON object"},
        {"{\"files\":[]}", "files"},
        {"{\"files\":\"a\"}", "files"},
        {"{\"files\":[1]}", "files"},
        {"{\"files\":[]}", "1 to 64"},
        {"{\"files\":[\"/etc/passwd\"]}", "leads out"},
        {"{\"files\":[\"../a\"]}", "leads out"},
        {"{\"files\":[\"a/../../b\"]}", "leads out"},
        {"{\"files\":[\"a/..\"]}", "leads out"},
        {"{\"files\":[\"\"]}", "leads out"},
        {"{\"files\":[\"a\\u0000b\"]}", "u0000"},
        {"{\"labels\":\"../x\"}", "leads out"},
        {"{\"class_offset\":-1}", "class_offset"},
        {"{\"class_offset\":1.5}", "class_offset"},
        {"{\"class_offset\":99999999999}", "class_offset"},
        {"{\"family\":7}", "family"},
        {"{\"famly\":\"x\"}", "unknown key \"famly\""},
        {"{\"family\":\"x\",\"family\":\"y\"}", "duplicate"},
        {"{\"input\":[]}", "input"},
        {"{\"input\":{\"hight\":3}}", "hight"},
        {"{\"input\":{\"height\":0}}", "height"},
        {"{\"input\":{\"resize\":\"stretch\"}}", "short_side, squash, central_crop, letterbox"},
        {"{\"input\":{\"filter\":3}}", "filter"},
        {"{\"input\":{\"channels\":\"cmyk\"}}", "rgb, bgr"},
        {"{\"input\":{\"mean\":[1,2]}}", "mean"},
        {"{\"input\":{\"mean\":[1,2,\"x\"]}}", "mean"},
        {"{\"input\":{\"scale\":1e300}}", "scale"},
        {"{\"input\":{\"scale\":null}}", "scale"},
        {"{\"golden\":1}", "image"},
        {"{\"golden\":{\"image\":\"a\"}}", "classes"},
        {"{\"golden\":{\"image\":\"../a\"}}", "leads out"},
        {"{\"golden\":{\"image\":\"a\",\"class\":[1]}}", "unknown key \"golden\".\"class\""},
        {"{\"golden\":{\"image\":\"a\",\"classes\":[1],\"scores\":[]}}", "as long"},
        {"{\"golden\":{\"image\":\"a\",\"classes\":[-1],\"scores\":[1]}}", "classes"},
        {"{\"golden\":{\"image\":\"a\",\"classes\":[1],\"scores\":[1.5]}}", "scores"},
        {"{\"golden\":{\"image\":\"a\",\"classes\":[1],\"scores\":[1],\"tolerance\":-1}}",
         "tolerance"},
        {"{", "line 1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct eng_manifest m;
        int rc = eng_manifest_parse(&m, rows[i].text, strlen(rows[i].text), err, sizeof(err));
        if (rc != ENG_E_DATA || !strstr(err, rows[i].says))
            fail_msg("%s: got %d '%s'", rows[i].text, rc, err);
    }
}

static void builder_models(void **state)
{
    (void)state;
    struct eng_mobilenet_spec spec = {1, 0.25, 32, 1001, ENG_FORM_SEPARABLE, 4};
    struct eng_model *m = NULL;
    for (enum eng_precision p = ENG_PRECISION_AUTO; p <= ENG_PRECISION_FP32; p++) {
        struct eng_model_options o = {.precision = p};
        static const char *const names[] = {"fp32", "int8", "uint8", "fp32"};
        assert_int_equal(eng_model_build(&m, &spec, &o, err, sizeof(err)), 0);
        assert_string_equal(eng_model_info(m)->precision, names[p]);
        assert_string_equal(eng_model_info(m)->name, "mobilenet_v1_0.25_32");
        assert_string_equal(eng_model_info(m)->variant, "0.25_32");
        assert_string_equal(eng_model_info(m)->format, "builtin");
        assert_int_equal(eng_model_info(m)->class_offset, 1);
        eng_model_unref(eng_model_ref(m));
        eng_model_unref(m);
    }
    spec.rho = 5;
    assert_int_equal(eng_model_build(&m, &spec, NULL, err, sizeof(err)), -EINVAL);
    eng_model_unref(NULL);
}

/* Activations of a built network are neither all dark nor all saturated. */
static void builder_numbers_are_plausible(void **state)
{
    (void)state;
    struct eng_mobilenet_spec spec = {1, 1.0, 128, 1000, ENG_FORM_SEPARABLE, 1};
    static const enum eng_precision all[] = {ENG_PRECISION_INT8, ENG_PRECISION_UINT8};
    for (size_t i = 0; i < 2; i++) {
        struct eng_model *m;
        struct eng_context *c;
        struct eng_model_options o = {.precision = all[i]};
        assert_int_equal(eng_model_build(&m, &spec, &o, err, sizeof(err)), 0);
        assert_int_equal(eng_context_create(&c, m, 1, 1, err, sizeof(err)), 0);
        uint8_t *in = eng_context_input(c, 0);
        for (int k = 0; k < 128 * 128 * 3; k++)
            in[k] = (uint8_t)(k * 2654435761u >> 24);
        assert_int_equal(eng_context_run(c, 1, NULL), 0);
        const float *e = eng_context_embedding(c, 0);
        int dark = 0, full = 0, ends = 0;
        for (int k = 0; k < eng_model_info(m)->embedding; k++) {
            dark += e[k] <= 0;
            full += e[k] >= 6;
        }
        const struct eng_graph *g = eng_plan_graph(eng_model_plan(m));
        const void *logits = eng_run_tensor(eng_context_run_inside(c), g->logits, 0);
        assert_non_null(logits);
        for (int k = 0; k < 1000; k++) {
            int q = g->tensors[g->logits].type == ENG_I8 ? ((const int8_t *)logits)[k] + 128
                                                         : ((const uint8_t *)logits)[k];
            ends += q == 0 || q == 255;
        }
        print_message("# embedding: %d of 1024 dark, %d full; logits at an end: %d of 1000\n", dark,
                      full, ends);
        assert_true(dark < 700 && full < 100 && ends < 100);
        eng_context_destroy(c);
        eng_model_unref(m);
    }
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(one_file_is_enough),
        IN_FOLDER(tfjs_folders),
        IN_FOLDER(onnx_file),
        IN_FOLDER(a_manifest_settles_open_sizes),
        IN_FOLDER(pixels_by_default),
        IN_FOLDER(a_manifest_says_all),
        IN_FOLDER(digest_of_the_file),
        IN_FOLDER(runs_after_loading),
        IN_FOLDER(precision_as_asked),
        IN_FOLDER(constants_go_one_by_one),
        IN_FOLDER(broken_folders),
        cmocka_unit_test(broken_manifests),
        cmocka_unit_test(builder_models),
        cmocka_unit_test(builder_numbers_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
