/* ONNX operators on quanta, alone, against the bytes that ONNX Runtime 1.30 makes of them.
 *
 * Input x as in onnx_nets.h, quantised by x_scale and x_zero; each network ends with a
 * DequantizeLinear, so that its output is floats. */
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
#include "tests/unit/onnx_writer.h"

static _Alignas(64) uint8_t whole[ONW_BYTES];
static char err[512];

enum { C = 6, H = 5, W = 7, MOST = 512 };

/* Scales, and zero points of each type. */
static const float pixel = 1.0f / 127, of256 = 1.0f / 256, of4096 = 1.0f / 4096;
static const float of200 = 1.0f / 200, of100 = 1.0f / 100, of1000 = 1.0f / 1000;
static const uint8_t none = 0, middle = 128, sixty = 60;
static const int8_t low = -128, three = 3;

static void quantum(struct onw_model *m, const char *scale, const char *zero, const float *s,
                    int type, const void *z)
{
    onw_floats(m, scale, s, (int[]){0});
    onw_bytes(m, zero, type, z, (int[]){0});
}

/* x to q, in u8 around 128 or in i8 around 3. */
static void begin(struct onw_model *m, int is_signed)
{
    onw_begin(m, C, H, W);
    quantum(m, "xs", "xz", &pixel, is_signed ? ONW_INT8 : ONW_UINT8,
            is_signed ? (const void *)&three : &middle);
    onw_add(m, "QuantizeLinear", "q", "x", "xs", "xz");
}

static struct onw_node *own(struct onw_model *m, const char *type, const char *in)
{
    struct onw_node *n = onw_add(m, type, "y", in, "xs", "xz");
    n->domain = "com.microsoft";
    n->in[3] = "ys";
    n->in[4] = "yz";
    return n;
}

static void finish(struct onw_model *m)
{
    onw_add(m, "DequantizeLinear", "out", "y", "ys", "yz");
    m->output[0] = "out";
}

static void softmax_channels(struct onw_model *m)
{
    begin(m, 0);
    quantum(m, "ys", "yz", &of256, ONW_UINT8, &none);
    struct onw_node *n = own(m, "QLinearSoftmax", "q");
    onw_int(n, "axis", 1);
    onw_int(n, "opset", 13);
    finish(m);
}

static void softmax_signed(struct onw_model *m)
{
    begin(m, 1);
    quantum(m, "ys", "yz", &of256, ONW_INT8, &low);
    struct onw_node *n = own(m, "QLinearSoftmax", "q");
    onw_int(n, "axis", -1);
    onw_int(n, "opset", 13);
    finish(m);
}

/* Before operator set 13: over a whole row. */
static void softmax_row(struct onw_model *m)
{
    begin(m, 0);
    onw_int(onw_add(m, "Flatten", "row", "q", NULL, NULL), "axis", 1);
    quantum(m, "ys", "yz", &of4096, ONW_UINT8, &none);
    struct onw_node *n = own(m, "QLinearSoftmax", "row");
    onw_int(n, "axis", 1);
    onw_int(n, "opset", 11);
    finish(m);
}

static void leaky(struct onw_model *m)
{
    begin(m, 0);
    quantum(m, "ys", "yz", &of200, ONW_UINT8, &sixty);
    onw_float(own(m, "QLinearLeakyRelu", "q"), "alpha", 0.1f);
    finish(m);
}

static void concat(struct onw_model *m)
{
    begin(m, 0);
    quantum(m, "ys", "yz", &of100, ONW_UINT8, &sixty);
    struct onw_node *n = own(m, "QLinearConcat", "q");
    static const char *const in[6] = {"ys", "yz", "q", "xs", "xz", NULL};
    for (int i = 0; i < 6; i++)
        n->in[i] = in[i];
    onw_int(n, "axis", 1);
    finish(m);
}

/* Between pairs of DequantizeLinear and QuantizeLinear. */
static void mean(struct onw_model *m, int is_signed, int keep)
{
    static const int64_t axes[2] = {2, 3};
    begin(m, is_signed);
    quantum(m, "ys", "yz", &of1000, is_signed ? ONW_INT8 : ONW_UINT8,
            is_signed ? (const void *)&three : &sixty);
    onw_add(m, "DequantizeLinear", "r", "q", "xs", "xz");
    struct onw_node *n = onw_add(m, "ReduceMean", "mean", "r", NULL, NULL);
    onw_ints(n, "axes", 2, axes);
    onw_int(n, "keepdims", keep);
    onw_add(m, "QuantizeLinear", "y", "mean", "ys", "yz");
    finish(m);
}

static void mean_pair(struct onw_model *m)
{
    mean(m, 0, 1);
}

static void mean_signed(struct onw_model *m)
{
    mean(m, 1, 0);
}

static void mean_own(struct onw_model *m)
{
    static const int64_t axes[2] = {2, 3};
    begin(m, 0);
    quantum(m, "ys", "yz", &of1000, ONW_UINT8, &sixty);
    struct onw_node *n = own(m, "QLinearReduceMean", "q");
    onw_ints(n, "axes", 2, axes);
    onw_int(n, "keepdims", 1);
    finish(m);
}

static const struct net {
    const char *name;
    void (*build)(struct onw_model *);
    enum eng_op op;
    enum eng_type type; /* in which the operator computes */
    int elements;
    double step; /* scale of the output */
    /* Of ONNX Runtime's quanta, the zero point taken off: all, and number i times i + 1. It has no
     * kernel for QLinearReduceMean: what the pair gives. */
    int64_t sum, weighted;
} nets[] = {
    {"softmax_channels", softmax_channels, ENG_OP_SOFTMAX, ENG_F32, 210, 1.0 / 256, 8977, 952866},
    {"softmax_signed", softmax_signed, ENG_OP_SOFTMAX, ENG_F32, 210, 1.0 / 256, 7692, 812719},
    {"softmax_row", softmax_row, ENG_OP_SOFTMAX, ENG_F32, 210, 1.0 / 4096, 4098, 435255},
    {"leaky", leaky, ENG_OP_UNARY, ENG_U8, 210, 1.0 / 200, 9526, 1020556},
    {"concat", concat, ENG_OP_CONCAT, ENG_U8, 210, 1.0 / 100, 861, 103490},
    {"mean_pair", mean_pair, ENG_OP_MEAN, ENG_U8, 6, 1.0 / 1000, -8, 70},
    {"mean_signed", mean_signed, ENG_OP_MEAN, ENG_I8, 6, 1.0 / 1000, -10, 62},
    {"mean_own", mean_own, ENG_OP_MEAN, ENG_U8, 6, 1.0 / 1000, -8, 70},
};

/* Quanta of the output, one after the other in ONNX's order. */
static int quanta(const struct eng_graph *g, int reference, double step, int64_t *ret)
{
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    struct eng_plan *plan;
    struct eng_run *run;
    if (eng_plan_create(&plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&run, plan, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    const struct eng_tensor *y = &g->tensors[g->output];
    float *in = eng_run_input(run, 0);
    int n = (int)eng_tensor_elements(y), image = y->rank == 4 && y->dim[3] == C;
    for (int i = 0; i < C * H * W; i++)
        in[i % (H * W) * C + i / (H * W)] = (float)(i * 37 % 97 - 48) / 48.0f;
    assert_int_equal(eng_run_exec(run, 1, NULL), 0);
    assert_in_range(n, 1, MOST);
    const float *out = eng_run_tensor(run, g->output, 0);
    int pixels = n / C;
    for (int i = 0; i < n; i++)
        ret[i] = llround((double)out[image ? i % pixels * C + i / pixels : i] / step);
    eng_run_destroy(run);
    eng_plan_destroy(plan);
    return n;
}

static void check_answer(const struct net *net, const struct eng_graph *g, int reference)
{
    int64_t q[MOST], sum = 0, weighted = 0;
    int n = quanta(g, reference, net->step, q);
    for (int i = 0; i < n; i++) {
        sum += q[i];
        weighted += q[i] * (i + 1);
    }
    if (n != net->elements || sum != net->sum || weighted != net->weighted)
        fail_msg("%s, %s plan: %d elements, %lld and %lld", net->name,
                 reference ? "reference" : "fast", n, (long long)sum, (long long)weighted);
}

static void answers(void **state)
{
    (void)state;
    static struct onw_model m;
    for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
        struct eng_graph *g;
        int seen = 0;
        nets[i].build(&m);
        if (eng_import_onnx(&g, whole, onw_write(&m, whole), (struct eng_open_size){0}, err,
                            sizeof(err)) < 0)
            fail_msg("%s: %s", nets[i].name, err);
        for (int k = 0; k < g->n_nodes; k++)
            if (g->nodes[k].op == nets[i].op) {
                assert_int_equal(g->tensors[g->nodes[k].in[0]].type, nets[i].type);
                seen++;
            }
        assert_int_equal(seen, 1);
        check_answer(&nets[i], g, 1);
        if (eng_graph_fold(g, err, sizeof(err)) < 0)
            fail_msg("%s: %s", nets[i].name, err);
        check_answer(&nets[i], g, 0);
        eng_graph_destroy(g);
    }
}

/* ---- faults ---- */

static void refused(const struct onw_model *m, const char *says)
{
    struct eng_graph *g = NULL;
    int rc = eng_import_onnx(&g, whole, onw_write(m, whole), (struct eng_open_size){0}, err,
                             sizeof(err));
    if (rc >= 0 || !strstr(err, says))
        fail_msg("wanted '%s', got %d '%s'", says, rc, err);
}

static void faults(void **state)
{
    (void)state;
    static struct onw_model m;
    softmax_channels(&m);
    m.node[1].attribute[0].i[0] = 2;
    refused(&m, "not over the last axis or the channels");
    softmax_channels(&m);
    m.node[1].attribute[0].i[0] = 9;
    refused(&m, "axis is 9");
    softmax_channels(&m);
    m.node[1].in[3] = m.node[1].in[4] = NULL;
    refused(&m, "lacks an input");
    mean_own(&m);
    m.node[1].attribute[0].i[0] = 1;
    refused(&m, "only the mean over height and width");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
