/* The builder against the paper: Howard et al. 2017, tables 1, 2, 4, 5, 6, 7; Sandler et al. 2018,
 * table 4. Figures are given there in millions, rounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/graph/mobilenet.h"

static struct eng_graph *build(const struct eng_mobilenet_spec *spec, enum eng_precision precision)
{
    char err[256] = "";
    struct eng_graph *g = NULL;
    int rc = eng_mobilenet_build(&g, spec, precision, err, sizeof(err));
    if (rc < 0)
        fail_msg("build: %d %s", rc, err);
    return g;
}

static struct eng_cost total(const struct eng_graph *g)
{
    struct eng_cost sum = {0, 0};
    for (int i = 0; i < g->n_nodes; i++) {
        struct eng_cost c = eng_node_cost(g, &g->nodes[i]);
        sum.mult_adds += c.mult_adds;
        sum.parameters += c.parameters;
    }
    return sum;
}

static void costs_are_the_papers(void **state)
{
    (void)state;
    static const struct {
        double alpha;
        int rho;
        enum eng_form form;
        double mult_adds, parameters; /* millions; 0: the paper does not say */
    } rows[] = {
        {1.0, 224, ENG_FORM_SEPARABLE, 569, 4.2}, {0.75, 224, ENG_FORM_SEPARABLE, 325, 2.6},
        {0.5, 224, ENG_FORM_SEPARABLE, 149, 1.3}, {0.25, 224, ENG_FORM_SEPARABLE, 41, 0.5},
        {1.0, 192, ENG_FORM_SEPARABLE, 418, 4.2}, {1.0, 160, ENG_FORM_SEPARABLE, 290, 4.2},
        {1.0, 128, ENG_FORM_SEPARABLE, 186, 4.2}, {1.0, 224, ENG_FORM_FULL, 4866, 29.3},
        {1.0, 224, ENG_FORM_SHALLOW, 307, 2.9},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct eng_mobilenet_spec spec = {1, rows[i].alpha, rows[i].rho, 1000, rows[i].form, 1};
        struct eng_graph *g = build(&spec, ENG_PRECISION_INT8);
        struct eng_cost c = total(g);
        print_message("# alpha %.2f rho %d form %d: %.2f M mult-adds, %.3f M parameters\n",
                      rows[i].alpha, rows[i].rho, (int)rows[i].form, (double)c.mult_adds / 1e6,
                      (double)c.parameters / 1e6);
        /* 4866 leaves the fully connected layer out, 569 does not: within 1.5. */
        assert_true((double)c.mult_adds / 1e6 > rows[i].mult_adds - 1.5);
        assert_true((double)c.mult_adds / 1e6 < rows[i].mult_adds + 1.5);
        assert_true((double)c.parameters / 1e6 > rows[i].parameters - 0.06);
        assert_true((double)c.parameters / 1e6 < rows[i].parameters + 0.06);
        eng_graph_destroy(g);
    }
}

/* Table 2: shares in percent of the multiply-adds and of the parameters, by kind of layer. The
 * paper's 1.19 for the first convolution is a slip: its column adds up to 100 with 1.91. */
static void shares_are_the_papers(void **state)
{
    (void)state;
    static const double mult_adds[4] = {94.86, 3.06, 1.91, 0.18};
    static const double parameters[4] = {74.59, 1.06, 0.02, 24.33};
    struct eng_mobilenet_spec spec = {1, 1.0, 224, 1000, ENG_FORM_SEPARABLE, 1};
    struct eng_graph *g = build(&spec, ENG_PRECISION_INT8);
    struct eng_cost all = total(g), kind[4] = {0};
    for (int i = 0; i < g->n_nodes; i++) {
        const struct eng_node *n = &g->nodes[i];
        struct eng_cost cost = eng_node_cost(g, n);
        int k = n->op == ENG_OP_DEPTHWISE ? 1 : n->op == ENG_OP_FC ? 3 : n->win.kh == 1 ? 0 : 2;
        kind[k].mult_adds += cost.mult_adds;
        kind[k].parameters += cost.parameters;
    }
    for (int k = 0; k < 4; k++) {
        double m = 100 * (double)kind[k].mult_adds / (double)all.mult_adds;
        double p = 100 * (double)kind[k].parameters / (double)all.parameters;
        print_message("# kind %d: %.2f %% of mult-adds, %.2f %% of parameters\n", k, m, p);
        assert_true(m > mult_adds[k] - 0.01 && m < mult_adds[k] + 0.01);
        assert_true(p > parameters[k] - 0.3 && p < parameters[k] + 0.3); /* biases are counted */
    }
    eng_graph_destroy(g);
}

static void second_generation(void **state)
{
    (void)state;
    struct eng_mobilenet_spec spec = {2, 1.0, 224, 1001, ENG_FORM_SEPARABLE, 1};
    struct eng_graph *g = build(&spec, ENG_PRECISION_UINT8);
    struct eng_cost c = total(g);
    assert_int_equal(c.mult_adds, 300775552); /* of the published TFLite file */
    assert_int_equal(c.parameters, 3489097);
    eng_graph_destroy(g);
}

static void every_precision_and_size(void **state)
{
    (void)state;
    static const enum eng_precision precisions[] = {ENG_PRECISION_FP32, ENG_PRECISION_INT8,
                                                    ENG_PRECISION_UINT8};
    static const enum eng_type types[] = {ENG_F32, ENG_I8, ENG_U8};
    for (int generation = 1; generation <= 2; generation++) {
        for (size_t i = 0; i < 3; i++) {
            struct eng_mobilenet_spec spec = {generation, 0.35, 97, 7, ENG_FORM_SEPARABLE, 5};
            struct eng_graph *g = build(&spec, precisions[i]);
            assert_int_equal(g->tensors[g->input].type, types[i]);
            assert_int_equal(g->tensors[g->output].type, types[i]);
            assert_int_equal(eng_tensor_elements(&g->tensors[g->logits]), 7);
            assert_true(g->embedding >= 0);
            eng_graph_destroy(g);
        }
    }
}

static void seeds_differ(void **state)
{
    (void)state;
    struct eng_mobilenet_spec spec = {1, 0.25, 32, 4, ENG_FORM_SEPARABLE, 1};
    struct eng_graph *a = build(&spec, ENG_PRECISION_INT8), *b = build(&spec, ENG_PRECISION_INT8);
    spec.seed = 2;
    struct eng_graph *c = build(&spec, ENG_PRECISION_INT8);
    const struct eng_tensor *wa = &a->tensors[a->nodes[0].in[1]];
    const struct eng_tensor *wb = &b->tensors[b->nodes[0].in[1]];
    const struct eng_tensor *wc = &c->tensors[c->nodes[0].in[1]];
    assert_memory_equal(wa->data, wb->data, wa->size);
    assert_memory_not_equal(wa->data, wc->data, wa->size);
    eng_graph_destroy(a);
    eng_graph_destroy(b);
    eng_graph_destroy(c);
}

static void refuses(void **state)
{
    (void)state;
    static const struct eng_mobilenet_spec bad[] = {
        {0, 1, 224, 1000, ENG_FORM_SEPARABLE, 1},  {4, 1, 224, 1000, ENG_FORM_SEPARABLE, 1},
        {1, 0.01, 224, 10, ENG_FORM_SEPARABLE, 1}, {1, 3, 224, 10, ENG_FORM_SEPARABLE, 1},
        {1, 1, 31, 10, ENG_FORM_SEPARABLE, 1},     {1, 1, 1025, 10, ENG_FORM_SEPARABLE, 1},
        {1, 1, 224, 0, ENG_FORM_SEPARABLE, 1},     {2, 1, 224, 10, ENG_FORM_FULL, 1},
        {1, 1, 224, 10, (enum eng_form)9, 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char err[256] = "";
        struct eng_graph *g = NULL;
        assert_int_equal(eng_mobilenet_build(&g, &bad[i], ENG_PRECISION_INT8, err, sizeof(err)),
                         -22);
        assert_null(g);
        assert_true(strlen(err) > 10);
    }
}

static void names(void **state)
{
    (void)state;
    char name[64];
    struct eng_mobilenet_spec spec = {1, 1.0, 224, 1000, ENG_FORM_SEPARABLE, 1};
    eng_mobilenet_name(&spec, name, sizeof(name));
    assert_string_equal(name, "mobilenet_v1_1.0_224");
    spec = (struct eng_mobilenet_spec){1, 0.75, 192, 1000, ENG_FORM_FULL, 1};
    eng_mobilenet_name(&spec, name, sizeof(name));
    assert_string_equal(name, "mobilenet_v1_0.75_192_full");
}

static void same_shapes(const struct eng_graph *a, const struct eng_graph *b)
{
    assert_int_equal(a->n_nodes, b->n_nodes);
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (int i = 0; i < a->n_nodes; i++)
        assert_memory_equal(&a->nodes[i].win, &b->nodes[i].win, sizeof(a->nodes[i].win));
    for (int i = 0; i < a->n_tensors; i++) {
        assert_int_equal(a->tensors[i].rank, b->tensors[i].rank);
        assert_memory_equal(a->tensors[i].dim, b->tensors[i].dim, sizeof(a->tensors[i].dim));
    }
}

/* One weights file, several resolutions: what the builder makes for them, odd ones too. */
static void other_resolutions(void **state)
{
    (void)state;
    static const int sides[] = {192, 160, 128, 129, 97, 33, 256};
    char err[256];
    for (int k = 0; k < 14; k++) {
        struct eng_mobilenet_spec spec = {1 + k % 2, 0.25, 224, 100, ENG_FORM_SEPARABLE, 1};
        enum eng_precision p = k % 4 < 2 ? ENG_PRECISION_FP32 : ENG_PRECISION_INT8;
        struct eng_graph *g = build(&spec, p);
        if (eng_graph_resize(g, sides[k / 2], sides[k / 2], err, sizeof(err)) < 0)
            fail_msg("%s", err);
        spec.rho = sides[k / 2];
        struct eng_graph *want = build(&spec, p);
        same_shapes(g, want);
        eng_graph_destroy(want);
        eng_graph_destroy(g);
    }
    struct eng_mobilenet_spec spec = {1, 0.25, 224, 100, ENG_FORM_SEPARABLE, 1};
    struct eng_graph *g = build(&spec, ENG_PRECISION_FP32);
    assert_int_equal(eng_graph_resize(g, 0, 224, err, sizeof(err)), ENG_E_DATA);
    eng_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_the_papers),
        cmocka_unit_test(shares_are_the_papers),
        cmocka_unit_test(second_generation),
        cmocka_unit_test(every_precision_and_size),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(refuses),
        cmocka_unit_test(names),
        cmocka_unit_test(other_resolutions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
