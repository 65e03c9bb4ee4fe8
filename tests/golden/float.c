/* Float models against the golden answers of another engine, on the same input tensors, in both
 * plans: within the tolerance that the golden answers state. */
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const double MAX_LOGIT = 5e-4, MAX_PROBABILITY = 2e-5, MAX_BF16 = 0.02;

static const struct golden_case cases[] = {
    {"vww_96_float", {"vww/vww_96_float.tflite"}, 96, 2},
};
enum { N_CASES = sizeof(cases) / sizeof(*cases) };

static float *answers(const struct golden_case *c, const char *kind)
{
    char path[256];
    size_t size;
    snprintf(path, sizeof(path), "golden/float/%s.%s_8x%d.f32", c->name, kind, c->outputs);
    unsigned char *bytes = golden_read(path, &size);
    assert_int_equal(size, sizeof(float) * GOLDEN_IMAGES * (size_t)c->outputs);
    return (float *)(void *)bytes;
}

static void compare(const struct golden_case *c, const void *have, const float *want, int image,
                    double most)
{
    const float *h = have;
    want += (size_t)image * (size_t)c->outputs;
    for (int i = 0; i < c->outputs; i++)
        if (!(fabs((double)h[i] - (double)want[i]) <= most))
            fail_msg("%s image %d: output %d is %g, golden %g", c->name, image, i, (double)h[i],
                     (double)want[i]);
}

static void check(const struct golden_case *c, enum golden_plan plan)
{
    struct golden_model m;
    golden_load(&m, c, plan, GOLDEN_IMAGES);
    float *logits = answers(c, "logits"), *probs = answers(c, "probs");
    for (int i = 0; i < GOLDEN_IMAGES; i++)
        golden_input_f32(&m, c, i, i);
    assert_int_equal(eng_run_exec(m.run, GOLDEN_IMAGES, NULL), 0);
    for (int i = 0; i < GOLDEN_IMAGES; i++) {
        compare(c, eng_run_tensor(m.run, m.g->logits, i), logits, i, MAX_LOGIT);
        compare(c, eng_run_tensor(m.run, m.g->output, i), probs, i, MAX_PROBABILITY);
    }
    free(logits);
    free(probs);
    golden_unload(&m);
}

/* bf16 beside fp32, on the same tensors: what rounding costs, held to a bound. */
static void bf16_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++) {
        const struct golden_case *c = &cases[i];
        struct golden_model m;
        golden_load(&m, c, GOLDEN_BF16, GOLDEN_IMAGES);
        float *probs = answers(c, "probs");
        for (int k = 0; k < GOLDEN_IMAGES; k++)
            golden_input_f32(&m, c, k, k);
        assert_int_equal(eng_run_exec(m.run, GOLDEN_IMAGES, NULL), 0);
        double most = 0;
        for (int k = 0; k < GOLDEN_IMAGES * c->outputs; k++) {
            const float *have = eng_run_tensor(m.run, m.g->output, k / c->outputs);
            most = fmax(most, fabs((double)have[k % c->outputs] - (double)probs[k]));
        }
        print_message("%s in bf16: probabilities off by at most %.5f\n", c->name, most);
        assert_true(most > 0 && most < MAX_BF16);
        free(probs);
        golden_unload(&m);
    }
    (void)state;
}

static void fast_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check(&cases[i], GOLDEN_FAST);
    (void)state;
}

/* Products of bf16 parts, on plain C where the processor has no tiles: fp32's own bounds. */
static void fp32x_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check(&cases[i], GOLDEN_FP32X);
    (void)state;
}

static void reference_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check(&cases[i], GOLDEN_REFERENCE);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_answers),
        cmocka_unit_test(reference_answers),
        cmocka_unit_test(bf16_answers),
        cmocka_unit_test(fp32x_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
