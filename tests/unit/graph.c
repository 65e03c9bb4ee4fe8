/* Folding keeps results, joining keeps its seam, the check refuses what the planner must not see.
 */
#include "engine/graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/graph/check.h"
#include "engine/plan/plan.h"
#include "tests/unit/tiny_graph.h"

static char err[256];

/* ---- folding ---- */

/* Output of the reference plan for one input, as bytes; the caller frees. */
static void *reference(const struct eng_graph *g, size_t *ret_bytes)
{
    struct eng_plan *plan;
    struct eng_run *run;
    struct eng_plan_options opts = {.cpu_bits = ENG_CPU_C, .reference = 1};
    const struct eng_tensor *in = &g->tensors[g->input], *out = &g->tensors[g->output];
    if (eng_plan_create(&plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&run, plan, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    unsigned seed = 7;
    for (size_t i = 0; i < eng_tensor_elements(in); i++) {
        seed = seed * 1664525u + 1013904223u;
        if (in->type == ENG_F32)
            ((float *)eng_run_input(run, 0))[i] = (float)(seed >> 8 & 1023) / 512.0f - 1.0f;
        else
            ((uint8_t *)eng_run_input(run, 0))[i] = (uint8_t)(seed >> 16);
    }
    assert_int_equal(eng_run_exec(run, 1, NULL), 0);
    *ret_bytes = eng_tensor_elements(out) * eng_type_size(out->type);
    void *copy = malloc(*ret_bytes);
    memcpy(copy, eng_run_tensor(run, g->output, 0), *ret_bytes);
    eng_run_destroy(run);
    eng_plan_destroy(plan);
    return copy;
}

/* Folds g down to `nodes` nodes; quantised results stay to the bit, float ones to rounding. */
static void folds_to(struct eng_graph *g, int nodes)
{
    size_t before_bytes, after_bytes;
    enum eng_type type = g->tensors[g->output].type;
    void *before = reference(g, &before_bytes);
    if (eng_graph_fold(g, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(g->n_nodes, nodes);
    void *after = reference(g, &after_bytes);
    assert_int_equal(before_bytes, after_bytes);
    if (type != ENG_F32)
        assert_memory_equal(before, after, before_bytes);
    for (size_t i = 0; type == ENG_F32 && i < before_bytes / sizeof(float); i++) {
        float x = ((float *)before)[i], y = ((float *)after)[i];
        if (!(fabsf(x - y) <= 1e-5f * (1 + fabsf(x))))
            fail_msg("output %zu: %g became %g", i, (double)x, (double)y);
    }
    free(before);
    free(after);
}

static const enum eng_type types[] = {ENG_F32, ENG_U8, ENG_I8};

static void pads_go_into_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tiny t;
        tiny_begin(&t, types[i], 9, 7, 3, 11);
        tiny_pad(&t, 1, 2, 0, 3);
        tiny_conv(&t, 5, 3, 2, 1, 1, 1);
        tiny_pad(&t, 0, 1, 1, 0);
        tiny_depthwise(&t, 3, 1, 1, 1);
        tiny_end(&t);
        folds_to(t.g, 2);
        eng_graph_destroy(t.g);
    }
}

static void pads_with_two_readers_stay(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_F32, 6, 6, 3, 12);
    int pad = tiny_pad(&t, 1, 1, 1, 1);
    tiny_conv(&t, 3, 1, 1, 1, 1, 0);
    tiny_add(&t, pad);
    tiny_end(&t);
    folds_to(t.g, 3);
    eng_graph_destroy(t.g);
}

static void clamps_go_into_convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tiny t;
        tiny_begin(&t, types[i], 5, 5, 3, 13);
        tiny_conv(&t, 4, 3, 1, 1, 1, 0);
        tiny_unary(&t, ENG_UNARY_CLAMP);
        tiny_conv(&t, 4, 1, 1, 1, 1, 1); /* has one of its own */
        tiny_unary(&t, ENG_UNARY_CLAMP);
        tiny_end(&t);
        folds_to(t.g, 2);
        eng_graph_destroy(t.g);
    }
}

static void two_clamps_are_one(void **state)
{
    (void)state;
    static const float rows[][6] = {
        {0, 1, -1, 6, 0, 1}, {-1, 6, 0, 1, 0, 1}, {4, 6, 0, 1, 1, 1}, {-3, -2, 0, INFINITY, 0, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tiny t;
        tiny_begin(&t, ENG_F32, 3, 3, 3, 21);
        tiny_conv(&t, 4, 1, 1, 1, 1, 0);
        tiny_unary(&t, ENG_UNARY_CLAMP);
        for (int k = 0; k < 2; k++) {
            t.g->nodes[k].lo = rows[i][2 * k];
            t.g->nodes[k].hi = rows[i][2 * k + 1];
        }
        tiny_end(&t);
        folds_to(t.g, 1);
        assert_true(t.g->nodes[0].lo == rows[i][4] && t.g->nodes[0].hi == rows[i][5]);
        eng_graph_destroy(t.g);
    }
}

/* y = x * scale + offset over the channels, by the node that does it. */
static void affine(struct tiny *t, enum eng_op op, float about)
{
    float v[2][64];
    for (int c = 0; c < t->c; c++) {
        v[0][c] = about + tiny_unit(t);
        v[1][c] = tiny_unit(t);
    }
    int a = tiny_constant(t, ENG_F32, 1, &t->c, v[0]),
        b = tiny_constant(t, ENG_F32, 1, &t->c, v[1]);
    int in[3] = {t->t, a, b};
    tiny_node(t, tiny_op(op), in, op == ENG_OP_BATCHNORM ? 3 : 2, tiny_tensor(t, 0, 0));
}

static void batch_norm_goes_into_convolutions(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_F32, 6, 5, 3, 14);
    tiny_conv(&t, 6, 3, 2, 1, 1, 0);
    affine(&t, ENG_OP_BATCHNORM, 1);
    tiny_unary(&t, ENG_UNARY_CLAMP);
    tiny_depthwise(&t, 3, 1, 2, 0);
    affine(&t, ENG_OP_BATCHNORM, -1);
    tiny_conv(&t, 7, 1, 1, 1, 1, 0);
    affine(&t, ENG_OP_MUL, 1);
    affine(&t, ENG_OP_ADD, 0);
    tiny_end(&t);
    folds_to(t.g, 3);
    assert_true(t.g->nodes[0].hi < INFINITY);
    eng_graph_destroy(t.g);
}

/* Behind a clamp, and in front of any convolution: nothing to fold into. */
static void batch_norm_elsewhere_stays(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_F32, 4, 4, 3, 15);
    affine(&t, ENG_OP_BATCHNORM, 1);
    tiny_conv(&t, 4, 1, 1, 1, 1, 1);
    affine(&t, ENG_OP_BATCHNORM, 1);
    tiny_end(&t);
    folds_to(t.g, 3);
    eng_graph_destroy(t.g);
}

static void reshapes_of_a_pixel_vanish(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tiny t;
        tiny_begin(&t, types[i], 6, 6, 3, 16);
        tiny_conv(&t, 8, 3, 2, 1, 1, 1);
        tiny_pool(&t, ENG_OP_AVGPOOL, 0, 1);
        tiny_conv(&t, 9, 1, 1, 1, 1, 0);
        tiny_reshape_flat(&t);
        tiny_softmax(&t);
        tiny_end(&t);
        folds_to(t.g, 4);
        assert_int_equal(eng_tensor_elements(&t.g->tensors[t.g->logits]), 9);
        eng_graph_destroy(t.g);
    }
}

static void reshapes_of_an_image_stay(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_U8, 4, 3, 3, 17);
    tiny_conv(&t, 5, 3, 1, 1, 1, 1);
    tiny_reshape_flat(&t);
    tiny_fc(&t, 4);
    tiny_end(&t);
    folds_to(t.g, 3);
    eng_graph_destroy(t.g);
}

static void dead_nodes_go(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_U8, 4, 4, 3, 18);
    int x = tiny_conv(&t, 4, 3, 1, 1, 1, 1);
    tiny_unary(&t, ENG_UNARY_HARD_SWISH);
    tiny_unary(&t, ENG_UNARY_SIGMOID);
    t.t = x;
    tiny_pool(&t, ENG_OP_MAXPOOL, 2, 2);
    tiny_end(&t);
    folds_to(t.g, 2);
    eng_graph_destroy(t.g);
}

/* ---- joining ---- */

/* A backbone that ends in [1,1,1,c] and a head that starts there. */
static void two_parts(struct tiny *a, struct tiny *b, enum eng_type type)
{
    tiny_begin(a, type, 6, 6, 3, 19);
    tiny_conv(a, 8, 3, 2, 1, 1, 1);
    tiny_pool(a, ENG_OP_AVGPOOL, 0, 1);
    tiny_end(a);
    tiny_begin(b, type, 1, 1, 8, 20);
    b->g->tensors[b->t].quant = a->g->tensors[a->t].quant;
    tiny_conv(b, 5, 1, 1, 1, 1, 0);
    tiny_softmax(b);
    tiny_end(b);
}

static void parts_become_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tiny a, b;
        two_parts(&a, &b, types[i]);
        if (eng_graph_join(a.g, b.g, err, sizeof(err)) < 0)
            fail_msg("%s", err);
        assert_int_equal(a.g->n_nodes, 4);
        assert_int_equal(eng_tensor_elements(&a.g->tensors[a.g->logits]), 5);
        assert_int_equal(eng_tensor_elements(&a.g->tensors[a.g->embedding]), 8);
        size_t bytes;
        free(reference(a.g, &bytes));
        assert_int_equal(bytes, 5 * eng_type_size(types[i]));
        eng_graph_destroy(a.g);
    }
}

static void parts_that_do_not_fit(void **state)
{
    (void)state;
    static const char *const says[] = {"scale or zero point", "scale or zero point", "shape",
                                       "type"};
    for (int fault = 0; fault < 4; fault++) {
        struct tiny a, b;
        float scale = 0.5f;
        int32_t zero = 77;
        two_parts(&a, &b, ENG_U8);
        struct eng_tensor *in = &b.g->tensors[b.g->input];
        in->name = "the head's input";
        if (fault == 0)
            in->quant.scale = &scale;
        else if (fault == 1)
            in->quant.zero_point = &zero;
        else if (fault == 2)
            in->dim[1] = 2;
        else
            in->type = ENG_I8;
        assert_int_equal(eng_graph_join(a.g, b.g, err, sizeof(err)), ENG_E_DATA);
        assert_non_null(strstr(err, says[fault]));
        assert_non_null(strstr(err, "the head's input"));
        eng_graph_destroy(a.g);
    }
}

/* ---- checking ---- */

static void refused(struct tiny *t, int code, const char *says)
{
    t->g->output = t->t;
    int rc = eng_graph_check(t->g, err, sizeof(err));
    if (rc != code || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
    eng_graph_destroy(t->g);
}

static void check_refuses(void **state)
{
    (void)state;
    struct tiny t;

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    refused(&t, ENG_E_DATA, "no node makes the output");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.t = t.g->n_tensors;
    refused(&t, ENG_E_DATA, "no input or no output");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.g->outputs[0] = t.g->outputs[1] = (struct eng_graph_output){"a", t.g->input};
    t.g->n_outputs = 2;
    refused(&t, ENG_E_DATA, "the main output of the graph is none of its 2");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.g->nodes[0].in[1] = 12345;
    refused(&t, ENG_E_DATA, "input 1 is no tensor");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.g->nodes[0].lo = 2;
    t.g->nodes[0].hi = 1;
    refused(&t, ENG_E_DATA, "clamps");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.g->nodes[0].win.top = -1;
    refused(&t, ENG_E_DATA, "padding out of range");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_conv(&t, 4, 3, 1, 1, 1, 0);
    t.g->nodes[0].groups = 3;
    refused(&t, ENG_E_DATA, "channels");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    tiny_pool(&t, ENG_OP_AVGPOOL, 2, 1);
    t.g->nodes[0].win.left = 2;
    refused(&t, ENG_E_DATA, "as large as its window");

    tiny_begin(&t, ENG_F32, 4, 4, 3, 1);
    struct eng_node n = tiny_op(ENG_OP_TRANSPOSE);
    n.perm[1] = 1;
    n.perm[2] = 1;
    n.perm[3] = 3;
    tiny_node(&t, n, &t.t, 1, tiny_tensor(&t, 0, 0));
    refused(&t, ENG_E_DATA, "permutation");

    tiny_begin(&t, ENG_U8, 4, 4, 3, 1);
    int x = t.t;
    tiny_quantize_to(&t, ENG_U8, 1e-6f, 0);
    tiny_add(&t, x);
    *(float *)(uintptr_t)t.g->tensors[t.t].quant.scale = 1e4f;
    refused(&t, ENG_E_UNSUPPORTED, "too far apart");
}

/* A layer that reads a flattened map has weights for one size. */
static void what_depends_on_the_size(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_F32, 8, 8, 3, 1);
    tiny_conv(&t, 4, 3, 2, 1, 1, 0);
    tiny_reshape_flat(&t);
    tiny_end(&t);
    assert_int_equal(eng_graph_resize(t.g, 12, 8, err, sizeof(err)), ENG_E_DATA);
    assert_non_null(strstr(err, "as many elements"));
    eng_graph_destroy(t.g);
}

/* A day of one core in a file of a few bytes. */
static void endless_work(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, ENG_F32, 1024, 1024, 3, 1);
    tiny_conv(&t, 64, 1, 1, 1, 1, 0);
    for (int i = 0; i < 40; i++)
        tiny_conv(&t, 64, 7, 1, 1, 1, 0);
    refused(&t, ENG_E_LIMIT, "too many multiply-adds");
}

/* An operator that the list of names lacks would be "(null)" in messages. */
static void every_operator_has_a_name(void **state)
{
    (void)state;
    for (int op = 0; op < ENG_OP_COUNT; op++) {
        assert_non_null(eng_op_name((enum eng_op)op));
        assert_string_not_equal(eng_op_name((enum eng_op)op), "?");
        for (int other = 0; other < op; other++)
            assert_string_not_equal(eng_op_name((enum eng_op)op), eng_op_name((enum eng_op)other));
    }
    assert_string_equal(eng_op_name(ENG_OP_GATHER), "gather");
    assert_string_equal(eng_op_name(ENG_OP_COUNT), "?");
}

/* 2901 x 2902 pixels of 255 still sum up in an int32. */
static void sums_of_quanta_fit(void **state)
{
    static const struct {
        enum eng_type type;
        int h, w, code;
    } rows[] = {{ENG_U8, 2901, 2902, 0},
                {ENG_U8, 2902, 2902, ENG_E_LIMIT},
                {ENG_I8, 8192, 8192, ENG_E_LIMIT},
                {ENG_F32, 8192, 8192, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tiny t;
        tiny_begin(&t, rows[i].type, rows[i].h, rows[i].w, 1, 1);
        t.g->output = tiny_pool(&t, ENG_OP_MEAN, 0, 1);
        assert_int_equal(eng_graph_check(t.g, err, sizeof(err)), rows[i].code);
        if (rows[i].code < 0)
            assert_non_null(strstr(err, "32 bits"));
        eng_graph_destroy(t.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_quanta_fit),
        cmocka_unit_test(pads_go_into_windows),
        cmocka_unit_test(pads_with_two_readers_stay),
        cmocka_unit_test(clamps_go_into_convolutions),
        cmocka_unit_test(two_clamps_are_one),
        cmocka_unit_test(batch_norm_goes_into_convolutions),
        cmocka_unit_test(batch_norm_elsewhere_stays),
        cmocka_unit_test(reshapes_of_a_pixel_vanish),
        cmocka_unit_test(reshapes_of_an_image_stay),
        cmocka_unit_test(dead_nodes_go),
        cmocka_unit_test(parts_become_one),
        cmocka_unit_test(parts_that_do_not_fit),
        cmocka_unit_test(check_refuses),
        cmocka_unit_test(what_depends_on_the_size),
        cmocka_unit_test(endless_work),
        cmocka_unit_test(every_operator_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
