/* TF.js layers models with real weights (float32, and uint8 with a range each) against the answers
 * of another engine, on the same input tensors, in both plans. */
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/importers/import.h"

static const double MAX_LOGIT = 5e-4, MAX_PROBABILITY = 2e-5;

static const struct {
    struct golden_case c;
    int plus_minus_one; /* pixels as -1 .. 1, else 0 .. 1 */
} rows[] = {
    {{"mobilenet_v1_0.25_224", {"imagenet/mobilenet_v1_0.25_224_tfjs", NULL}, 224, 1000}, 1},
    {{"nsfw_mobilenet_v2_224", {"moderation/nsfwjs_mobilenet_v2", NULL}, 224, 5}, 0},
};

static void load(struct golden_model *m, const struct golden_case *c, int reference)
{
    static const char *const names[2] = {"model.json", "weights.bin"};
    struct eng_part parts[2];
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    char path[256], err[256] = "";
    memset(m, 0, sizeof(*m));
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "models/%s/%s", c->files[0], names[i]);
        m->bytes[i] = golden_read(path, &parts[i].len);
        parts[i].name = names[i];
        parts[i].bytes = m->bytes[i];
    }
    if (eng_import_tfjs(&m->g, parts, 2, (struct eng_open_size){0}, err, sizeof(err)) < 0 ||
        (!reference && eng_graph_fold(m->g, err, sizeof(err)) < 0) ||
        eng_plan_create(&m->plan, m->g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&m->run, m->plan, GOLDEN_IMAGES, 1, err, sizeof(err)) < 0)
        fail_msg("%s: %s", c->name, err);
}

static float *answers(const struct golden_case *c, const char *kind)
{
    char path[256];
    size_t size;
    snprintf(path, sizeof(path), "golden/float/%s.%s_8x%d.f32", c->name, kind, c->outputs);
    unsigned char *bytes = golden_read(path, &size);
    assert_int_equal(size, sizeof(float) * GOLDEN_IMAGES * (size_t)c->outputs);
    return (float *)(void *)bytes;
}

static double worst(const struct golden_case *c, const float *have, const float *want, int image)
{
    double most = 0;
    want += (size_t)image * (size_t)c->outputs;
    for (int i = 0; i < c->outputs; i++) {
        double d = fabs((double)have[i] - (double)want[i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

static void check(const struct golden_case *c, int plus_minus_one, int reference)
{
    struct golden_model m;
    load(&m, c, reference);
    float *logits = answers(c, "logits"), *probs = answers(c, "probs");
    size_t size, one = (size_t)c->side * (size_t)c->side * 3 * sizeof(float);
    unsigned char *inputs = golden_read("golden/inputs/inputs_8x224x224x3_pm1.f32", &size);
    assert_int_equal(size, one * GOLDEN_IMAGES);
    double dl = 0, dp = 0;
    for (int i = 0; i < GOLDEN_IMAGES; i++) {
        golden_input_f32(&m, c, i, i);
        if (plus_minus_one)
            memcpy(eng_run_input(m.run, i), inputs + one * (size_t)i, one);
    }
    assert_int_equal(eng_run_exec(m.run, GOLDEN_IMAGES, NULL), 0);
    for (int i = 0; i < GOLDEN_IMAGES; i++) {
        dl = fmax(dl, worst(c, eng_run_tensor(m.run, m.g->logits, i), logits, i));
        dp = fmax(dp, worst(c, eng_run_tensor(m.run, m.g->output, i), probs, i));
    }
    print_message("# %s %s: logits differ by %.2g, probabilities by %.2g\n", c->name,
                  reference ? "reference" : "fast", dl, dp);
    assert_true(dl <= MAX_LOGIT);
    assert_true(dp <= MAX_PROBABILITY);
    free(inputs);
    free(logits);
    free(probs);
    golden_unload(&m);
}

static void fast_answers(void **state)
{
    golden_need_shared();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check(&rows[i].c, rows[i].plus_minus_one, 0);
    (void)state;
}

static void reference_answers(void **state)
{
    golden_need_shared();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check(&rows[i].c, rows[i].plus_minus_one, 1);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_answers),
        cmocka_unit_test(reference_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
