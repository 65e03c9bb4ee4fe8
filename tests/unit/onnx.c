/* The ONNX importer: small networks against what ONNX Runtime makes of them, what becomes of their
 * nodes, and files with one fault each. Broken bytes are in onnx_hostile.c. */
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
#include "tests/unit/onnx_nets.h"
#include "tests/unit/onnx_writer.h"

static uint8_t whole[ONW_BYTES];
static char err[512];

static int import(struct eng_graph **ret, const void *bytes, size_t len)
{
    err[0] = '\0';
    *ret = NULL;
    int rc = eng_import_onnx(ret, bytes, len, (struct eng_open_size){0}, err, sizeof(err));
    if (rc < 0) {
        assert_null(*ret);
        assert_true(strlen(err) > 5);
    } else {
        assert_non_null(*ret);
    }
    return rc;
}

static struct eng_graph *import_model(const struct onw_model *m)
{
    struct eng_graph *g;
    if (import(&g, whole, onw_write(m, whole)) < 0)
        fail_msg("%s", err);
    return g;
}

/* What the file leaves open, the caller may know; what the file says stays. */
static void open_sizes(void **state)
{
    static const struct {
        int h, w;                  /* open ones */
        struct eng_open_size size; /* what stands for them */
        int want_h, want_w, code;
    } rows[] = {
        {1, 1, {8, 12}, 8, 12, 0},
        {1, 0, {16, 99}, 16, 8, 0},
        {0, 1, {99, 16}, 8, 16, 0},
        {0, 0, {16, 16}, 8, 8, 0},
        {1, 1, {8, 0}, 0, 0, ENG_E_UNSUPPORTED},
        {1, 1, {0, 8}, 0, 0, ENG_E_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct onw_model m;
        struct eng_graph *g;
        onw_begin(&m, 3, 8, 8);
        onw_add(&m, "Relu", "y", "x", NULL, NULL);
        m.output[0] = "y";
        m.input[2] = rows[i].h ? -1 : 8;
        m.input[3] = rows[i].w ? -1 : 8;
        int rc = eng_import_onnx(&g, whole, onw_write(&m, whole), rows[i].size, err, sizeof(err));
        assert_int_equal(rc, rows[i].code);
        if (rc < 0)
            continue;
        const struct eng_tensor *x = &g->tensors[g->input];
        assert_int_equal(x->dim[1], rows[i].want_h);
        assert_int_equal(x->dim[2], rows[i].want_w);
        eng_graph_destroy(g);
    }
}

/* ---- answers ---- */

/* Runs g on the input that onnx_nets.h states; the output's elements are copied out. */
static int answers(const struct eng_graph *g, int reference, float *ret, int max)
{
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    struct eng_plan *plan;
    struct eng_run *run;
    if (eng_plan_create(&plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&run, plan, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    const struct eng_tensor *x = &g->tensors[g->input], *y = &g->tensors[g->output];
    float *in = eng_run_input(run, 0);
    int channels = x->dim[3], pixels = x->dim[1] * x->dim[2], n = (int)eng_tensor_elements(y);
    for (int i = 0; i < channels * pixels; i++)
        in[i % pixels * channels + i / pixels] = (float)(i * 37 % 97 - 48) / 48.0f;
    assert_int_equal(eng_run_exec(run, 1, NULL), 0);
    assert_true(n <= max);
    assert_int_equal(y->type, ENG_F32);
    memcpy(ret, eng_run_tensor(run, g->output, 0), (size_t)n * sizeof(*ret));
    eng_run_destroy(run);
    eng_plan_destroy(plan);
    return n;
}

static void check_answers(const char *name, const struct eng_graph *g, int reference,
                          const float *want, int elements, int checked, double most)
{
    float have[512];
    int n = answers(g, reference, have, 512);
    assert_int_equal(n, elements);
    for (int i = 0; i < checked; i++) {
        int at = i * (n - 1) / (checked - 1);
        if (!(fabs((double)have[at] - (double)want[i]) <= most))
            fail_msg("%s, %s plan: element %d is %g, not %g", name,
                     reference ? "reference" : "fast", at, (double)have[at], (double)want[i]);
    }
}

static void both_plans(const char *name, const struct onw_model *m, const float *want, int elements,
                       int checked, double most)
{
    struct eng_graph *g = import_model(m);
    check_answers(name, g, 1, want, elements, checked, most);
    if (eng_graph_fold(g, err, sizeof(err)) < 0)
        fail_msg("%s: %s", name, err);
    check_answers(name, g, 0, want, elements, checked, most);
    eng_graph_destroy(g);
}

static void small_networks(void **state)
{
    static struct onw_model m;
    for (int i = 0; i < onn_n_nets; i++) {
        const struct onn_net *n = &onn_nets[i];
        n->build(&m);
        both_plans(n->name, &m, n->answer, n->elements, ONN_CHECKED, (double)n->most);
    }
    assert_true(onn_n_nets > 30);
    (void)state;
}

/* Whole samples; the numbers are ONNX Runtime's, as in onnx_nets.h. */
static void samples(void **state)
{
    static struct onw_model m;
    onw_sample(&m);
    both_plans("float", &m, (float[]){0.557515681f, 0.0224811062f, 0.191180676f, 0.228822619f}, 4,
               4, 1e-6);
    onw_sample_qdq(&m);
    both_plans("qdq", &m, (float[]){0.342948318f, 0.386673152f, 0.239266917f, 0.0311115701f}, 4, 4,
               1e-7);
    onw_sample_zoo(&m);
    both_plans("zoo", &m, (float[]){0.508151352f, 0.491848648f}, 2, 2, 1e-6);
    (void)state;
}

static int count(const struct eng_graph *g, enum eng_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].op == op;
    return n;
}

/* ---- what becomes of it ---- */

static void structure(void **state)
{
    static struct onw_model m;
    onw_sample(&m);
    struct eng_graph *g = import_model(&m);
    const struct eng_node *conv = &g->nodes[0];
    assert_int_equal(g->n_nodes, 7);
    assert_int_equal(conv->op, ENG_OP_CONV);
    assert_int_equal(conv->win.top, 0);
    assert_int_equal(conv->win.bottom, 1);
    assert_int_equal(g->nodes[2].op, ENG_OP_DEPTHWISE);
    assert_int_equal(g->nodes[2].multiplier, 1);
    assert_int_equal(count(g, ENG_OP_TRANSPOSE), 0);
    assert_string_equal(g->tensors[g->logits].name, "logits");
    assert_string_equal(g->tensors[g->output].name, "probs");
    assert_int_equal(eng_tensor_elements(&g->tensors[g->embedding]), 4);
    eng_graph_destroy(g);
    (void)state;
}

/* Integers from the first QuantizeLinear to the last DequantizeLinear. */
static void quanta_throughout(void **state)
{
    static struct onw_model m;
    onw_sample_qdq(&m);
    struct eng_graph *g = import_model(&m);
    assert_int_equal(count(g, ENG_OP_QUANTIZE), 1);
    assert_int_equal(count(g, ENG_OP_DEQUANTIZE), 1);
    assert_int_equal(count(g, ENG_OP_TRANSPOSE), 0);
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == ENG_OP_CONV || g->nodes[i].op == ENG_OP_DEPTHWISE ||
            g->nodes[i].op == ENG_OP_FC || g->nodes[i].op == ENG_OP_MEAN)
            assert_int_equal(g->tensors[g->nodes[i].out].type, ENG_U8);
    eng_graph_destroy(g);
    (void)state;
}

/* Constants that the file keeps as floats are rounded half to even, and stay inside their type. */
static void rounded_weights(void **state)
{
    static struct onw_model m;
    static const float w[8] = {0.025f, 0.035f, -0.025f, 0.0149f, 5, -5, 0, -0.0151f};
    static const int8_t want[8] = {2, 4, -2, 1, 127, -128, 0, -2};
    static const float unit = 0.01f, one = 1;
    static const int8_t zero = 0;
    onw_begin(&m, 2, 4, 4);
    onw_floats(&m, "w", w, (int[]){4, 2, 1, 1, 0});
    onw_floats(&m, "s", &unit, NULL);
    onw_floats(&m, "sx", &one, NULL);
    onw_bytes(&m, "z", ONW_INT8, &zero, NULL);
    onw_add(&m, "QuantizeLinear", "wq", "w", "s", "z");
    onw_add(&m, "DequantizeLinear", "wd", "wq", "s", "z");
    onw_add(&m, "QuantizeLinear", "xq", "x", "sx", "z");
    onw_add(&m, "DequantizeLinear", "xd", "xq", "sx", "z");
    onw_add(&m, "Conv", "c", "xd", "wd", NULL);
    onw_add(&m, "QuantizeLinear", "yq", "c", "sx", "z");
    onw_add(&m, "DequantizeLinear", "y", "yq", "sx", "z");
    m.output[0] = "y";
    struct eng_graph *g = import_model(&m);
    assert_int_equal(g->nodes[1].op, ENG_OP_CONV);
    assert_memory_equal(g->tensors[g->nodes[1].in[1]].data, want, sizeof(want));
    eng_graph_destroy(g);
    (void)state;
}

/* A model whose images have their channels last, and a Transpose that says so. */
static void channels_last(void **state)
{
    static struct onw_model m;
    onw_sample(&m);
    m.input[1] = m.input[2] = 8;
    m.input[3] = 3;
    m.node[0].in[0] = "t";
    onw_ints(onw_add(&m, "Transpose", "t", "x", NULL, NULL), "perm", 4, (int64_t[]){0, 3, 1, 2});
    struct onw_node last = m.node[m.n_nodes - 1];
    memmove(&m.node[1], &m.node[0], (size_t)(m.n_nodes - 1) * sizeof(*m.node));
    m.node[0] = last;
    both_plans("channels last", &m,
               (float[]){0.557515681f, 0.0224811062f, 0.191180676f, 0.228822619f}, 4, 4, 1e-6);
    struct eng_graph *g = import_model(&m);
    assert_int_equal(count(g, ENG_OP_TRANSPOSE), 0);
    eng_graph_destroy(g);
    (void)state;
}

/* ---- one fault at a time ---- */

typedef void break_fn(struct onw_model *m);

/* Nodes of the first sample. */
enum { CONV, RELU, DW, POOL, FLAT, FC, SOFTMAX };
enum { CONV_W, CONV_B, DW_W, FC_W, FC_B };

static void unknown_operator(struct onw_model *m)
{
    m->node[DW].type = "GridSample";
    m->node[DW].name = "up";
}
static void other_domain(struct onw_model *m)
{
    m->node[RELU].domain = "com.example";
}
static void old_opset(struct onw_model *m)
{
    m->opset = 6;
}
static void new_opset(struct onw_model *m)
{
    m->opset = 23;
}
static void own_output(struct onw_model *m)
{
    m->node[DW].in[0] = "dw";
}
static void later_output(struct onw_model *m)
{
    m->node[RELU].in[0] = "flat";
}
static void made_twice(struct onw_model *m)
{
    m->node[DW].out = "relu";
}
static void makes_a_constant(struct onw_model *m)
{
    m->node[RELU].out = "fc_w";
}
static void makes_the_input(struct onw_model *m)
{
    m->node[RELU].out = "x";
}
static void no_output(struct onw_model *m)
{
    m->node[RELU].out = NULL;
}
static void nobody_makes_it(struct onw_model *m)
{
    m->output[1] = "elsewhere";
}
static void no_outputs(struct onw_model *m)
{
    m->output[0] = NULL;
}
static void two_inputs(struct onw_model *m)
{
    m->n_inputs = 2;
}
static void no_input(struct onw_model *m)
{
    m->n_inputs = 0;
}
static void batch_of_eight(struct onw_model *m)
{
    m->input[0] = 8;
}
static void open_height(struct onw_model *m)
{
    m->input[2] = -1;
}
static void huge_height(struct onw_model *m)
{
    m->input[2] = INT64_MAX;
}
static void huge_area(struct onw_model *m)
{
    m->input[2] = m->input[3] = 1 << 20;
}
static void integer_input(struct onw_model *m)
{
    m->input_type = ONW_INT64;
}
static void short_data(struct onw_model *m)
{
    m->tensor[CONV_W].len--;
}
static void negative_dimension(struct onw_model *m)
{
    m->tensor[CONV_W].dim[0] = -4;
}
static void overflowing_shape(struct onw_model *m)
{
    m->tensor[CONV_W].dim[0] = m->tensor[CONV_W].dim[1] = 1 << 20;
}
static void wild_dimension(struct onw_model *m)
{
    m->tensor[CONV_W].dim[2] = INT64_MAX;
}
static void empty_weights(struct onw_model *m)
{
    m->tensor[CONV_W].dim[0] = 0;
    m->tensor[CONV_W].len = 0;
}
static void seven_dimensions(struct onw_model *m)
{
    m->tensor[FC_B].rank = 7;
}
static void other_file(struct onw_model *m)
{
    m->tensor[FC_W].external = 1;
}
static void strings(struct onw_model *m)
{
    m->tensor[FC_W].type = 8;
}
static void computed_weights(struct onw_model *m)
{
    m->node[DW].in[1] = "relu";
}
static void no_weights(struct onw_model *m)
{
    m->node[CONV].in[1] = NULL;
}
static void nan_weight(struct onw_model *m)
{
    static const float bad[4] = {0, NAN, 0, 0};
    m->tensor[CONV_B].data = bad;
}
static void no_stride(struct onw_model *m)
{
    m->node[CONV].attribute[0].i[1] = 0;
}
static void wild_stride(struct onw_model *m)
{
    m->node[CONV].attribute[0].i[1] = INT64_MIN;
}
static void wild_padding(struct onw_model *m)
{
    m->node[CONV].attribute[1].i[3] = INT64_MAX;
}
static void three_paddings(struct onw_model *m)
{
    m->node[CONV].attribute[1].n = 3;
}
static void no_groups(struct onw_model *m)
{
    m->node[DW].attribute[2].i[0] = 0;
}
static void wild_groups(struct onw_model *m)
{
    m->node[DW].attribute[2].i[0] = INT64_MAX;
}
static void three_groups(struct onw_model *m)
{
    m->node[DW].attribute[2].i[0] = 3;
}
static void wild_axis(struct onw_model *m)
{
    onw_int(&m->node[FLAT], "axis", INT64_MIN);
}
static void softmax_axis(struct onw_model *m)
{
    onw_int(&m->node[SOFTMAX], "axis", 2);
}
static void short_bias(struct onw_model *m)
{
    m->tensor[FC_B].dim[0] = 3;
    m->tensor[FC_B].len = 12;
}
static void turned_input(struct onw_model *m)
{
    onw_int(&m->node[FC], "transA", 1);
}
static void other_kernel(struct onw_model *m)
{
    onw_ints(&m->node[CONV], "kernel_shape", 2, (int64_t[]){3, 5});
}
static void too_many_numbers(struct onw_model *m)
{
    onw_ints(&m->node[CONV], "dilations", 8, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1});
}
static void no_inputs_at_all(struct onw_model *m)
{
    m->node[POOL].in[0] = NULL;
}

struct fault {
    break_fn *broken;
    int code;
    const char *says;
};

static void refused(void (*sample)(struct onw_model *), const struct fault *f)
{
    static struct onw_model m;
    struct eng_graph *g;
    sample(&m);
    f->broken(&m);
    int rc = import(&g, whole, onw_write(&m, whole));
    if (rc != f->code || !strstr(err, f->says))
        fail_msg("wanted %d '%s', got %d '%s'", f->code, f->says, rc, err);
}

static void faults(void **state)
{
    static const struct fault rows[] = {
        {unknown_operator, ENG_E_UNSUPPORTED, "node 2 (GridSample up): the operator is not"},
        {other_domain, ENG_E_UNSUPPORTED, "com.example"},
        {old_opset, ENG_E_UNSUPPORTED, "operator set 6"},
        {new_opset, ENG_E_UNSUPPORTED, "operator set 23"},
        {own_output, ENG_E_DATA, "cycle"},
        {later_output, ENG_E_DATA, "cycle"},
        {made_twice, ENG_E_DATA, "relu is made twice"},
        {makes_a_constant, ENG_E_DATA, "made twice"},
        {makes_the_input, ENG_E_DATA, "made twice"},
        {no_output, ENG_E_DATA, "no output"},
        {nobody_makes_it, ENG_E_DATA, "elsewhere"},
        {no_outputs, ENG_E_DATA, "no output"},
        {two_inputs, ENG_E_UNSUPPORTED, "more than one input"},
        {no_input, ENG_E_UNSUPPORTED, "no input"},
        {batch_of_eight, ENG_E_UNSUPPORTED, "batches of 8"},
        {open_height, ENG_E_UNSUPPORTED, "dimension 2"},
        {huge_height, ENG_E_LIMIT, "too large"},
        {huge_area, ENG_E_LIMIT, "too large"},
        {integer_input, ENG_E_UNSUPPORTED, "neither float"},
        {short_data, ENG_E_DATA, "conv_w has 431 bytes"},
        {negative_dimension, ENG_E_DATA, "dimension of -4"},
        {overflowing_shape, ENG_E_LIMIT, "conv_w"},
        {wild_dimension, ENG_E_LIMIT, "conv_w"},
        {empty_weights, ENG_E_UNSUPPORTED, "conv_w"},
        {seven_dimensions, ENG_E_UNSUPPORTED, "7 dimensions"},
        {other_file, ENG_E_UNSUPPORTED, "another file"},
        {strings, ENG_E_UNSUPPORTED, "element type 8"},
        {computed_weights, ENG_E_UNSUPPORTED, "not a constant"},
        {no_weights, ENG_E_UNSUPPORTED, "not a constant"},
        {nan_weight, ENG_E_DATA, "not finite"},
        {no_stride, ENG_E_DATA, "strides"},
        {wild_stride, ENG_E_DATA, "strides"},
        {wild_padding, ENG_E_DATA, "padding"},
        {three_paddings, ENG_E_DATA, "padding"},
        {no_groups, ENG_E_DATA, "channels"},
        {wild_groups, ENG_E_DATA, "channels"},
        {three_groups, ENG_E_DATA, "channels"},
        {wild_axis, ENG_E_DATA, "axis"},
        {softmax_axis, ENG_E_DATA, "axis is 2"},
        {short_bias, ENG_E_UNSUPPORTED, "fc_b"},
        {turned_input, ENG_E_UNSUPPORTED, "transposes"},
        {other_kernel, ENG_E_DATA, "kernel_shape"},
        {too_many_numbers, ENG_E_UNSUPPORTED, "dilations"},
        {no_inputs_at_all, ENG_E_UNSUPPORTED, "input is not one image"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        refused(onw_sample, &rows[i]);
    (void)state;
}

static struct onw_tensor *named(struct onw_model *m, const char *name)
{
    int i = 0;
    while (strcmp(m->tensor[i].name, name) != 0)
        i++;
    return &m->tensor[i];
}

static void nan_scale(struct onw_model *m)
{
    static const float bad = NAN;
    named(m, "s2")->data = &bad;
}
static void zero_scale(struct onw_model *m)
{
    static const float bad = 0;
    named(m, "s1")->data = &bad;
}
static void negative_scale(struct onw_model *m)
{
    static const float bad[4] = {1, 1, -1, 1};
    named(m, "s4c")->data = bad;
}
static void three_scales(struct onw_model *m)
{
    for (int i = 0; i < 2; i++) {
        struct onw_tensor *t = named(m, i ? "s4c" : "z4c");
        t->dim[0] = 3;
        t->len = i ? 12 : 3;
    }
}
static void other_scale(struct onw_model *m)
{
    m->node[1].in[1] = "s3";
}
static void computed_scale(struct onw_model *m)
{
    m->node[1].in[1] = "xq";
}
static void wrong_bias_scale(struct onw_model *m)
{
    static const float bad = 1;
    named(m, "sb")->data = &bad;
}
static void overflowing_sum(struct onw_model *m)
{
    static const int32_t large[4] = {INT32_MAX, INT32_MIN, 0, 0};
    named(m, "conv_bq")->data = large;
}
static void far_bias(struct onw_model *m)
{
    static const float large[4] = {1e30f, 0, 0, 0};
    named(m, "fc_b")->data = large;
}

static void quantised_faults(void **state)
{
    static const struct fault rows[] = {
        {nan_scale, ENG_E_DATA, "scale is nan"},
        {zero_scale, ENG_E_DATA, "scale is 0"},
        {negative_scale, ENG_E_DATA, "scale is -1"},
        {three_scales, ENG_E_DATA, "3 scales"},
        {other_scale, ENG_E_UNSUPPORTED, "same scale"},
        {computed_scale, ENG_E_UNSUPPORTED, "scale is not a constant"},
        {wrong_bias_scale, ENG_E_DATA, "bias has the scale"},
        {overflowing_sum, ENG_E_UNSUPPORTED, "32 bits"},
        {far_bias, ENG_E_UNSUPPORTED, "32 bits"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        refused(onw_sample_qdq, &rows[i]);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_sizes),        cmocka_unit_test(small_networks),
        cmocka_unit_test(samples),           cmocka_unit_test(structure),
        cmocka_unit_test(quanta_throughout), cmocka_unit_test(rounded_weights),
        cmocka_unit_test(channels_last),     cmocka_unit_test(faults),
        cmocka_unit_test(quantised_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
