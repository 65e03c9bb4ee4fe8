/* What goes element after element in the fast plan: QUANTIZE of reals and DEQUANTIZE, for halves,
 * for what is out of range or no number; and tables, in shapes that are neither an image nor a
 * vector. Equal to the reference operators in every bit, over the ends of the pieces too. */
#include "engine/plan/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/tiny_graph.h"

enum { H = 37, W = 29, C = 5, ELEMENTS = H * W * C, BATCH = 3 };

struct world {
    struct eng_plan *plan;
    struct eng_run *run;
};

static void open_world(struct world *w, const struct eng_graph *g, int reference)
{
    char err[256] = "";
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    if (eng_plan_create(&w->plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&w->run, w->plan, BATCH, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void close_world(struct world *w)
{
    eng_run_destroy(w->run);
    eng_plan_destroy(w->plan);
}

/* Every quarter of a quantum from far below to far above, then what is special. */
static float real_at(size_t i, float scale)
{
    static const float special[] = {NAN,   INFINITY, -INFINITY, 1e30f, -1e30f,
                                    -0.0f, 1e-40f,   -1e-40f,   3e9f,  -3e9f};
    size_t n = sizeof(special) / sizeof(*special);
    if (i % 97 < n)
        return special[i % 97];
    return ((float)(i % 2400) - 1200.0f) * 0.25f * scale;
}

static void fill(const struct world *w, const struct eng_tensor *in, float scale)
{
    for (int b = 0; b < BATCH; b++)
        for (size_t i = 0; i < ELEMENTS; i++) {
            if (in->type == ENG_F32)
                ((float *)eng_run_input(w->run, b))[i] = real_at(i + (size_t)b * 7, scale);
            else
                ((uint8_t *)eng_run_input(w->run, b))[i] = (uint8_t)(i + (size_t)b);
        }
}

static int runs_step(const struct eng_plan *p, const char *kernel)
{
    for (int i = 0; i < eng_plan_graph(p)->n_nodes; i++)
        if (strcmp(eng_plan_node_kernel(p, i), kernel) == 0)
            return 1;
    return 0;
}

static void compare(const struct eng_graph *g, float scale, const char *kernel)
{
    struct world ref, fast;
    const struct eng_tensor *out = &g->tensors[g->output];
    size_t size = eng_type_size(out->type);
    open_world(&ref, g, 1);
    open_world(&fast, g, 0);
    assert_true(runs_step(fast.plan, kernel));
    fill(&ref, &g->tensors[g->input], scale);
    fill(&fast, &g->tensors[g->input], scale);
    assert_int_equal(eng_run_exec(ref.run, BATCH, NULL), 0);
    assert_int_equal(eng_run_exec(fast.run, BATCH, NULL), 0);
    for (int b = 0; b < BATCH; b++) {
        const char *want = eng_run_tensor(ref.run, g->output, b);
        const char *have = eng_run_tensor(fast.run, g->output, b);
        for (size_t i = 0; i < ELEMENTS; i++)
            if (memcmp(want + i * size, have + i * size, size) != 0)
                fail_msg("%s, scale %g: image %d differs at %zu, input %g", kernel, (double)scale,
                         b, i, (double)real_at(i + (size_t)b * 7, scale));
    }
    close_world(&fast);
    close_world(&ref);
}

static const float scales[] = {1.0f, 0.0078125f, 0.0235293377f, 3.7f};

static void reals_to_quanta(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2 * sizeof(scales) / sizeof(*scales); k++) {
        struct tiny t;
        enum eng_type type = k % 2 ? ENG_I8 : ENG_U8;
        tiny_begin(&t, ENG_F32, H, W, C, 1);
        tiny_quantize_to(&t, type, scales[k / 2], type == ENG_I8 ? -3 : 117);
        tiny_end(&t);
        compare(t.g, scales[k / 2], "quantize");
        eng_graph_destroy(t.g);
    }
}

static void quanta_to_reals(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 4; seed++) {
        struct tiny t;
        tiny_begin(&t, seed % 2 ? ENG_I8 : ENG_U8, H, W, C, seed);
        int out = tiny_typed(&t, ENG_F32, 0, 0);
        t.type = ENG_F32;
        tiny_node(&t, tiny_op(ENG_OP_DEQUANTIZE), &t.t, 1, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "dequantize");
        eng_graph_destroy(t.g);
    }
}

/* Scores of many boxes and classes, as detectors have them: [1, boxes, classes]. */
static void tables_of_any_shape(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 4; seed++) {
        struct tiny t;
        enum eng_type type = seed % 2 ? ENG_I8 : ENG_U8;
        tiny_begin(&t, type, H, W, C, seed);
        const struct eng_quant *q = &t.g->tensors[t.t].quant;
        int boxes = tiny_typed(&t, type, q->scale[0], q->zero_point[0]);
        struct eng_tensor *shaped = &t.g->tensors[boxes];
        shaped->rank = 3;
        shaped->dim[0] = 1;
        shaped->dim[1] = H * W;
        shaped->dim[2] = C;
        tiny_node(&t, tiny_op(ENG_OP_RESHAPE), &t.t, 1, boxes);
        int out = tiny_typed(&t, type, 1.0f / 256, type == ENG_U8 ? 0 : -128);
        struct eng_node n = tiny_op(ENG_OP_UNARY);
        n.unary = ENG_UNARY_SIGMOID;
        tiny_node(&t, n, &t.t, 1, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "table_u8");
        eng_graph_destroy(t.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_to_quanta),
        cmocka_unit_test(quanta_to_reals),
        cmocka_unit_test(tables_of_any_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
