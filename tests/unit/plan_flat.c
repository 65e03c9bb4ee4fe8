/* What goes element after element in the fast plan: QUANTIZE of reals and DEQUANTIZE, for halves,
 * for what is out of range or no number; and tables, in shapes that are neither an image nor a
 * vector. Equal to the reference operators in every bit, over the ends of the pieces too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/plan_pair.h"
#include "tests/unit/tiny_graph.h"

enum { H = 37, W = 29, C = 5, ELEMENTS = H * W * C };

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

static void fill(const struct eng_graph *g, void *to, int image, const void *arg)
{
    const float *scale = arg;
    for (size_t i = 0; i < ELEMENTS; i++) {
        if (g->tensors[g->input].type == ENG_F32)
            ((float *)to)[i] = real_at(i + (size_t)image * 7, *scale);
        else
            ((uint8_t *)to)[i] = (uint8_t)(i + (size_t)image);
    }
}

static void compare(const struct eng_graph *g, float scale, const char *kernel)
{
    plan_pair_compare(g, fill, &scale, kernel);
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
        compare(t.g, scales[k / 2], "quant_f32");
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

/* A map beside its sigmoid, whose quanta are others, as rows and as columns. */
static void joins_along_any_axis(void **state)
{
    static const enum eng_type types[] = {ENG_F32, ENG_U8, ENG_I8};
    (void)state;
    for (unsigned k = 0; k < 6; k++) {
        struct tiny t;
        enum eng_type type = types[k / 2];
        int axis = 1 + (int)k % 2;
        tiny_begin(&t, type, H, W, C, k);
        int map = t.t;
        float scale = type == ENG_F32 ? 0 : t.g->tensors[map].quant.scale[0];
        if (type != ENG_F32)
            tiny_unary(&t, ENG_UNARY_SIGMOID);
        int in[] = {map, t.t, map};
        int out = tiny_typed(&t, type, scale * 1.25f, type == ENG_U8 ? 7 : 0);
        t.g->tensors[out].dim[axis] *= 3;
        struct eng_node n = tiny_op(ENG_OP_CONCAT);
        n.axis = axis;
        tiny_node(&t, n, in, 3, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "join");
        eng_graph_destroy(t.g);
    }
}

/* The best channel of a map that a convolution made: less and more than a block, pixels that fill
 * no vector. */
static void the_best_channel(void **state)
{
    static const int channels[] = {1, 5, 16, 17, 40, 256};
    (void)state;
    for (unsigned k = 0; k < 12; k++) {
        struct tiny t;
        tiny_begin(&t, k % 2 ? ENG_I8 : ENG_U8, H, W, C, k);
        tiny_conv(&t, channels[k / 2], 1, 1, 1, 1, 0);
        struct eng_tensor e = {.name = "best", .type = k % 3 ? ENG_I64 : ENG_I32, .producer = -1};
        int out = eng_graph_add_tensor(t.g, &e);
        struct eng_node n = tiny_op(ENG_OP_ARGMAX);
        n.axis = 3;
        n.least = k % 4 == 3;
        tiny_node(&t, n, &t.t, 1, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "argmax_u8");
        eng_graph_destroy(t.g);
    }
}

/* Channels around those of a map of quanta are its zero points. */
static void channels_around(void **state)
{
    static const int pads[][2] = {{0, 4}, {3, 0}, {20, 7}, {0, 40}};
    (void)state;
    for (unsigned k = 0; k < 8; k++) {
        struct tiny t;
        tiny_begin(&t, k % 2 ? ENG_I8 : ENG_U8, H, W, C, k);
        tiny_conv(&t, 24, 1, 1, 1, 1, 0);
        const struct eng_tensor *x = &t.g->tensors[t.t];
        int out = tiny_typed(&t, x->type, x->quant.scale[0], x->quant.zero_point[0]);
        struct eng_node n = tiny_op(ENG_OP_PAD);
        n.win.front = pads[k / 2][0];
        n.win.back = pads[k / 2][1];
        t.g->tensors[out].rank = 0;
        tiny_node(&t, n, &t.t, 1, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "pad");
        eng_graph_destroy(t.g);
    }
}

/* One operand is one number: a table, whichever side it stands on. */
static void one_number(void **state)
{
    static const uint8_t quantum = 77;
    (void)state;
    for (unsigned k = 0; k < 8; k++) {
        struct tiny t;
        enum eng_type type = k % 2 ? ENG_I8 : ENG_U8;
        tiny_begin(&t, type, H, W, C, k);
        const float *scale = t.g->tensors[t.t].quant.scale;
        int c = tiny_constant(&t, type, 0, NULL, &quantum);
        t.g->tensors[c].quant = t.g->tensors[t.t].quant;
        struct eng_node n = tiny_op(ENG_OP_ARITH);
        n.arith = k / 2 % 2 ? ENG_ARITH_MUL : ENG_ARITH_SUB;
        int out = tiny_typed(&t, type, *scale * 1.5f, 9);
        int in[2] = {k < 4 ? t.t : c, k < 4 ? c : t.t};
        t.g->tensors[out].rank = 0;
        tiny_node(&t, n, in, 2, out);
        tiny_end(&t);
        compare(t.g, 1.0f, "table_u8");
        eng_graph_destroy(t.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_to_quanta),     cmocka_unit_test(quanta_to_reals),
        cmocka_unit_test(tables_of_any_shape), cmocka_unit_test(joins_along_any_axis),
        cmocka_unit_test(the_best_channel),    cmocka_unit_test(channels_around),
        cmocka_unit_test(one_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
