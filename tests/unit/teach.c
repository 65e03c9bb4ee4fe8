/* Teaching: the fit on clouds of points, and a head on a quantised backbone from folder to answers.
 */
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
#include "engine/teach.h"
#include "tests/unit/tflite_writer.h"
#include "tests/unit/put_file.h"

static char err[512], root[64], from[128], to[128];
static uint32_t seed;

static float uniform(void)
{
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) / (float)(1 << 23) - 1;
}

/* ---- the fit ---- */

enum { N = 120, D = 6, CLASSES = 3 };

static void clouds(struct eng_teach_data *data, float *x, int *label, float spread)
{
    seed = 3;
    for (int i = 0; i < N; i++) {
        label[i] = i % CLASSES;
        for (int c = 0; c < D; c++)
            x[i * D + c] = 100 + 3.0f * (c == label[i]) + spread * uniform();
    }
    *data = (struct eng_teach_data){N, D, CLASSES, x, label};
}

static int right(const struct eng_teach_data *data, const float *w, const float *b)
{
    int n = 0;
    for (int i = 0; i < data->n; i++)
        n += eng_teach_best(data, w, b, data->x + (size_t)i * D) == data->label[i];
    return n;
}

static void separable_classes(void **state)
{
    (void)state;
    struct eng_teach_data data;
    float x[N * D], w[CLASSES * D], b[CLASSES], again[CLASSES * D];
    int label[N];
    clouds(&data, x, label, 1);
    assert_int_equal(eng_teach_fit(&data, w, b), 0);
    assert_int_equal(right(&data, w, b), N);
    for (int k = 0; k < CLASSES; k++)
        for (int c = 0; c < D; c++)
            assert_true(c >= CLASSES || (c == k) == (w[k * D + c] > 0));
    assert_int_equal(eng_teach_fit(&data, again, b), 0);
    assert_memory_equal(w, again, sizeof(w));
    clouds(&data, x, label, 4); /* they overlap now: most, not all */
    assert_int_equal(eng_teach_fit(&data, w, b), 0);
    assert_in_range(right(&data, w, b), N * 6 / 10, N - 1);
}

/* Logistic regression's own law: on the pictures that it learned from, mean probability of a class
 * is that class's share, whatever the penalty (the bias has none). */
static void probabilities_are_calibrated(void **state)
{
    (void)state;
    struct eng_teach_data data;
    float x[N * D], w[CLASSES * D], b[CLASSES];
    double mean[CLASSES] = {0};
    int label[N];
    clouds(&data, x, label, 4);
    assert_int_equal(eng_teach_fit(&data, w, b), 0);
    for (int i = 0; i < N; i++) {
        double z[CLASSES], sum = 0;
        for (int k = 0; k < CLASSES; k++) {
            z[k] = (double)b[k];
            for (int c = 0; c < D; c++)
                z[k] += (double)w[k * D + c] * (double)x[i * D + c];
            sum += z[k] = exp(z[k]);
        }
        for (int k = 0; k < CLASSES; k++)
            mean[k] += z[k] / sum / N;
    }
    for (int k = 0; k < CLASSES; k++)
        assert_true(fabs(mean[k] - 1.0 / CLASSES) < 1e-3);
}

static void a_rare_class_counts_as_much(void **state)
{
    (void)state;
    float x[101], w[2], b[2];
    int label[101];
    seed = 9;
    for (int i = 0; i < 101; i++) { /* one at +1 against a hundred around -1 */
        label[i] = i == 0;
        x[i] = i == 0 ? 1 : -1 + 0.1f * uniform();
    }
    struct eng_teach_data data = {101, 1, 2, x, label};
    assert_int_equal(eng_teach_fit(&data, w, b), 0);
    float near = 0.2f, far = -0.2f;
    assert_int_equal(eng_teach_best(&data, w, b, &near), 1);
    assert_int_equal(eng_teach_best(&data, w, b, &far), 0);
}

static void wrong_data(void **state)
{
    (void)state;
    float x[4] = {0}, w[4], b[2];
    int label[2] = {0, 2};
    struct eng_teach_data data = {2, 2, 2, x, label};
    assert_int_equal(eng_teach_fit(&data, w, b), -EINVAL);
    label[1] = -1;
    assert_int_equal(eng_teach_fit(&data, w, b), -EINVAL);
    data.n = 0;
    assert_int_equal(eng_teach_fit(&data, w, b), -EINVAL);
    data = (struct eng_teach_data){2, 2, 1, x, label};
    assert_int_equal(eng_teach_fit(&data, w, b), -EINVAL);
    label[1] = 1; /* embeddings that are all alike teach nothing, and break nothing */
    data.classes = 2;
    assert_int_equal(eng_teach_fit(&data, w, b), 0);
    for (int i = 0; i < 4; i++)
        assert_true(isfinite(w[i]) && isfinite(b[i / 2]));
}

/* ---- folders ---- */

static int make_folders(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t bytes[TFW_BYTES];
    struct tfw_model m;
    snprintf(root, sizeof(root), "/tmp/mobilenetd-teach-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(from, sizeof(from), "%s/from", root);
    snprintf(to, sizeof(to), "%s/to", root);
    mkdir(from, 0700);
    mkdir(to, 0700);
    tfw_sample(&m);
    put_file(from, "net.tflite", bytes, tfw_write(&m, bytes));
    static const char manifest[] = "{\"shown_outputs\":\"all\"}";
    put_file(from, "model.json", manifest, sizeof(manifest) - 1);
    return 0;
}

static int drop_folders(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static struct eng_context *context(const char *dir, int reference)
{
    struct eng_model *m;
    struct eng_context *c;
    struct eng_model_options o = {.reference = reference};
    if (eng_model_load(&m, dir, &o, err, sizeof(err)) < 0 ||
        eng_context_create(&c, m, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    eng_model_unref(m);
    return c;
}

static const float W[8] = {0.5f, -1, 2, 0.25f, -0.75f, 1, 0.125f, -2}, B[2] = {0.5f, -0.25f};
static const char *const LABELS[2] = {"one", "two"};
static const struct eng_teach_head head = {4, 2, W, B, LABELS, "a test"};

static void head_reads_the_embedding(void **state)
{
    (void)state;
    struct eng_model *m;
    if (eng_teach_save(from, to, &head, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_model_load(&m, to, NULL, err, sizeof(err)), 0);
    const struct eng_model_info *info = eng_model_info(m);
    assert_int_equal(info->outputs, 2);
    assert_int_equal(info->embedding, 4);
    assert_int_equal(info->shows_all, 1); /* as the model that it was made of */
    assert_string_equal(eng_model_label(m, 1), "two");
    size_t pixels = (size_t)info->preprocess.height * (size_t)info->preprocess.width * 3;
    for (int reference = 0; reference < 2; reference++) {
        struct eng_context *old = context(from, reference), *new = context(to, reference);
        for (int picture = 0; picture < 4; picture++) {
            seed = (uint32_t)picture;
            for (size_t i = 0; i < pixels; i++)
                ((uint8_t *)eng_context_input(old, 0))[i] =
                    ((uint8_t *)eng_context_input(new, 0))[i] = (uint8_t)(128 + 127 * uniform());
            assert_int_equal(eng_context_run(old, 1, NULL), 0);
            assert_int_equal(eng_context_run(new, 1, NULL), 0);
            const float *e = eng_context_embedding(old, 0);
            for (int k = 0; k < 2; k++) {
                float z = B[k];
                for (int c = 0; c < 4; c++)
                    z += W[k * 4 + c] * e[c];
                assert_true(fabsf(eng_context_logits(new, 0)[k] - z) < 1e-4f);
            }
        }
        eng_context_destroy(old);
        eng_context_destroy(new);
    }
    eng_model_unref(m);
}

static void refused(const char *manifest, int code, const char *says)
{
    struct eng_model *m = NULL;
    put_file(to, "model.json", manifest, strlen(manifest));
    int rc = eng_model_load(&m, to, NULL, err, sizeof(err));
    if (rc != code || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
}

static void broken_heads(void **state)
{
    (void)state;
    static const char small[] = "{\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":[{"
                                "\"class_name\":\"Flatten\",\"config\":{\"name\":\"f\","
                                "\"batch_input_shape\":[null,1,1,9]}}]},\"weightsManifest\":[]}";
    assert_int_equal(eng_teach_save(from, to, &head, err, sizeof(err)), 0);
    put_file(to, "small.json", small, sizeof(small) - 1);
    refused("{\"files\":[\"net.tflite\"],\"head\":\"head.json\"}", ENG_E_DATA, "two names");
    refused("{\"files\":[\"net.tflite\"],\"head\":[\"../h\",\"b\"]}", ENG_E_DATA,
            "out of the folder");
    refused("{\"files\":[\"net.tflite\"],\"head\":[\"none.json\",\"head.bin\"]}", -ENOENT,
            "none.json");
    refused("{\"files\":[\"net.tflite\"],\"head\":[\"net.tflite\",\"head.bin\"]}", ENG_E_FORMAT,
            "the head");
    refused("{\"files\":[\"net.tflite\"],\"head\":[\"small.json\",\"head.bin\"]}", ENG_E_DATA,
            "do not fit");
    struct eng_teach_head wide = head;
    wide.d = 2;
    assert_int_equal(eng_teach_save(from, to, &wide, err, sizeof(err)), 0);
    struct eng_model *m;
    assert_int_equal(eng_model_load(&m, to, NULL, err, sizeof(err)), ENG_E_DATA);
    assert_non_null(strstr(err, "do not fit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separable_classes),
        cmocka_unit_test(probabilities_are_calibrated),
        cmocka_unit_test(a_rare_class_counts_as_much),
        cmocka_unit_test(wrong_data),
        cmocka_unit_test_setup_teardown(head_reads_the_embedding, make_folders, drop_folders),
        cmocka_unit_test_setup_teardown(broken_heads, make_folders, drop_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
