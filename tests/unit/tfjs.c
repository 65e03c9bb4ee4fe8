/* The TF.js importer: one small network as a layers model and as a graph model, which must agree;
 * every storage of weights; and hostile files. (Whole real models: tests/golden/tfjs.c.) */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/importers/import.h"
#include "engine/plan/plan.h"

static char err[512];

/* ---- the small network: 7 x 6 x 3 -> conv, bn, relu6, depthwise, pointwise, add, concat, pool,
 * dense, softmax ---- */

#define WEIGHT(name, shape) "{\"name\":\"" name "\",\"shape\":" shape ",\"dtype\":\"float32\"}"
#define LAYER(class, name, config, in)                                                             \
    "{\"class_name\":\"" class "\",\"name\":\"" name "\",\"config\":{\"name\":\"" name "\"" config \
                               "},\"inbound_nodes\":[" in "]}"
#define FROM(name) "[[\"" name "\",0,0,{}]]"

static const char layers_text[] =
    "{\"format\":\"layers-model\",\"modelTopology\":{\"model_config\":{\"class_name\":\"Model\","
    "\"config\":{\"name\":\"m\",\"layers\":[" /* not in order, on purpose */
    LAYER("Dense", "d", ",\"units\":5,\"activation\":\"softmax\"", FROM("f")) "," LAYER(
        "InputLayer", "in", ",\"batch_input_shape\":[null,7,6,3]",
        "") "," LAYER("Conv2D", "c",
                      ",\"kernel_size\":[3,3],\"strides\":[2,2],\"padding\":\"same\",\"use_bias\":"
                      "false",
                      FROM(
                          "in")) "," LAYER("BatchNormalization", "b",
                                           ",\"axis\":-1,\"epsilon\":0.01",
                                           FROM(
                                               "c")) "," LAYER("ReLU", "r", ",\"max_value\":6",
                                                               FROM(
                                                                   "b")) "," LAYER("DepthwiseConv2"
                                                                                   "D",
                                                                                   "w",
                                                                                   ",\"kernel_"
                                                                                   "size\":3,"
                                                                                   "\"strides\":1,"
                                                                                   "\"padding\":"
                                                                                   "\"same\",\"use_"
                                                                                   "bias\":true",
                                                                                   FROM(
                                                                                       "r")) "," LAYER("LeakyReLU",
                                                                                                       "l",
                                                                                                       ",\"alpha\":0.1",
                                                                                                       FROM("w")) "," LAYER("Conv2D",
                                                                                                                            "p",
                                                                                                                            ",\"kernel_size\":[1,1],\"strides\":[1,1],\"padding\":\"valid\"",
                                                                                                                            FROM("l")) "," LAYER("Add",
                                                                                                                                                 "a",
                                                                                                                                                 "",
                                                                                                                                                 "[[\"p\",0,0,{}],[\"r\",0,0,{}]]") "," LAYER("Concatenate",
                                                                                                                                                                                              "k", ",\"axis\":-1", "[[\"a\",0,0,{}],[\"l\",0,0,{}]]") "," LAYER("AveragePooling2D", "v", ",\"pool_size\":[2,2],\"strides\":[2,2],\"padding\":\"same\"", FROM("k")) "," LAYER("Dropout",
                                                                                                                                                                                                                                                                                                                                                                             "o",
                                                                                                                                                                                                                                                                                                                                                                             ",\"rate\":0.5", FROM("v")) "," LAYER("Flatten",
                                                                                                                                                                                                                                                                                                                                                                                                                   "f", "", FROM("o")) "],\"input_layers\":[[\"in\",0,0]],\"output_layers\":[[\"d\",0,0]]}}},"
                                                                                                                                                                                                                                                                                                                                                                                                                                       "\"weightsManifest\":[{\"paths\":[\"s1\",\"s2\",\"s3\"],\"weights\":[" WEIGHT("c/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "[3,3,3,4]") "," WEIGHT("b/gamma", "[4]") "," WEIGHT("b/beta",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "[4]") "," WEIGHT("b/moving_mean",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "[4]") "," WEIGHT("b/moving_variance",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "[4]") "," WEIGHT("x/w/depthwise_kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "[3,3,4,1]") "," WEIGHT("x/w/bias", "[4]") "," WEIGHT("p/kernel", "[1,1,4,4]") "," WEIGHT("p/bias", "[4]") "," WEIGHT("d/kernel", "[32,5]") "," WEIGHT("d/bias", "[5]") "]}]}";

#define NODE(op, name, in, attr)                                                                   \
    "{\"op\":\"" op "\",\"name\":\"" name "\",\"input\":[" in "],\"attr\":{" attr "}}"
#define CONST(name) NODE("Const", name, "", "\"dtype\":{\"type\":\"DT_FLOAT\"}")
#define LIST(name, values) "\"" name "\":{\"list\":{\"i\":[" values "]}}"
#define SAME "\"padding\":{\"s\":\"U0FNRQ==\"}"
#define VALID "\"padding\":{\"s\":[86,65,76,73,68]}"
#define FUSED(values) "\"fused_ops\":{\"list\":{\"s\":[" values "]}}"

static const char
    graph_text[] =
        "{\"format\":\"graph-model\",\"signature\":{\"outputs\":{\"y\":{\"name\":\"soft:0\"}}},"
        "\"modelTopology\":{\"node\":[" NODE(
            "Placeholder", "x", "",
            "\"shape\":{\"shape\":{\"dim\":[{\"size\":\"-1\"},{\"size\":\"7\"},{\"size\":\"6\"},"
            "{\"size\":3}]}}") "," CONST("c/kernel") "," CONST("b/gamma") "," CONST("b/beta") "," CONST("b/moving_mean") "," CONST("b/moving_variance") "," CONST("x/w/depthwise_kernel") "," CONST("x/w/bias") "," CONST("p/kernel") "," CONST("p/bias") "," CONST("d/kernel") "," CONST("d/bias") "," CONST("zero") "," CONST("one") "," CONST("rest") "," CONST("axis") "," NODE("Conv2D",
                                                                                                                                                                                                                                                                                                                                                                                    "c",
                                                                                                                                                                                                                                                                                                                                                                                    "\"x\",\"c/kernel\"",
                                                                                                                                                                                                                                                                                                                                                                                    LIST(
                                                                                                                                                                                                                                                                                                                                                                                        "strides", "\"1\",\"2\",\"2\",\"1\"") "," SAME) "," NODE("FusedBatchNormV3", "b", "\"c\",\"b/gamma\",\"b/beta\",\"b/moving_mean\",\"b/moving_variance\"", "\"epsilon\":{\"f\":0.01},\"is_training\":{\"b\":false}") "," NODE("Relu6",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "r", "\"b\"", "") "," NODE("FusedDepthwiseConv2dNative",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "w",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"r\",\"x/w/depthwise_kernel\",\"x/w/bias\",\"^c\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                LIST(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "strides", "1,1,1,1") "," SAME
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "," FUSED("\"Qmlhc0FkZA==\",\"TGVha3lSZWx1\"") ",\"leakyrelu_alpha\":{\"f\":0.1}") "," NODE("_FusedConv2D", "p", "\"w\",\"p/kernel\",\"p/bias\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      LIST("strides", "1,1,1,1") "," VALID
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 "," FUSED("\"Qmlhc0FkZA==\"")) "," NODE("AddV2",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "a",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "\"p\",\"r\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "") "," NODE("ConcatV2", "k", "\"a\",\"w\",\"axis\"", "") "," NODE("AvgPool",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "v",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "\"k\"", LIST("ksize", "1,2,2,1") "," LIST("strides", "1,2,2,1") "," SAME) "," NODE("Shape", "shape", "\"v\"", "") "," NODE("StridedSlice", "batch", "\"shape\",\"zero\",\"one\",\"one\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "\"shrink_axis_mask\":{\"i\":\"1\"}") "," NODE("Pack", "target", "\"batch\",\"rest\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "") "," NODE("Reshape",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "f", "\"v\",\"target\"", "") "," NODE("_FusedMatMul",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "d", "\"f\",\"d/kernel\",\"d/bias\"", "\"transpose_a\":{\"b\":false}," FUSED("\"Qmlhc0FkZA==\"")) "," NODE("Softmax",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "soft", "\"d\"", "") "]},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "\"weightsManifest\":[{\"paths\":[\"s1\",\"s2\",\"s3\"],\"weights\":[" WEIGHT("c/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "[3,3,3,4]") "," WEIGHT("b/gamma",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "[4]") "," WEIGHT("b/beta", "[4]") "," WEIGHT("b/moving_mean", "[4]") "," WEIGHT("b/moving_variance", "[4]") "," WEIGHT("x/w/depthwise_kernel", "[3,3,4,1]") "," WEIGHT("x/w/bias", "[4]") "," WEIGHT("p/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "[1,1,4,4]") "," WEIGHT("p/bias",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "[4]") "," WEIGHT("d/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "[32,5]") "," WEIGHT("d/bias", "[5]") "]},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{\"paths\":[\"ints\"],\"weights\":["
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{\"name\":\"zero\",\"shape\":[1],\"dtype\":\"int32\"},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{\"name\":\"one\",\"shape\":[1],\"dtype\":\"int32\"},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{\"name\":\"rest\",\"shape\":[],\"dtype\":\"int32\"},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{\"name\":\"axis\",\"shape\":[],\"dtype\":\"int32\"}]}]}";

enum { N_WEIGHTS = 108 + 16 + 36 + 4 + 16 + 4 + 160 + 5, PARTS = 5 };

static float values[N_WEIGHTS];
static const int32_t ints[4] = {0, 1, -1, 3};

/* Shards that end in the middle of a float. */
static void parts_of(struct eng_part parts[PARTS], const char *text, size_t len)
{
    uint32_t seed = 1;
    for (int i = 0; i < N_WEIGHTS; i++) {
        seed = seed * 1664525 + 1013904223;
        values[i] = (float)(seed >> 8) / (float)(1 << 24) - 0.4f;
        if (i >= 120 && i < 124)
            values[i] = fabsf(values[i]) + 0.5f; /* variances */
    }
    const char *bytes = (const char *)values;
    parts[0] = (struct eng_part){"m.json", text, len};
    parts[1] = (struct eng_part){"s3", bytes + 702, sizeof(values) - 702};
    parts[2] = (struct eng_part){"s1", bytes, 7};
    parts[3] = (struct eng_part){"s2", bytes + 7, 695};
    parts[4] = (struct eng_part){"ints", ints, sizeof(ints)};
}

static int import(struct eng_graph **ret, const struct eng_part *parts, int n)
{
    err[0] = '\0';
    *ret = NULL;
    int rc = eng_import_tfjs(ret, parts, n, (struct eng_open_size){0}, err, sizeof(err));
    if (rc < 0) {
        assert_null(*ret);
        assert_true(strlen(err) > 5);
    }
    return rc;
}

static void answer(const char *text, int reference, float ret[5])
{
    struct eng_part parts[PARTS];
    struct eng_graph *g;
    struct eng_plan *plan;
    struct eng_run *run;
    struct eng_plan_options o = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    parts_of(parts, text, strlen(text));
    if (import(&g, parts, PARTS) < 0)
        fail_msg("%s", err);
    if (!reference)
        assert_int_equal(eng_graph_fold(g, err, sizeof(err)), 0);
    assert_int_equal(eng_plan_create(&plan, g, &o, err, sizeof(err)), 0);
    assert_int_equal(eng_run_create(&run, plan, 1, 1, err, sizeof(err)), 0);
    float *in = eng_run_input(run, 0);
    for (int i = 0; i < 7 * 6 * 3; i++)
        in[i] = sinf((float)i);
    assert_int_equal(eng_run_exec(run, 1, NULL), 0);
    memcpy(ret, eng_run_tensor(run, g->output, 0), 5 * sizeof(*ret));
    eng_run_destroy(run);
    eng_plan_destroy(plan);
    eng_graph_destroy(g);
}

static void layers_and_graph_agree(void **state)
{
    (void)state;
    float want[5], have[5], sum = 0;
    answer(layers_text, 1, want);
    for (int i = 0; i < 5; i++) {
        assert_true(want[i] > 0.001f && want[i] < 0.999f); /* an answer that could be wrong */
        sum += want[i];
    }
    assert_true(fabsf(sum - 1) < 1e-5f);
    for (int way = 0; way < 3; way++) {
        answer(way < 2 ? graph_text : layers_text, way == 0, have);
        for (int i = 0; i < 5; i++)
            assert_true(fabsf(have[i] - want[i]) < 1e-5f);
    }
}

static void facts(void **state)
{
    (void)state;
    struct eng_part parts[PARTS];
    struct eng_graph *g;
    parts_of(parts, layers_text, strlen(layers_text));
    assert_int_equal(import(&g, parts, PARTS), 0);
    assert_string_equal(g->tensors[g->input].name, "in");
    assert_string_equal(g->tensors[g->output].name, "d");
    assert_int_equal(g->tensors[g->input].dim[1], 7);
    const struct eng_node *conv = &g->nodes[0];
    assert_int_equal(conv->op, ENG_OP_CONV);
    assert_int_equal(conv->win.top, 1); /* 7 rows at stride 2: 1 and 1; 6 columns: 0 and 1 */
    assert_int_equal(conv->win.bottom, 1);
    assert_int_equal(conv->win.left, 0);
    assert_int_equal(conv->win.right, 1);
    const float *w = g->tensors[conv->in[1]].data;
    assert_true(w[1 * 27 + 2 * 9 + 1 * 3 + 2] == values[((2 * 3 + 1) * 3 + 2) * 4 + 1]);
    eng_graph_destroy(g);
}

/* Under the signature's keys, in its order; what leads to the end does not take its place. */
static void two_outputs(void **state)
{
    (void)state;
    static const char one[] = "{\"y\":{\"name\":\"soft:0\"}}";
    static const char two[] = "{\"y\":{\"name\":\"soft:0\"},\"before\":{\"name\":\"d\"}}";
    static char text[1 << 16];
    const char *at = strstr(graph_text, one);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - graph_text), graph_text, two,
             at + strlen(one));
    struct eng_part parts[PARTS];
    struct eng_graph *g;
    parts_of(parts, text, strlen(text));
    if (import(&g, parts, PARTS) < 0)
        fail_msg("%s", err);
    assert_int_equal(g->n_outputs, 2);
    assert_string_equal(g->outputs[0].name, "y");
    assert_string_equal(g->outputs[1].name, "before");
    assert_int_equal(g->outputs[0].tensor, g->output);
    assert_int_equal(g->outputs[1].tensor, g->logits);
    assert_false(g->is_open);
    eng_graph_destroy(g);
    float want[5], have[5];
    answer(graph_text, 0, want);
    answer(text, 0, have);
    assert_memory_equal(have, want, sizeof(want));
}

/* ---- storage of weights ---- */

#define TINY(dtype, more)                                                                          \
    "{\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":[{\"class_name\":\"Dense\","     \
    "\"config\":{\"name\":\"d\",\"use_bias\":false,\"batch_input_shape\":[null,1,1,3]}}]},"        \
    "\"weightsManifest\":[{\"paths\":[\"w\"],\"weights\":[{\"name\":\"d/kernel\",\"shape\":[3,2]," \
    "\"dtype\":\"" dtype "\"" more "}]}]}"

static void stored(const char *text, const void *bytes, size_t len, const float want[6])
{
    const struct eng_part parts[2] = {{"m", text, strlen(text)}, {"w", bytes, len}};
    struct eng_graph *g;
    if (import(&g, parts, 2) < 0)
        fail_msg("%s", err);
    const float *w = g->tensors[g->nodes[0].in[1]].data;
    for (int i = 0; i < 3; i++)
        for (int o = 0; o < 2; o++)
            assert_true(w[o * 3 + i] == want[i * 2 + o]);
    eng_graph_destroy(g);
}

static void storages(void **state)
{
    (void)state;
    static const uint8_t u8[6] = {0, 1, 2, 3, 100, 255};
    static const uint16_t u16[6] = {0, 1, 2, 300, 1000, 65535};
    static const uint16_t half[6] = {0x3c00, 0xc000, 0x0001, 0x3555, 0x7bff, 0x8000};
    static const float plain[6] = {1, -2, 3.5f, 1e-30f, 7e20f, 0};
    static const float halves[6] = {1, -2, 0x1p-24f, 0.333251953125f, 65504, -0.0f};
    float want[6];
    stored(TINY("float32", ""), plain, sizeof(plain), plain);
    stored(TINY("float16", ""), half, sizeof(half), halves);
    stored(TINY("float32", ",\"quantization\":{\"dtype\":\"float16\"}"), half, sizeof(half),
           halves);
    for (int i = 0; i < 6; i++)
        want[i] = (float)(-0.5 + 0.01 * u8[i]);
    stored(TINY("float32", ",\"quantization\":{\"dtype\":\"uint8\",\"min\":-0.5,\"scale\":0.01}"),
           u8, sizeof(u8), want);
    for (int i = 0; i < 6; i++)
        want[i] = (float)(-3 + 0.0001 * u16[i]);
    stored(TINY("float32", ",\"quantization\":{\"dtype\":\"uint16\",\"min\":-3,\"scale\":0.0001}"),
           u16, sizeof(u16), want);
}

/* A backbone as a layer of a chain of chains, as training tools of the web write it. */
static void models_in_models(void **state)
{
    (void)state;
    static const char text[] =
        "{\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":["
        "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"t\",\"layers\":["
        "{\"class_name\":\"Model\",\"config\":{\"name\":\"m\",\"layers\":[" LAYER(
            "InputLayer", "in", ",\"batch_input_shape\":[null,2,2,3]",
            "") "," LAYER("ZeroPadding2D", "z", ",\"padding\":[[0,1],[2,0]]",
                          FROM("in")) "," LAYER("Activation", "act", ",\"activation\":\"relu6\"",
                                                FROM("z")) "],\"input_layers\":[[\"in\",0,0]],"
                                                           "\"output_layers\":[[\"act\",0,0]]}},"
                                                           "{\"class_name\":"
                                                           "\"GlobalAveragePooling2D\",\"config\":{"
                                                           "\"name\":\"g\"}}]}},"
                                                           "{\"class_name\":\"Sequential\","
                                                           "\"config\":{\"name\":\"u\",\"layers\":["
                                                           "{\"class_name\":\"Dense\",\"config\":{"
                                                           "\"name\":\"d\",\"use_bias\":false,"
                                                           "\"batch_input_shape\":[null,3]}}]}}]}},"
                                                           "\"weightsManifest\":[{\"paths\":[\"w\"]"
                                                           ",\"weights\":[" WEIGHT("d/kernel",
                                                                                   "[3,2]") "]}]}";
    static const float w[6] = {1, 2, 3, 4, 5, 6};
    const struct eng_part parts[2] = {{"m", text, sizeof(text) - 1}, {"w", w, sizeof(w)}};
    struct eng_graph *g;
    if (import(&g, parts, 2) < 0)
        fail_msg("%s", err);
    assert_int_equal(g->n_nodes, 4);
    assert_int_equal(g->nodes[0].win.left, 2);
    assert_int_equal(g->tensors[g->nodes[1].out].dim[2], 4);
    assert_int_equal(g->tensors[g->output].dim[1], 2);
    eng_graph_destroy(g);
}

/* ---- hostile files ---- */

struct damage {
    const char *find, *replace; /* the first occurrence */
    int code;
    const char *say; /* in the sentence */
};

static void damaged(const char *whole, const struct damage *d)
{
    size_t size = strlen(whole) + strlen(d->replace) + 1;
    char *text = malloc(size);
    const char *at = strstr(whole, d->find);
    struct eng_part parts[PARTS];
    struct eng_graph *g;
    assert_non_null(text);
    assert_non_null(at);
    snprintf(text, size, "%.*s%s%s", (int)(at - whole), whole, d->replace, at + strlen(d->find));
    parts_of(parts, text, strlen(text));
    int rc = import(&g, parts, PARTS);
    if (rc != d->code || !strstr(err, d->say))
        fail_msg("%s -> %s: %d %s", d->find, d->replace, rc, err);
    free(text);
}

static void hostile_layers(void **state)
{
    (void)state;
    static const struct damage rows[] = {
        {"\"class_name\":\"ReLU\"", "\"class_name\":\"Warp\"", ENG_E_UNSUPPORTED, "r (Warp)"},
        {"[[\"f\",0,0", "[[\"nowhere\",0,0", ENG_E_DATA, "d (Dense): its input nowhere"},
        {"[[\"in\",0,0", "[[\"d\",0,0", ENG_E_DATA, "cycle"},
        {"[[\"c\",0,0", "[[\"b\",0,0", ENG_E_DATA, "cycle"},
        {"\"name\":\"b\"", "\"name\":\"c\"", ENG_E_DATA, "two layers"},
        {"[[\"b\",0,0,{}]]", "[[\"b\",0,0,{}]],[[\"c\",0,0,{}]]", ENG_E_UNSUPPORTED,
         "more than once"},
        {"[[\"b\",0,0,{}]]", "{\"args\":[]}", ENG_E_UNSUPPORTED, "Keras 3"},
        {"[null,7,6,3]", "[null,null,6,3]", ENG_E_UNSUPPORTED, "not fixed"},
        {"[null,7,6,3]", "[null,7,6]", ENG_E_UNSUPPORTED, "one image"},
        {"[null,7,6,3]", "[null,7,6,4]", ENG_E_DATA, "do not fit"},
        {"[null,7,6,3]", "[null,1048576,1048576,3]", ENG_E_LIMIT, "too large"},
        {"\"strides\":[2,2]", "\"strides\":[0,2]", ENG_E_DATA, ""},
        {"\"strides\":[2,2]", "\"strides\":[2.5,2]", ENG_E_DATA, "whole number"},
        {"\"strides\":[2,2]", "\"strides\":[2,2,2]", ENG_E_DATA, "list of 2"},
        {"\"strides\":[2,2]", "\"strides\":[1e12,2]", ENG_E_DATA, "whole number"},
        {"\"padding\":\"same\"", "\"padding\":\"causal\"", ENG_E_UNSUPPORTED, "causal"},
        {"\"activation\":\"softmax\"", "\"activation\":\"mish\"", ENG_E_UNSUPPORTED, "mish"},
        {"\"output_layers\":[[\"d\"", "\"output_layers\":[[\"e\"", ENG_E_DATA, "does not exist"},
        {"\"output_layers\":[[", "\"output_layers\":[[\"r\",0,0],[", ENG_E_UNSUPPORTED,
         "one output"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[3,3,3,5]", ENG_E_DATA,
         "ends behind"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[3,3,3,3]", ENG_E_DATA,
         "hold"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[4,3,3,3]", ENG_E_DATA, "b"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[-3,3,3,4]", ENG_E_DATA,
         "broken shape"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[1048576,1048576]",
         ENG_E_LIMIT, "too large"},
        {"\"c/kernel\",\"shape\":[3,3,3,4]", "\"c/kernel\",\"shape\":[1,1,1,1,3,9,4]",
         ENG_E_UNSUPPORTED, "7 dim"},
        {"\"c/kernel\"", "\"c/kernels\"", ENG_E_DATA, "c (Conv2D): its weights"},
        {"\"c/kernel\"", "\"b/gamma\"", ENG_E_DATA, "two weights"},
        {"\"d/bias\"", "\"e/bias\"", ENG_E_DATA, "d (Dense): its bias"},
        {"\"dtype\":\"float32\"", "\"dtype\":\"string\"", ENG_E_UNSUPPORTED, "string"},
        {"\"s2\"", "\"s9\"", ENG_E_DATA, "s9"},
        {"\"s2\",", "", ENG_E_DATA, "ends behind"},
        {"\"modelTopology\"", "\"modelTypology\"", ENG_E_FORMAT, "modelTopology"},
        {"\"epsilon\":0.01", "\"epsilon\":-9", ENG_E_DATA, "not finite"},
        {"{\"format\"", "[\"format\"", ENG_E_FORMAT, "model.json"},
        {"\"axis\":-1,", "\"axis\":1,", ENG_E_UNSUPPORTED, "axis"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        damaged(layers_text, &rows[i]);
}

static void hostile_graphs(void **state)
{
    (void)state;
    static const struct damage rows[] = {
        {"\"Relu6\"", "\"Warp\"", ENG_E_UNSUPPORTED, "r (Warp)"},
        {"\"input\":[\"b\"]", "\"input\":[\"soft\"]", ENG_E_DATA, "cycle"},
        {"\"input\":[\"b\"]", "\"input\":[\"b:1\"]", ENG_E_UNSUPPORTED, "b:1"},
        {"\"input\":[\"b\"]", "\"input\":[]", ENG_E_UNSUPPORTED, "r (Relu6)"},
        {"\"input\":[\"b\"]", "\"input\":[\"b/beta\"]", ENG_E_UNSUPPORTED, "r (Relu6)"},
        {"soft:0", "softer:0", ENG_E_DATA, "softer"},
        {"U0FNRQ==", "U0FNRg==", ENG_E_UNSUPPORTED, "padding"},
        {"\"2\",\"2\"", "\"2\",\"x\"", ENG_E_DATA, "strides"},
        {"\"2\",\"2\"", "\"2\",\"99999999999999999999\"", ENG_E_DATA, "strides"},
        {"\"1\",\"2\",\"2\",\"1\"", "\"2\",\"2\",\"2\",\"1\"", ENG_E_UNSUPPORTED, "images"},
        {"\"is_training\":{\"b\":false}", "\"is_training\":{\"b\":true}", ENG_E_UNSUPPORTED,
         "training"},
        {"\"size\":\"7\"", "\"size\":\"-1\"", ENG_E_UNSUPPORTED, "not fixed"},
        {"\"TGVha3lSZWx1\"", "\"RWx1\"", ENG_E_UNSUPPORTED, "Elu"},
        {"\"target\"", "\"axis\"", ENG_E_DATA, ""},
        {"\"name\":\"zero\",\"shape\":[1]", "\"name\":\"nil\",\"shape\":[1]", ENG_E_DATA,
         "zero (Const)"},
        {"\"shape\",\"zero\"", "\"shape\",\"c/kernel\"", ENG_E_UNSUPPORTED, "more than one"},
        {"\"transpose_a\":{\"b\":false}", "\"transpose_a\":{\"b\":true}", ENG_E_UNSUPPORTED,
         "transposed"},
        {"\"soft:0\"", "\"axis:0\"", ENG_E_DATA, "does not depend"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        damaged(graph_text, &rows[i]);
}

static void cut_files(void **state)
{
    (void)state;
    struct eng_part parts[PARTS];
    struct eng_graph *g;
    for (size_t n = 0; n < sizeof(layers_text) - 1; n += 7) {
        parts_of(parts, layers_text, n);
        assert_true(import(&g, parts, PARTS) < 0);
    }
    for (int shard = 1; shard < 4; shard++) {
        parts_of(parts, layers_text, sizeof(layers_text) - 1);
        parts[shard].len--;
        assert_int_equal(import(&g, parts, PARTS), ENG_E_DATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_and_graph_agree),
        cmocka_unit_test(facts),
        cmocka_unit_test(two_outputs),
        cmocka_unit_test(storages),
        cmocka_unit_test(models_in_models),
        cmocka_unit_test(hostile_layers),
        cmocka_unit_test(hostile_graphs),
        cmocka_unit_test(cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
