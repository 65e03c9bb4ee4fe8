/* Reference operators on cases worked out by hand. */
#include "engine/kernels/ref/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/tiny_graph.h"

/* Ends the graph behind its one node and runs that on `in`. */
static void run_last(struct tiny *t, const void *in, void *out)
{
    tiny_end(t);
    const struct eng_node *n = &t->g->nodes[t->g->n_nodes - 1];
    const void *data[ENG_MAX_INPUTS];
    for (int i = 0; i < n->n_in; i++)
        data[i] = n->in[i] < 0 ? NULL : n->in[i] == t->g->input ? in : t->g->tensors[n->in[i]].data;
    char err[128] = "";
    assert_int_equal(eng_ref_supports(t->g, n, err, sizeof(err)), 0);
    eng_ref_run(&(struct eng_ref_call){.g = t->g, .n = n, .in = data, .out = out});
    eng_graph_destroy(t->g);
}

/* A graph whose input has this scale and zero point. */
static void begin(struct tiny *t, enum eng_type type, int h, int w, int c, float scale, int zero)
{
    tiny_begin(t, type, h, w, c, 1);
    if (type == ENG_F32)
        return;
    *(float *)t->g->tensors[t->t].quant.scale = scale;
    *(int32_t *)t->g->tensors[t->t].quant.zero_point = zero;
}

/* Constant weights with one scale a channel (n of them on `axis`), zero points `zero`. */
static int quantised(struct tiny *t, enum eng_type type, int rank, const int *dim, const void *data,
                     int n, int axis, const float *scale, int zero)
{
    int w = tiny_constant(t, type, rank, dim, data);
    float *s = eng_graph_alloc(t->g, (size_t)n, sizeof(*s));
    int32_t *z = eng_graph_alloc(t->g, (size_t)n, sizeof(*z));
    assert_non_null(s);
    assert_non_null(z);
    for (int i = 0; i < n; i++) {
        s[i] = scale[i];
        z[i] = zero;
    }
    t->g->tensors[w].quant = (struct eng_quant){n, axis, s, z};
    return w;
}

/* One product: y = rint(x * w * m) + zy, half to even; the zero point is added after rounding. */
static void ties_go_to_even(void **state)
{
    (void)state;
    static const uint8_t in[6] = {1, 3, 5, 7, 9, 11};
    static const int dim[4] = {1, 1, 1, 1};
    static const uint8_t one = 1;
    static const float unit = 1.0f;
    struct tiny t;
    uint8_t out[6];
    begin(&t, ENG_U8, 1, 6, 1, 1.0f, 0);
    int w = quantised(&t, ENG_U8, 4, dim, &one, 1, 0, &unit, 0);
    tiny_node(&t, tiny_op(ENG_OP_CONV), (int[]){t.t, w}, 2, tiny_tensor(&t, 2.0f, 3));
    run_last(&t, in, out);
    /* 0.5 1.5 2.5 3.5 4.5 5.5 -> 0 2 2 4 4 6, plus 3 (an odd zero point must not move ties) */
    static const uint8_t want[6] = {3, 5, 5, 7, 7, 9};
    assert_memory_equal(out, want, 6);
}

/* Zero points of input and weights, a bias, and a clamp inside the range on both sides. */
static void conv_clamps_inside_the_range(void **state)
{
    (void)state;
    static const uint8_t in[4] = {10, 12, 14, 30}; /* zx 12: -2 0 2 18 */
    static const int dim[4] = {1, 1, 1, 1};
    static const int32_t bias = 4;
    static const uint8_t weight = 105; /* zw 100: 5 */
    static const float sw = 0.5f;
    struct tiny t;
    uint8_t out[4];
    begin(&t, ENG_U8, 2, 2, 1, 0.5f, 12);
    int w = quantised(&t, ENG_U8, 4, dim, &weight, 1, 0, &sw, 100);
    int b = tiny_constant(&t, ENG_I32, 1, (int[]){1}, &bias);
    struct eng_node n = tiny_op(ENG_OP_CONV);
    n.lo = 0;  /* quantum 20 */
    n.hi = 10; /* quantum 20 + 10 / 0.25 = 60 */
    tiny_node(&t, n, (int[]){t.t, w, b}, 3, tiny_tensor(&t, 0.25f, 20));
    run_last(&t, in, out);
    /* sums -6, 4, 14, 94, scale 0.5*0.5/0.25 = 1: 14, 24, 34, 114 before the clamp */
    static const uint8_t want[4] = {20, 24, 34, 60};
    assert_memory_equal(out, want, 4);
}

/* Stride 2 on an odd size (pad 1 on both sides) and on an even one (0 before, 1 after). */
static void padding_counts_as_zero(void **state)
{
    (void)state;
    static const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int dim[4] = {1, 3, 3, 1};
    static const struct {
        int size, out, before, after;
        float want[9];
    } rows[] = {
        {5, 3, 1, 1, {4, 6, 4, 6, 9, 6, 4, 6, 4}},
        {4, 2, 0, 1, {9, 6, 6, 4}},
    };
    for (int i = 0; i < 2; i++) {
        struct tiny t;
        float in[25], out[9];
        uint8_t qin[25], qout[9];
        for (int k = 0; k < 25; k++) {
            in[k] = 1;
            qin[k] = 201; /* zero point 200: 1 */
        }
        struct eng_node n = tiny_op(ENG_OP_CONV);
        n.win = (struct eng_window){
            3, 3, 2, 2, 1, 1, rows[i].before, rows[i].after, rows[i].before, rows[i].after};
        begin(&t, ENG_F32, rows[i].size, rows[i].size, 1, 0, 0);
        int w = tiny_constant(&t, ENG_F32, 4, dim, ones);
        tiny_node(&t, n, (int[]){t.t, w}, 2, tiny_tensor(&t, 0, 0));
        run_last(&t, in, out);
        static const uint8_t qone[9] = {8, 8, 8, 8, 8, 8, 8, 8, 8};
        static const float unit = 1.0f;
        begin(&t, ENG_U8, rows[i].size, rows[i].size, 1, 1.0f, 200);
        w = quantised(&t, ENG_U8, 4, (int[]){1, 3, 3, 1}, qone, 1, 0, &unit, 7);
        n.op = ENG_OP_DEPTHWISE;
        tiny_node(&t, n, (int[]){t.t, w}, 2, tiny_tensor(&t, 1.0f, 100));
        run_last(&t, qin, qout);
        for (int k = 0; k < rows[i].out * rows[i].out; k++) {
            assert_true(out[k] == rows[i].want[k]);
            assert_int_equal(qout[k], 100 + (int)rows[i].want[k]);
        }
    }
}

/* Per-channel scales; a dead channel (multiplier below 2^-32) is its zero point, whatever its sum.
 */
static void dead_channels_are_zero(void **state)
{
    (void)state;
    static const int8_t in[2] = {127, 127};
    static const int8_t weights[4] = {127, 127, 1, -1};
    static const float scales[2] = {1e-12f, 0.5f};
    static const int dim[4] = {2, 1, 1, 2};
    static const int32_t bias[2] = {1 << 20, 9};
    struct tiny t;
    int8_t out[2];
    begin(&t, ENG_I8, 1, 1, 2, 1.0f, -1);
    int w = quantised(&t, ENG_I8, 4, dim, weights, 2, 0, scales, 0);
    int b = tiny_constant(&t, ENG_I32, 1, (int[]){2}, bias);
    tiny_node(&t, tiny_op(ENG_OP_CONV), (int[]){t.t, w, b}, 3, tiny_tensor(&t, 1.0f, -7));
    run_last(&t, in, out);
    assert_int_equal(out[0], -7);
    assert_int_equal(out[1], -7 + 4); /* rint(9 * 0.5) = 4 */
}

/* Grouped, dilated; depthwise with a multiplier: which weights meet which channels. */
static void groups_dilation_multiplier(void **state)
{
    (void)state;
    static const float in[3 * 1 * 2] = {1, 10, 2, 20, 3, 30}; /* 3 x 1 pixels, 2 channels */
    static const float grouped[2 * 2] = {1, 100, 1, 1000};    /* [2][2][1][1] */
    struct tiny t;
    float out[4];
    struct eng_node n = tiny_op(ENG_OP_CONV);
    n.groups = 2;
    n.win = (struct eng_window){2, 1, 1, 1, 2, 1, 0, 0, 0, 0};
    begin(&t, ENG_F32, 3, 1, 2, 0, 0);
    int w = tiny_constant(&t, ENG_F32, 4, (int[]){2, 2, 1, 1}, grouped);
    tiny_node(&t, n, (int[]){t.t, w}, 2, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    assert_true(out[0] == 1 + 300 && out[1] == 10 + 30000);

    static const float each[4] = {1, 2, 3, 4}; /* [1][1][1][2*2] */
    n = tiny_op(ENG_OP_DEPTHWISE);
    n.multiplier = 2;
    begin(&t, ENG_F32, 1, 1, 2, 0, 0);
    w = tiny_constant(&t, ENG_F32, 4, (int[]){1, 1, 1, 4}, each);
    tiny_node(&t, n, (int[]){t.t, w}, 2, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 30 && out[3] == 40);
}

static void averages_round_away_from_zero(void **state)
{
    (void)state;
    static const uint8_t in[4] = {1, 2, 2, 1}; /* 6 / 4 = 1.5 -> 2 */
    static const int8_t negative[4] = {-1, -2, -2, -1};
    static const uint8_t even[4] = {0, 1, 1, 0}; /* 0.5 -> 1 */
    struct tiny t;
    uint8_t u;
    int8_t s;
    begin(&t, ENG_U8, 2, 2, 1, 1.0f, 0);
    tiny_pool(&t, ENG_OP_AVGPOOL, 0, 1);
    run_last(&t, in, &u);
    assert_int_equal(u, 2);
    begin(&t, ENG_U8, 2, 2, 1, 1.0f, 0);
    tiny_pool(&t, ENG_OP_AVGPOOL, 0, 1);
    run_last(&t, even, &u);
    assert_int_equal(u, 1);
    begin(&t, ENG_I8, 2, 2, 1, 1.0f, 3);
    tiny_pool(&t, ENG_OP_AVGPOOL, 0, 1);
    run_last(&t, negative, &s);
    assert_int_equal(s, -2);
}

/* MEAN rescales: rint(sum(x - zx) * sx / (sy * n)), half to even. */
static void mean_rescales(void **state)
{
    (void)state;
    static const int8_t in[4] = {-128, -127, -126, -123}; /* zx -128: 0 1 2 5 = 8 */
    struct tiny t;
    int8_t out;
    begin(&t, ENG_I8, 2, 2, 1, 0.5f, -128);
    tiny_node(&t, tiny_op(ENG_OP_MEAN), &t.t, 1, tiny_tensor(&t, 0.4f, -5));
    run_last(&t, in, &out);
    assert_int_equal(out, -5 + 2); /* 8 * 0.5 / 1.6 = 2.5 -> 2 */
}

/* Window at the edge: only what is inside counts, unless asked. */
static void pools_at_the_edge(void **state)
{
    (void)state;
    static const float in[4] = {1, 2, 3, 6};
    struct tiny t;
    float out[9];
    for (int include = 0; include < 2; include++) {
        struct eng_node n = tiny_op(ENG_OP_AVGPOOL);
        n.win = (struct eng_window){2, 2, 1, 1, 1, 1, 1, 1, 1, 1};
        n.count_include_pad = include;
        begin(&t, ENG_F32, 2, 2, 1, 0, 0);
        tiny_node(&t, n, &t.t, 1, tiny_tensor(&t, 0, 0));
        run_last(&t, in, out);
        assert_true(out[0] == (include ? 0.25f : 1.0f));
        assert_true(out[1] == (include ? 0.75f : 1.5f));
        assert_true(out[4] == 3.0f);
    }
    struct eng_node n = tiny_op(ENG_OP_MAXPOOL);
    n.win = (struct eng_window){2, 2, 1, 1, 1, 1, 1, 1, 1, 1};
    begin(&t, ENG_F32, 2, 2, 1, 0, 0);
    tiny_node(&t, n, &t.t, 1, tiny_tensor(&t, 0, 0));
    static const float negative[4] = {-1, -2, -3, -6};
    run_last(&t, negative, out);
    assert_true(out[0] == -1 && out[4] == -1 && out[8] == -6); /* padding is no zero here */
}

/* XNNPACK's sum: k = rint(ratio * 2^shift), one rounding shift. */
static void add_rounds_half_up(void **state)
{
    (void)state;
    static const uint8_t a[4] = {10, 11, 12, 255};
    struct tiny t;
    uint8_t out[4];
    begin(&t, ENG_U8, 1, 4, 1, 1.0f, 10);
    struct eng_node n = tiny_op(ENG_OP_ADD);
    tiny_node(&t, n, (int[]){t.t, t.t}, 2, tiny_tensor(&t, 4.0f, 100));
    run_last(&t, a, out);
    /* 2 * (a - 10) / 4: 0, 0.5 -> 1, 1, 122.5 -> 123 */
    static const uint8_t want[4] = {100, 101, 101, 223};
    assert_memory_equal(out, want, 4);
}

static void mul_broadcasts(void **state)
{
    (void)state;
    static const float in[4] = {1, 2, 3, 4}, by[2] = {10, 100};
    static const uint8_t qin[4] = {10, 12, 14, 16}, qby[2] = {7, 3};
    struct tiny t;
    float out[4];
    uint8_t qout[4];
    begin(&t, ENG_F32, 2, 1, 2, 0, 0);
    int w = tiny_constant(&t, ENG_F32, 4, (int[]){1, 1, 1, 2}, by);
    tiny_node(&t, tiny_op(ENG_OP_MUL), (int[]){t.t, w}, 2, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    assert_true(out[0] == 10 && out[1] == 200 && out[2] == 30 && out[3] == 400);
    static const float half = 0.5f;
    begin(&t, ENG_U8, 2, 1, 2, 0.5f, 10);
    w = quantised(&t, ENG_U8, 4, (int[]){1, 1, 1, 2}, qby, 1, 0, &half, 4);
    tiny_node(&t, tiny_op(ENG_OP_MUL), (int[]){t.t, w}, 2, tiny_tensor(&t, 0.5f, 50));
    run_last(&t, qin, qout);
    /* (x-10)*(w-4)*0.5: 0*3, 2*-1, 4*3, 6*-1 -> 0 -1 6 -3 */
    static const uint8_t want[4] = {50, 49, 56, 47};
    assert_memory_equal(qout, want, 4);
}

static void requantise_and_back(void **state)
{
    (void)state;
    static const uint8_t in[4] = {0, 127, 128, 255};
    static const float real[5] = {-1.0f, 0.25f, 0.75f, 1.25f, 1e9f};
    struct tiny t;
    int8_t s[4];
    uint8_t u[5];
    begin(&t, ENG_U8, 1, 4, 1, 0.5f, 127);
    tiny_quantize_to(&t, ENG_I8, 0.5f, -1);
    run_last(&t, in, s);
    assert_true(s[0] == -128 && s[1] == -1 && s[2] == 0 && s[3] == 127);
    begin(&t, ENG_F32, 1, 5, 1, 0, 0);
    tiny_quantize_to(&t, ENG_U8, 0.5f, 10);
    run_last(&t, real, u);
    static const uint8_t want[5] = {8, 10, 12, 12, 255}; /* -2, 0.5, 1.5, 2.5 half to even */
    assert_memory_equal(u, want, 5);
    static const uint8_t q[2] = {10, 14};
    float f[2];
    begin(&t, ENG_U8, 1, 2, 1, 0.5f, 10);
    tiny_node(&t, tiny_op(ENG_OP_DEQUANTIZE), &t.t, 1, tiny_typed(&t, ENG_F32, 0, 0));
    run_last(&t, q, f);
    assert_true(f[0] == 0 && f[1] == 2);
}

static void softmax_sums_to_one(void **state)
{
    (void)state;
    static const float in[3] = {1000, 1000, 1000 - 20};
    static const uint8_t q[3] = {255, 255, 0};
    struct tiny t;
    float out[3];
    uint8_t u[3];
    begin(&t, ENG_F32, 1, 1, 3, 0, 0);
    tiny_softmax(&t);
    run_last(&t, in, out);
    assert_true(fabsf(out[0] - 0.5f) < 1e-6f && out[0] == out[1] && out[2] < 1e-8f);
    begin(&t, ENG_U8, 1, 1, 3, 0.1f, 9);
    tiny_softmax(&t);
    run_last(&t, q, u);
    assert_true(u[0] == 128 && u[1] == 128 && u[2] == 0);
    static const uint8_t alone[3] = {255, 0, 0};
    begin(&t, ENG_U8, 1, 1, 3, 0.1f, 9);
    tiny_softmax(&t);
    run_last(&t, alone, u);
    assert_int_equal(u[0], 255); /* 1.0 is 256 quanta: saturates */
}

static void moves(void **state)
{
    (void)state;
    static const float in[6] = {1, 2, 3, 4, 5, 6};
    struct tiny t;
    float out[24];
    struct eng_node n = tiny_op(ENG_OP_TRANSPOSE); /* [1,1,2,3] -> [1,3,1,2] */
    n.perm[0] = 0;
    n.perm[1] = 3;
    n.perm[2] = 1;
    n.perm[3] = 2;
    begin(&t, ENG_F32, 1, 2, 3, 0, 0);
    tiny_node(&t, n, &t.t, 1, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    static const float turned[6] = {1, 4, 2, 5, 3, 6};
    assert_memory_equal(out, turned, sizeof(turned));

    static const uint8_t q[2] = {5, 6};
    uint8_t padded[12];
    begin(&t, ENG_U8, 1, 2, 1, 1.0f, 9);
    tiny_pad(&t, 1, 0, 0, 1);
    run_last(&t, q, padded);
    static const uint8_t want[6] = {9, 9, 9, 5, 6, 9};
    assert_memory_equal(padded, want, 6);

    begin(&t, ENG_F32, 1, 3, 2, 0, 0);
    tiny_concat(&t, t.t, 2);
    run_last(&t, in, out);
    static const float twice[12] = {1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6};
    assert_memory_equal(out, twice, sizeof(twice));
}

static void resizes(void **state)
{
    (void)state;
    static const float in[2] = {0, 4};
    static const struct {
        int align, half, nearest;
        float want[4];
    } rows[] = {
        {0, 0, 0, {0, 2, 4, 4}},
        {1, 0, 0, {0, 4.0f / 3, 8.0f / 3, 4}},
        {0, 1, 0, {0, 1, 3, 4}},
        {0, 0, 1, {0, 0, 4, 4}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tiny t;
        float out[4];
        struct eng_node n = tiny_op(ENG_OP_RESIZE);
        n.align_corners = rows[i].align;
        n.half_pixel = rows[i].half;
        n.nearest = rows[i].nearest;
        begin(&t, ENG_F32, 1, 2, 1, 0, 0);
        int o = tiny_tensor(&t, 0, 0);
        struct eng_tensor *y = &t.g->tensors[o];
        y->rank = 4;
        y->dim[0] = y->dim[1] = y->dim[3] = 1;
        y->dim[2] = 4;
        tiny_node(&t, n, &t.t, 1, o);
        run_last(&t, in, out);
        for (int k = 0; k < 4; k++)
            assert_true(fabsf(out[k] - rows[i].want[k]) < 1e-5f);
    }
}

/* A row or a map of quanta made larger, ends on ends. */
static void resize_quanta(enum eng_type type, int h, int w, int to_h, int to_w, const void *in,
                          void *out)
{
    struct tiny t;
    struct eng_node n = tiny_op(ENG_OP_RESIZE);
    n.align_corners = 1;
    begin(&t, type, h, w, 1, 0.5f, 3);
    int o = tiny_tensor(&t, 0.5f, 3);
    struct eng_tensor *y = &t.g->tensors[o];
    y->rank = 4;
    y->dim[0] = y->dim[3] = 1;
    y->dim[1] = to_h;
    y->dim[2] = to_w;
    tiny_node(&t, n, &t.t, 1, o);
    run_last(&t, in, out);
}

static void resized_quanta_are_those_of_xnnpack(void **state)
{
    (void)state;
    static const int8_t below[2] = {-3, 0};
    static const uint8_t above[2] = {4, 7};
    int8_t s[3];
    uint8_t u[49];
    resize_quanta(ENG_I8, 1, 2, 1, 3, below, s);
    assert_true(s[0] == -3 && s[1] == -1 && s[2] == 0); /* -1.5: half towards +infinity */
    resize_quanta(ENG_U8, 1, 2, 1, 3, above, u);
    assert_true(u[0] == 4 && u[1] == 6 && u[2] == 7); /* 5.5 */
    /* Weights have 11 bits, so that a sixth is 341 / 2048. Exact numbers would say 42.500 here. */
    static const uint8_t four[4] = {255, 255, 0, 0};
    resize_quanta(ENG_U8, 2, 2, 7, 7, four, u);
    assert_int_equal(u[5 * 7 + 3], 42);
}

/* u8 -> u8 of another scale: a multiplier of 8 fractional bits, 108 where 108.25 is exact. */
static void converts_with_eight_bits(void **state)
{
    (void)state;
    static const uint8_t in[6] = {0, 58, 77, 103, 200, 255};
    static const uint8_t want[6] = {5, 29, 37, 48, 89, 113}; /* exact: 29.53, 37.56, 48.56, 89.57 */
    struct tiny t;
    uint8_t out[6];
    begin(&t, ENG_U8, 1, 6, 1, 0.0122983968f, 0);
    tiny_quantize_to(&t, ENG_U8, 0.0290829986f, 5);
    run_last(&t, in, out);
    assert_memory_equal(out, want, 6);
    static const int8_t minus[3] = {-128, -1, 127};
    int8_t s[3];
    begin(&t, ENG_I8, 1, 3, 1, 0.5f, -1);
    tiny_quantize_to(&t, ENG_I8, 1.0f, 0);
    run_last(&t, minus, s);
    assert_true(s[0] == -63 && s[1] == 0 && s[2] == 64); /* -63.5: half towards +infinity */
    static const uint8_t wide[2] = {9, 10};              /* a ratio of 150 is not XNNPACK's */
    begin(&t, ENG_U8, 1, 2, 1, 300.0f, 9);
    tiny_quantize_to(&t, ENG_U8, 2.0f, 1);
    run_last(&t, wide, out);
    assert_true(out[0] == 1 && out[1] == 151);
}

static void activations(void **state)
{
    (void)state;
    static const float in[3] = {-4, 0, 2};
    static const struct {
        enum eng_unary unary;
        float want[3];
    } rows[] = {
        {ENG_UNARY_CLAMP, {-1, 0, 1}},
        {ENG_UNARY_LEAKY_RELU, {-1, 0, 1}},
        {ENG_UNARY_SIGMOID, {0.0179862f, 0.5f, 0.8807971f}},
        {ENG_UNARY_HARD_SIGMOID, {0, 0.5f, 1}},
        {ENG_UNARY_HARD_SWISH, {0, 0, 1}},
        {ENG_UNARY_SWISH, {-0.0719448f, 0, 1}},
        {ENG_UNARY_TANH, {-0.9993293f, 0, 0.9640276f}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tiny t;
        float out[3];
        struct eng_node n = tiny_op(ENG_OP_UNARY);
        n.unary = rows[i].unary;
        n.alpha = 0.25f;
        n.beta = 0.5f;
        n.lo = -1;
        n.hi = 1;
        begin(&t, ENG_F32, 1, 3, 1, 0, 0);
        tiny_node(&t, n, &t.t, 1, tiny_tensor(&t, 0, 0));
        run_last(&t, in, out);
        for (int k = 0; k < 3; k++)
            assert_true(fabsf(out[k] - rows[i].want[k]) < 1e-5f);
    }
}

static void per_channel_affine(void **state)
{
    (void)state;
    static const float in[4] = {1, -2, 3, -4}, scale[2] = {10, 100}, offset[2] = {1, 2};
    struct tiny t;
    float out[4];
    int two = 2;
    begin(&t, ENG_F32, 2, 1, 2, 0, 0);
    int s = tiny_constant(&t, ENG_F32, 1, &two, scale);
    int o = tiny_constant(&t, ENG_F32, 1, &two, offset);
    tiny_node(&t, tiny_op(ENG_OP_BATCHNORM), (int[]){t.t, s, o}, 3, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    assert_true(out[0] == 11 && out[1] == -198 && out[2] == 31 && out[3] == -398);
    begin(&t, ENG_F32, 2, 1, 2, 0, 0);
    s = tiny_constant(&t, ENG_F32, 1, &two, scale);
    tiny_node(&t, tiny_op(ENG_OP_PRELU), (int[]){t.t, s}, 2, tiny_tensor(&t, 0, 0));
    run_last(&t, in, out);
    assert_true(out[0] == 1 && out[1] == -200 && out[2] == 3 && out[3] == -400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(conv_clamps_inside_the_range),
        cmocka_unit_test(padding_counts_as_zero),
        cmocka_unit_test(dead_channels_are_zero),
        cmocka_unit_test(groups_dilation_multiplier),
        cmocka_unit_test(averages_round_away_from_zero),
        cmocka_unit_test(mean_rescales),
        cmocka_unit_test(pools_at_the_edge),
        cmocka_unit_test(add_rounds_half_up),
        cmocka_unit_test(mul_broadcasts),
        cmocka_unit_test(requantise_and_back),
        cmocka_unit_test(softmax_sums_to_one),
        cmocka_unit_test(moves),
        cmocka_unit_test(resizes),
        cmocka_unit_test(resized_quanta_are_those_of_xnnpack),
        cmocka_unit_test(converts_with_eight_bits),
        cmocka_unit_test(activations),
        cmocka_unit_test(per_channel_affine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
