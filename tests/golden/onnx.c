/* ONNX files against the golden answers of another engine, in both plans: float models within the
 * tolerance that the golden answers state, the quantised one in every quantum. */
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const double MAX_LOGIT = 5e-4, MAX_PROBABILITY = 2e-5;

static const struct {
    struct golden_case c;
    enum golden_pixels pixels;
} cases[] = {
    {{"mobilenet_v1_0.25_224", {"onnx/mobilenet_v1_0.25_224.onnx"}, 224, 1000}, GOLDEN_PM1},
    {{"mobilenet_v1_0.25_224_bn_nhwc", {"onnx/mobilenet_v1_0.25_224_bn_nhwc.onnx"}, 224, 1000},
     GOLDEN_PM1},
    {{"mobilenet_v1_1.0_224", {"onnx/mobilenet_v1_1.0_224.onnx"}, 224, 1001}, GOLDEN_PM1},
    {{"mobilenet_v2_1.0_224", {"onnx/mobilenet_v2_1.0_224.onnx"}, 224, 1001}, GOLDEN_PM1},
    {{"nsfw_mobilenet_v2_224", {"onnx/nsfw_mobilenet_v2_224.onnx"}, 224, 5}, GOLDEN_01},
    {{"mobilenet_v1_1.0_224_qdq", {"onnx/mobilenet_v1_1.0_224_qdq.onnx"}, 224, 1001},
     GOLDEN_QUANTA},
};
enum { N_CASES = sizeof(cases) / sizeof(*cases), QDQ = N_CASES - 1 };

static double compare(const struct golden_case *c, const char *kind, const float *have, int image,
                      double most)
{
    char path[256];
    size_t size, n = (size_t)c->outputs;
    double worst = 0;
    snprintf(path, sizeof(path), "golden/float/%s.%s_8x%d.f32", c->name, kind, c->outputs);
    unsigned char *bytes = golden_read(path, &size);
    assert_int_equal(size, sizeof(float) * GOLDEN_IMAGES * n);
    const float *want = (const float *)(void *)bytes + (size_t)image * n;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)have[i] - (double)want[i]);
        if (!(off <= most))
            fail_msg("%s image %d: %s %zu is %g, golden %g", c->name, image, kind, i,
                     (double)have[i], (double)want[i]);
        worst = off > worst ? off : worst;
    }
    free(bytes);
    return worst;
}

static void check(int k, int reference, int images)
{
    const struct golden_case *c = &cases[k].c;
    struct golden_model m;
    double dl = 0, dp = 0;
    golden_load(&m, c, reference, images);
    for (int i = 0; i < images; i++)
        golden_input_as(&m, c, i, i, cases[k].pixels);
    assert_int_equal(eng_run_exec(m.run, images, NULL), 0);
    for (int i = 0; i < images; i++) {
        double l = compare(c, "logits", eng_run_tensor(m.run, m.g->logits, i), i, MAX_LOGIT);
        double p = compare(c, "probs", eng_run_tensor(m.run, m.g->output, i), i, MAX_PROBABILITY);
        dl = l > dl ? l : dl;
        dp = p > dp ? p : dp;
    }
    print_message("# %s, %s plan: max |dlogit| %.2g, max |dp| %.2g over %d images\n", c->name,
                  reference ? "reference" : "fast", dl, dp, images);
    golden_unload(&m);
}

static void fast_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check(i, 0, GOLDEN_IMAGES);
    (void)state;
}

static void reference_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check(i, 1, golden_quick() ? 1 : 2);
    (void)state;
}

/* The quanta under the logits: those of the TFLite model, of which the file is a conversion. */
static void quanta(void **state)
{
    golden_need_shared();
    const struct golden_case *c = &cases[QDQ].c;
    size_t size, n = (size_t)c->outputs;
    unsigned char *want =
        golden_read("golden/integer/mobilenet_v1_1.0_224_quant.xnnpack.logits_8x1001.u8", &size);
    assert_int_equal(size, GOLDEN_IMAGES * n);
    for (int reference = 0; reference < 2; reference++) {
        struct golden_model m;
        int images = reference ? 1 : GOLDEN_IMAGES, convolutions = 0;
        golden_load(&m, c, reference, images);
        for (int i = 0; i < m.g->n_nodes; i++) {
            const struct eng_node *node = &m.g->nodes[i];
            if (node->op != ENG_OP_CONV && node->op != ENG_OP_DEPTHWISE && node->op != ENG_OP_FC)
                continue;
            assert_int_equal(m.g->tensors[node->in[1]].type, ENG_U8);
            assert_int_equal(m.g->tensors[node->out].type, ENG_U8);
            convolutions++;
        }
        assert_int_equal(convolutions, 28);
        const struct eng_node *last = &m.g->nodes[m.g->tensors[m.g->logits].producer];
        assert_int_equal(last->op, ENG_OP_DEQUANTIZE);
        const struct eng_quant q = m.g->tensors[last->in[0]].quant;
        for (int i = 0; i < images; i++)
            golden_input_as(&m, c, i, i, cases[QDQ].pixels);
        assert_int_equal(eng_run_exec(m.run, images, NULL), 0);
        for (int i = 0; i < images; i++) {
            const float *have = eng_run_tensor(m.run, m.g->logits, i);
            for (size_t k = 0; k < n; k++) {
                float real = (float)(want[(size_t)i * n + k] - q.zero_point[0]) * q.scale[0];
                if (have[k] != real)
                    fail_msg("image %d: logit %zu is %g, golden %g", i, k, (double)have[k],
                             (double)real);
            }
        }
        golden_unload(&m);
    }
    free(want);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_answers),
        cmocka_unit_test(reference_answers),
        cmocka_unit_test(quanta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
