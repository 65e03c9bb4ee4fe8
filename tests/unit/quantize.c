/* The quantiser: ranges of known distributions, equalisation that changes no answer, and a small
 * network from folder to folder, whose file is read back and answers the same. */
#include <errno.h>
#include <math.h>
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
#include "engine/plan/plan.h"
#include "engine/optimize/quantize_parts.h"
#include "tests/unit/put_file.h"

static char err[512];
static uint32_t seed;

static float uniform(void)
{
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) / (float)(1 << 23) - 1;
}

/* ---- ranges ---- */

static void range(const float *v, size_t n, enum eng_quantize_method method, float *lo, float *hi)
{
    struct eng_quantize_options o = {.method = method, .tail = 0.01};
    struct eng_qstat *s = malloc(sizeof(*s));
    assert_non_null(s);
    assert_int_equal(eng_qstat_init(s, 1), 0);
    for (size_t i = 0; i < n; i += 100) /* in pieces: the histogram widens on the way */
        eng_qstat_add(s, v + i, n - i < 100 ? n - i : 100);
    eng_qstat_range(s, &o, lo, hi);
    eng_qstat_finish(s);
    free(s);
}

static void ranges(void **state)
{
    (void)state;
    enum { N = 20000 };
    static float v[N];
    float lo, hi;
    seed = 1;
    for (int i = 0; i < N; i++)
        v[i] = 0.001f * (float)i * (uniform() + 1) / 40; /* 0 .. 1, thin at the end */
    v[N / 2] = 40;                                       /* one value far out */
    range(v, N, ENG_QUANTIZE_MINMAX, &lo, &hi);
    assert_true(lo == 0 && hi == 40);
    range(v, N, ENG_QUANTIZE_PERCENTILE, &lo, &hi);
    assert_true(lo == 0 && hi > 0.5f && hi < 1.1f);
    range(v, N, ENG_QUANTIZE_MSE, &lo, &hi);
    assert_true(lo == 0 && hi > 2 && hi < 40); /* rounding all against losing one */
    for (int i = 0; i < N; i++)
        v[i] = uniform();
    range(v, N, ENG_QUANTIZE_MSE, &lo, &hi);
    assert_true(lo < -0.95f && hi > 0.95f); /* nothing to gain: nothing cut */
    for (int i = 0; i < N; i++)
        v[i] = 0;
    range(v, N, ENG_QUANTIZE_MSE, &lo, &hi);
    assert_true(lo == 0 && hi == 0);
}

static void inputs(void **state)
{
    (void)state;
    struct eng_quantize_input in;
    struct eng_preprocess p = {.mean = {127.5f, 127.5f, 127.5f},
                               .scale = {1 / 127.5f, 1 / 127.5f, 1 / 127.5f}};
    eng_quantize_input_init(&in, &p);
    assert_int_equal(in.zero_point, 128);
    for (int pixel = 0; pixel < 256; pixel++) { /* each pixel is a quantum of its own */
        float x = ((float)pixel - 127.5f) / 127.5f + in.shift;
        assert_int_equal(lrintf(x / in.scale) + in.zero_point, pixel);
        assert_true(fabsf(x / in.scale - rintf(x / in.scale)) < 0.01f);
    }
    p = (struct eng_preprocess){.mean = {123, 116, 103}, .scale = {0.017f, 0.018f, 0.019f}};
    eng_quantize_input_init(&in, &p);
    assert_true(in.shift == 0);
    assert_true((0 - in.zero_point) * in.scale <= -2.06f);
}

/* ---- a small network ---- */

#define WEIGHT(name, shape) "{\"name\":\"" name "\",\"shape\":" shape ",\"dtype\":\"float32\"}"
#define LAYER(class, name, config, in)                                                             \
    "{\"class_name\":\"" class "\",\"name\":\"" name "\",\"config\":{\"name\":\"" name "\"" config \
                               "},\"inbound_nodes\":[" in "]}"
#define FROM(name) "[[\"" name "\",0,0,{}]]"
#define SAME ",\"kernel_size\":[3,3],\"strides\":[1,1],\"padding\":\"same\",\"use_bias\":false"
#define POINT ",\"kernel_size\":[1,1],\"padding\":\"same\",\"use_bias\":true"

static const char network[] =
    "{\"modelTopology\":{\"class_name\":\"Model\",\"config\":{\"name\":\"m\",\"layers\":"
    "[" LAYER("InputLayer", "in", ",\"batch_input_shape\":[null,16,16,3]", "") "," LAYER("Conv2D", "c", SAME, FROM("in")) "," LAYER(
        "BatchNormalization", "b", ",\"epsilon\":0.001",
        FROM("c")) "," LAYER("ReLU", "r", ",\"max_value\":6",
                             FROM("b")) "," LAYER("DepthwiseConv2D", "w", SAME,
                                                  FROM("r")) "," LAYER("ReLU", "x",
                                                                       ",\"ma"
                                                                       "x_"
                                                                       "value"
                                                                       "\":6",
                                                                       FROM(
                                                                           "w")) "," LAYER("Conv2D",
                                                                                           "p",
                                                                                           POINT,
                                                                                           FROM("x")) "," LAYER("Add",
                                                                                                                "a",
                                                                                                                "", "[[\"p\",0,0,{}],[\"r\",0,0,{}]]") "," LAYER("Conv2D",
                                                                                                                                                                 "q", POINT ",\"activation\":\"relu\"", FROM("a")) "," LAYER("Concatenate", "k", ",\"axis\":-1", "[[\"q\",0,0,{}],[\"a\",0,0,{}]]") "," LAYER("MaxPooling2D",
                                                                                                                                                                                                                                                                                                              "v",
                                                                                                                                                                                                                                                                                                              ",\"pool_size\":[2,2]", FROM("k")) "," LAYER("GlobalAveragePooling2D",
                                                                                                                                                                                                                                                                                                                                                           "g",
                                                                                                                                                                                                                                                                                                                                                           "",
                                                                                                                                                                                                                                                                                                                                                           FROM("v")) "," LAYER("Dense",
                                                                                                                                                                                                                                                                                                                                                                                "d",
                                                                                                                                                                                                                                                                                                                                                                                ",\"activation\":\"softmax\"",
                                                                                                                                                                                                                                                                                                                                                                                FROM(
                                                                                                                                                                                                                                                                                                                                                                                    "g")) "],\"input_layers\":[[\"in\",0,0]],\"output_layers\":[[\"d\",0,0]]}},"
                                                                                                                                                                                                                                                                                                                                                                                          "\"weightsManifest\":[{\"paths\":[\"w.bin\"],\"weights\":[" WEIGHT("c/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                             "[3,3,3,16]") "," WEIGHT("b/gamma", "[16]") "," WEIGHT("b/beta",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "[16]") "," WEIGHT("b/moving_mean", "[16]") "," WEIGHT("b/moving_variance", "[16]") "," WEIGHT("w/depthwise_kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "[3,3,16,1]") "," WEIGHT("p/kernel", "[1,1,16,16]") "," WEIGHT("p/bias", "[16]") "," WEIGHT("q/kernel",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "[1,1,16,24]") "," WEIGHT("q/bias", "[24]") "," WEIGHT("d/kernel", "[40,10]") "," WEIGHT("d/bias",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "[10]") "]}]}";

/* clang-format on */

enum { VARIANCE = 432 + 48, N_WEIGHTS = 432 + 64 + 144 + 256 + 16 + 384 + 24 + 400 + 10 };

static char root[64], dir[128], made[128];

static void put(const char *name, const void *bytes, size_t len)
{
    put_file(dir, name, bytes, len);
}

static int make_folders(void **state)
{
    (void)state;
    static float w[N_WEIGHTS];
    snprintf(root, sizeof(root), "/tmp/mobilenetd-quantize-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(dir, sizeof(dir), "%s/a", root);
    mkdir(dir, 0700);
    snprintf(dir, sizeof(dir), "%s/a/1", root);
    mkdir(dir, 0700);
    snprintf(made, sizeof(made), "%s/b", root);
    mkdir(made, 0700);
    snprintf(made, sizeof(made), "%s/b/1", root);
    mkdir(made, 0700);
    seed = 7;
    for (int i = 0; i < N_WEIGHTS; i++)
        w[i] = uniform() * 0.5f;
    for (int i = 0; i < 16; i++) { /* channels of very different size, as training leaves them */
        w[432 + i] = powf(2, (float)(i % 8) - 5);
        w[VARIANCE + i] = 1;
    }
    put("w.bin", w, sizeof(w));
    put("model.json", network, sizeof(network) - 1);
    put("labels.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20);
    return 0;
}

static int drop_folders(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static void picture(float *to, int index)
{
    seed = (uint32_t)index * 977 + 5;
    for (int i = 0; i < 16 * 16 * 3; i++)
        to[i] = rintf(127.5f + 127.5f * uniform()) / 127.5f - 1;
}

static struct eng_quantizer *quantised(const struct eng_quantize_options *o)
{
    struct eng_quantizer *q;
    if (eng_quantizer_create(&q, dir, o, 4, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    for (int pass = o->equalise ? 0 : 1; pass < ENG_QUANTIZE_PASSES; pass++) {
        for (int i = 0; i < 48; i += 4) {
            for (int slot = 0; slot < 4; slot++)
                picture(eng_quantizer_input(q, slot), i + slot);
            assert_int_equal(eng_quantizer_feed(q, 4, NULL), 0);
        }
        if (eng_quantizer_next(q, err, sizeof(err)) < 0)
            fail_msg("%s", err);
    }
    return q;
}

static double sqnr(const struct eng_quantize_options *o, int *ret_pairs)
{
    struct eng_quantize_report r;
    struct eng_quantizer *q = quantised(o);
    eng_quantizer_report(q, &r);
    assert_int_equal(r.images, 48);
    *ret_pairs = r.equalised;
    eng_quantizer_destroy(q);
    return r.logit_sqnr;
}

static void each_part_helps(void **state)
{
    (void)state;
    struct eng_quantize_options all = {.equalise = 1, .correct_bias = 1}, o = all;
    int pairs, none;
    double best = sqnr(&all, &pairs);
    print_message("# logits: %.2f dB, %d pairs equalised\n", best, pairs);
    assert_true(best > 35);
    assert_int_equal(pairs, 1); /* w -> p; r, a and k have two readers */
    o.correct_bias = 0;
    assert_true(sqnr(&o, &none) < best);
    o = all;
    o.equalise = 0;
    sqnr(&o, &none);
    assert_int_equal(none, 0);
}

/* The file says what the quantiser compared: the same logits, from the same pixels. */
static void saved_model_answers_the_same(void **state)
{
    (void)state;
    struct eng_quantize_options o = {.equalise = 1, .correct_bias = 1};
    struct eng_quantizer *q = quantised(&o);
    struct eng_model *m, *f;
    struct eng_context *c, *d;
    if (eng_quantizer_save(q, made, "a test", err, sizeof(err)) < 0)
        fail_msg("%s", err);
    if (eng_model_load(&m, made, NULL, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_model_load(&f, dir, NULL, err, sizeof(err)), 0);
    assert_string_equal(eng_model_info(m)->format, "onnx");
    assert_string_equal(eng_model_info(m)->precision, "int8");
    assert_string_equal(eng_model_label(m, 9), "j");
    assert_true(eng_model_info(m)->preprocess.mean[0] == 128);
    assert_int_equal(eng_context_create(&c, m, 1, 1, err, sizeof(err)), 0);
    assert_int_equal(eng_context_create(&d, f, 1, 1, err, sizeof(err)), 0);
    double signal = 0, noise = 0;
    struct eng_preprocess p = eng_model_info(m)->preprocess;
    for (int i = 0; i < 20; i++) {
        float *x = eng_context_input(d, 0);
        picture(x, i);
        for (int k = 0; k < 16 * 16 * 3; k++) {
            float pixel = rintf((x[k] + 1) * 127.5f), v = (pixel - p.mean[0]) * p.scale[0];
            if (p.type == ENG_U8)
                ((uint8_t *)eng_context_input(c, 0))[k] =
                    (uint8_t)(lrintf(v / p.q_scale) + p.q_zero_point);
            else
                ((float *)eng_context_input(c, 0))[k] = v;
        }
        assert_int_equal(eng_context_run(c, 1, NULL), 0);
        assert_int_equal(eng_context_run(d, 1, NULL), 0);
        for (int k = 0; k < 10; k++) {
            double want = (double)eng_context_logits(d, 0)[k];
            double e = want - (double)eng_context_logits(c, 0)[k];
            signal += want * want;
            noise += e * e;
        }
    }
    assert_true(10 * log10(signal / noise) > 25);
    eng_context_destroy(c);
    eng_context_destroy(d);
    eng_model_unref(m);
    eng_model_unref(f);
    eng_quantizer_destroy(q);
}

static void misuse(void **state)
{
    (void)state;
    struct eng_quantize_options o = {.equalise = 1};
    struct eng_quantizer *q;
    assert_int_equal(eng_quantizer_create(&q, "/nowhere/1", &o, 1, err, sizeof(err)), -ENOENT);
    assert_int_equal(eng_quantizer_create(&q, dir, &o, 1, err, sizeof(err)), 0);
    assert_int_equal(eng_quantizer_next(q, err, sizeof(err)), ENG_E_DATA);
    assert_non_null(strstr(err, "no pictures"));
    assert_int_equal(eng_quantizer_feed(q, 2, NULL), -EINVAL);
    eng_quantizer_destroy(q);
    eng_quantizer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),          cmocka_unit_test(inputs),
        cmocka_unit_test(each_part_helps), cmocka_unit_test(saved_model_answers_the_same),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, make_folders, drop_folders);
}
