/* Models with several outputs: a run gives all of them, under the file's names and in its shapes,
 * the same bits in the fast plan and in the reference plan, at any batch and team. The ONNX
 * network's weights and pixels are small whole numbers, so that its sums are exact in any order and
 * the test can compute them itself. */
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

#include "engine/compress.h"
#include "engine/context.h"
#include "engine/quantize.h"
#include "engine/teach.h"
#include "tests/unit/onnx_writer.h"
#include "tests/unit/put_file.h"
#include "tests/unit/tflite_writer.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, FEATURES = 4, CLASSES = 5, BATCH = 4, ROOM = 1024 };

static char err[512], root[64], dir[128];
static _Alignas(64) uint8_t whole[(int)ONW_BYTES + (int)TFW_BYTES];

static int make_folder(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/mobilenetd-outputs-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(dir, sizeof(dir), "%s/1", root);
    return mkdir(dir, 0700);
}

static int drop_folder(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static struct eng_model *load(int reference)
{
    struct eng_model *m = NULL;
    struct eng_model_options o = {.reference = reference};
    if (eng_model_load(&m, dir, &o, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    return m;
}

static void refused(int code, const char *says)
{
    struct eng_model *m = NULL;
    int rc = eng_model_load(&m, dir, NULL, err, sizeof(err));
    if (rc != code || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
}

/* ---- the ONNX network ---- */

static float weights[FEATURES * 3], biases[FEATURES], gemm[CLASSES * FEATURES];
static const float gemm_bias[CLASSES] = {1, 2, 3, 4, 5}, quantum[1] = {0.25f};
static const uint8_t zero_point[1] = {100};

/* x -> Conv 1x1 -> Relu: one output a MaxPool of it (`map`), one the same turned into rows
 * (`rows`), one quantised (`quanta`): no one leads to another. */
static void write_onnx(struct onw_model *m)
{
    static const int64_t to_rows[3] = {1, PIXELS, FEATURES}, two[2] = {2, 2};
    static const int64_t turn[4] = {0, 2, 3, 1};
    for (int i = 0; i < FEATURES * 3; i++)
        weights[i] = (float)(i * 5 % 7 - 3);
    for (int i = 0; i < FEATURES; i++)
        biases[i] = (float)(i - 1);
    for (int i = 0; i < CLASSES * FEATURES; i++)
        gemm[i] = (float)(i * 3 % 5 - 2);
    onw_begin(m, 3, SIDE, SIDE);
    onw_floats(m, "w", weights, (int[]){FEATURES, 3, 1, 1, 0});
    onw_floats(m, "b", biases, (int[]){FEATURES, 0});
    onw_floats(m, "gw", gemm, (int[]){CLASSES, FEATURES, 0});
    onw_floats(m, "gb", gemm_bias, (int[]){CLASSES, 0});
    onw_floats(m, "s", quantum, NULL);
    onw_bytes(m, "z", ONW_UINT8, zero_point, NULL);
    onw_integers(m, "shape", to_rows, 3);
    onw_add(m, "Conv", "conv", "x", "w", "b");
    onw_add(m, "Relu", "features", "conv", NULL, NULL);
    struct onw_node *pool = onw_add(m, "MaxPool", "map", "features", NULL, NULL);
    onw_ints(pool, "kernel_shape", 2, two);
    onw_ints(pool, "strides", 2, two);
    onw_ints(onw_add(m, "Transpose", "turned", "features", NULL, NULL), "perm", 4, turn);
    onw_add(m, "Reshape", "rows", "turned", "shape", NULL);
    onw_add(m, "GlobalAveragePool", "mean", "features", NULL, NULL);
    onw_add(m, "Flatten", "flat", "mean", NULL, NULL);
    onw_int(onw_add(m, "Gemm", "dense", "flat", "gw", "gb"), "transB", 1);
    onw_add(m, "QuantizeLinear", "quanta", "dense", "s", "z");
    m->output[0] = "rows";
    m->output[1] = "quanta";
    m->output[2] = "map";
}

static void put_onnx(void)
{
    static struct onw_model m;
    write_onnx(&m);
    put_file(dir, "net.onnx", whole, onw_write(&m, whole));
}

static float pixel(int image, int at)
{
    return (float)((at * 7 + image * 11) % 9 - 4);
}

/* Channels last, as in `rows`. */
static void features_of(int image, float ret[PIXELS * FEATURES])
{
    for (int p = 0; p < PIXELS; p++)
        for (int f = 0; f < FEATURES; f++) {
            float sum = biases[f];
            for (int c = 0; c < 3; c++)
                sum += weights[f * 3 + c] * pixel(image, p * 3 + c);
            ret[p * FEATURES + f] = sum > 0 ? sum : 0;
        }
}

static void check_map(const float *features, const float *map)
{
    for (int f = 0; f < FEATURES; f++)
        for (int y = 0; y < SIDE / 2; y++)
            for (int x = 0; x < SIDE / 2; x++) {
                float most = 0;
                for (int k = 0; k < 4; k++) {
                    int at = (2 * y + k / 2) * SIDE + 2 * x + k % 2;
                    float v = features[at * FEATURES + f];
                    most = v > most ? v : most;
                }
                assert_true(map[(f * SIDE / 2 + y) * SIDE / 2 + x] == most);
            }
}

static void check_quanta(const float *features, const uint8_t *quanta, const float *real)
{
    float mean[FEATURES] = {0};
    for (int i = 0; i < PIXELS * FEATURES; i++)
        mean[i % FEATURES] += features[i] / PIXELS;
    for (int k = 0; k < CLASSES; k++) {
        float sum = gemm_bias[k];
        for (int f = 0; f < FEATURES; f++)
            sum += gemm[k * FEATURES + f] * mean[f];
        float off = ((float)quanta[k] - 100) * 0.25f - sum;
        assert_true(off <= 0.125f && off >= -0.125f);
        assert_true(real[k] == ((float)quanta[k] - 100) * 0.25f);
    }
}

static void check_answer(struct eng_context *c, int slot, int image)
{
    float features[PIXELS * FEATURES], real[PIXELS * FEATURES];
    features_of(image, features);
    assert_memory_equal(eng_context_output(c, slot, 0), features, sizeof(features));
    assert_int_equal(eng_context_output_floats(c, slot, 0, real), 0);
    assert_memory_equal(real, features, sizeof(features));
    assert_int_equal(eng_context_output_floats(c, slot, 1, real), 0);
    check_quanta(features, eng_context_output(c, slot, 1), real);
    check_map(features, eng_context_output(c, slot, 2));
    assert_null(eng_context_output(c, slot, 3));
    assert_null(eng_context_output(c, slot, -1));
    assert_int_equal(eng_context_output_floats(c, slot, 3, real), -ERANGE);
}

static void check_dims(const struct eng_output *o, const char *name, enum eng_type type, int rank,
                       const int32_t *dim)
{
    assert_string_equal(o->name, name);
    assert_int_equal(o->type, type);
    assert_int_equal(o->rank, rank);
    size_t n = 1;
    for (int i = 0; i < rank; i++) {
        assert_int_equal(o->dim[i], dim[i]);
        n *= (size_t)dim[i];
    }
    assert_int_equal(o->elements, n);
    assert_int_equal(o->bytes, n * eng_type_size(type));
}

static void run(struct eng_context *c, int batch, int members)
{
    struct eng_team *team = NULL;
    if (members > 1) {
        assert_int_equal(eng_team_create(&team, members), 0);
        eng_team_begin(team);
    }
    assert_int_equal(eng_context_run(c, batch, team), 0);
    if (team)
        eng_team_end(team);
    eng_team_destroy(team);
}

static void onnx_gives_three(void **state)
{
    (void)state;
    put_onnx();
    for (int reference = 0; reference < 2; reference++) {
        struct eng_model *m = load(reference);
        struct eng_context *c;
        const struct eng_model_info *info = eng_model_info(m);
        assert_int_equal(info->n_outputs, 3);
        check_dims(&info->output[0], "rows", ENG_F32, 3, (int32_t[]){1, PIXELS, FEATURES});
        check_dims(&info->output[1], "quanta", ENG_U8, 2, (int32_t[]){1, CLASSES});
        check_dims(&info->output[2], "map", ENG_F32, 4, (int32_t[]){1, FEATURES, 4, 4});
        assert_true(info->output[1].scale == 0.25f && info->output[1].zero_point == 100);
        assert_true(info->output[0].scale == 0);
        assert_true(info->open);
        assert_non_null(strstr(info->no_classes, "it has 3 outputs (rows, quanta, ...)"));
        assert_int_equal(info->embedding, 0);
        assert_int_equal(eng_context_create(&c, m, BATCH, 3, err, sizeof(err)), 0);
        assert_null(eng_context_output(c, 0, 0)); /* nothing was run */
        for (int batch = 1; batch <= BATCH; batch++)
            for (int members = 1; members <= 3; members++) {
                for (int slot = 0; slot < batch; slot++)
                    for (int i = 0; i < PIXELS * 3; i++)
                        ((float *)eng_context_input(c, slot))[i] = pixel(batch + slot, i);
                run(c, batch, members);
                for (int slot = 0; slot < batch; slot++)
                    check_answer(c, slot, batch + slot);
            }
        eng_context_destroy(c);
        eng_model_unref(m);
    }
}

static void manifest_names_the_scores(void **state)
{
    (void)state;
    static const char chosen[] = "{\"output\": \"quanta\", \"activation\": \"softmax\"}";
    static const char map[] = "{\"output\": \"map\"}", none[] = "{\"output\": \"nowhere\"}";
    static const char embeds[] = "{\"task\": \"embedding\"}";
    put_onnx();
    put_file(dir, "model.json", chosen, strlen(chosen));
    struct eng_model *m = load(0);
    const struct eng_model_info *info = eng_model_info(m);
    assert_string_equal(info->no_classes, "");
    assert_int_equal(info->outputs, CLASSES);
    assert_int_equal(info->n_outputs, 3);
    assert_false(info->open);
    eng_model_unref(m);
    put_file(dir, "model.json", map, strlen(map));
    m = load(0);
    assert_non_null(strstr(eng_model_info(m)->no_classes, "not one score for each class"));
    eng_model_unref(m);
    put_file(dir, "model.json", none, strlen(none));
    refused(ENG_E_DATA, "names the output \"nowhere\", which the model does not have");
    put_file(dir, "model.json", embeds, strlen(embeds));
    refused(ENG_E_DATA, "makes an embedding, and not which \"output\" of 3 that is");
}

static void two_of_one_name(void **state)
{
    (void)state;
    static struct onw_model m;
    write_onnx(&m);
    m.output[2] = "rows";
    put_file(dir, "net.onnx", whole, onw_write(&m, whole));
    refused(ENG_E_UNSUPPORTED, "two outputs are named \"rows\"");
}

static void no_way_to_quantise(void **state)
{
    (void)state;
    struct eng_quantizer *q = NULL;
    struct eng_quantize_options o = {0};
    put_onnx();
    assert_int_equal(eng_quantizer_create(&q, dir, &o, 1, err, sizeof(err)), ENG_E_UNSUPPORTED);
    assert_non_null(strstr(err, "3 outputs"));
}

static void no_way_to_compress(void **state)
{
    (void)state;
    struct eng_compress_sizes sizes;
    char to[128];
    snprintf(to, sizeof(to), "%s/2", root);
    put_onnx();
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(eng_compress_folder(&sizes, dir, to, 16, err, sizeof(err)), ENG_E_UNSUPPORTED);
    assert_non_null(strstr(err, "3 outputs"));
}

/* What was taught reads the embedding in front of the output that the manifest named. */
static void taught_keeps_the_name(void **state)
{
    (void)state;
    static const char chosen[] = "{\"output\": \"quanta\"}";
    float w[2 * FEATURES] = {1, 2}, b[2] = {3, 4};
    const char *labels[2] = {"one", "two"};
    struct eng_teach_head head = {
        .classes = 2, .d = FEATURES, .w = w, .b = b, .labels = labels, .source = "a test"};
    char to[128];
    snprintf(to, sizeof(to), "%s/2", root);
    put_onnx();
    put_file(dir, "model.json", chosen, strlen(chosen));
    assert_int_equal(mkdir(to, 0700), 0);
    if (eng_teach_save(dir, to, &head, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    snprintf(dir, sizeof(dir), "%s", to);
    struct eng_model *m = load(0);
    assert_int_equal(eng_model_info(m)->outputs, 2);
    assert_int_equal(eng_model_info(m)->n_outputs, 1);
    assert_string_equal(eng_model_info(m)->no_classes, "");
    eng_model_unref(m);
}

/* ---- the TFLite network ---- */

static void put_tflite(const struct tfw_model *m)
{
    put_file(dir, "net.tflite", whole, tfw_write(m, whole));
}

static void fill_bytes(struct eng_context *c, int batch)
{
    for (int slot = 0; slot < batch; slot++)
        for (int i = 0; i < PIXELS * 3; i++)
            ((uint8_t *)eng_context_input(c, slot))[i] = (uint8_t)(i * 31 + slot * 17 + batch);
}

/* Scores, and the outputs that both have, at every batch and team, in every bit. */
static void same_bits(struct eng_model *fast, struct eng_model *other)
{
    struct eng_context *a, *b;
    const struct eng_model_info *info = eng_model_info(fast);
    assert_int_equal(eng_context_create(&a, fast, BATCH, 3, err, sizeof(err)), 0);
    assert_int_equal(eng_context_create(&b, other, BATCH, 1, err, sizeof(err)), 0);
    for (int batch = 1; batch <= BATCH; batch++)
        for (int members = 1; members <= 3; members++) {
            fill_bytes(a, batch);
            fill_bytes(b, batch);
            run(a, batch, members);
            run(b, batch, 1);
            for (int slot = 0; slot < batch; slot++) {
                assert_memory_equal(eng_context_logits(a, slot), eng_context_logits(b, slot),
                                    sizeof(float) * (size_t)info->outputs);
                for (int i = 0; i < eng_model_info(other)->n_outputs; i++)
                    assert_memory_equal(eng_context_output(a, slot, i),
                                        eng_context_output(b, slot, i), info->output[i].bytes);
            }
        }
    eng_context_destroy(a);
    eng_context_destroy(b);
}

/* Softmax and sigmoid of the same logits: neither leads to the other. */
static void tflite_gives_two(void **state)
{
    (void)state;
    static struct tfw_model m;
    tfw_sample(&m);
    int made = m.n_tensors++;
    m.tensor[made] = m.tensor[TFW_OUTPUT];
    m.tensor[made].name = "each";
    m.op[m.n_ops++] = (struct tfw_op){.code = 14, .n_in = 1, .in = {TFW_LOGITS}, .out = made};
    m.n_more = 1;
    m.more[0] = made;
    put_tflite(&m);
    struct eng_model *fast = load(0), *reference = load(1);
    const struct eng_model_info *info = eng_model_info(fast);
    assert_int_equal(info->n_outputs, 2);
    check_dims(&info->output[0], "each", ENG_U8, 2, (int32_t[]){1, 3});
    check_dims(&info->output[1], "output", ENG_U8, 2, (int32_t[]){1, 3});
    assert_true(info->output[0].scale == 1.0f / 256);
    assert_true(info->open);
    same_bits(fast, reference);
    eng_model_unref(fast);
    eng_model_unref(reference);
}

/* A map in front of the classes, beside them: a classifier as before, and the map too. */
static void map_on_the_way(void **state)
{
    (void)state;
    static struct tfw_model m;
    tfw_sample(&m);
    put_tflite(&m);
    struct eng_model *plain = load(1);
    assert_int_equal(eng_model_info(plain)->n_outputs, 1);
    m.n_more = 1;
    m.more[0] = TFW_OUTPUT;
    m.output = TFW_DW;
    put_tflite(&m);
    struct eng_model *fast = load(0), *reference = load(1);
    const struct eng_model_info *info = eng_model_info(fast);
    assert_int_equal(info->n_outputs, 2);
    check_dims(&info->output[0], "output", ENG_U8, 2, (int32_t[]){1, 3});
    check_dims(&info->output[1], "dw", ENG_U8, 4, (int32_t[]){1, 4, 4, 4});
    assert_false(info->open);
    assert_string_equal(info->no_classes, "");
    assert_int_equal(info->end, ENG_ACTIVATION_SOFTMAX);
    assert_int_equal(info->embedding, 4);
    same_bits(fast, plain);
    same_bits(fast, reference);
    eng_model_unref(plain);
    eng_model_unref(fast);
    eng_model_unref(reference);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(onnx_gives_three),   IN_FOLDER(manifest_names_the_scores),
        IN_FOLDER(two_of_one_name),    IN_FOLDER(no_way_to_quantise),
        IN_FOLDER(no_way_to_compress), IN_FOLDER(taught_keeps_the_name),
        IN_FOLDER(tflite_gives_two),   IN_FOLDER(map_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
