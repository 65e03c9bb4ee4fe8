/* Operators on tables and arithmetic that broadcasts, on cases worked out by hand. */
#include "engine/kernels/ref/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Tensors 0 and 1 are inputs, 2 is the output, whose shape is inferred unless it is given. */
struct one {
    struct eng_tensor t[3];
    struct eng_node n;
    int in[2];
    char err[160];
};

static struct eng_tensor table(enum eng_type type, int rank, const int *dim)
{
    struct eng_tensor t = {.name = "t", .type = type, .rank = rank, .producer = -1};
    for (int i = 0; i < rank; i++)
        t.dim[i] = dim[i];
    return t;
}

static void begin(struct one *o, enum eng_op op, int n_in)
{
    memset(o, 0, sizeof(*o));
    o->n = (struct eng_node){.op = op, .name = "n", .n_in = n_in, .out = 2};
    o->n.lo = -INFINITY;
    o->n.hi = INFINITY;
    o->in[0] = 0;
    o->in[1] = 1;
    o->n.in = o->in;
}

/* Infers and runs; a failure of the check is returned, its sentence in o->err. */
static int run(struct one *o, const void *a, const void *b, void *out)
{
    int tensors[2] = {0, 0};
    struct eng_graph g = {.n_tensors = 3, .tensors = o->t, .n_nodes = 1, .nodes = &o->n};
    (void)tensors;
    g.input = 0;
    g.output = 2;
    if (o->n.n_in == 2 && b) {
        o->t[1].data = b;
        o->t[1].size = eng_tensor_elements(&o->t[1]) * eng_type_size(o->t[1].type);
    }
    int rc = eng_graph_infer(&g, 0, o->err, sizeof(o->err));
    if (rc < 0)
        return rc;
    const void *in[2] = {a, b};
    eng_ref_run(&(struct eng_ref_call){.g = &g, .n = &o->n, .in = in, .out = out});
    return 0;
}

static void broadcasts(void **state)
{
    static const float a[2] = {10, 20}, b[3] = {1, 2, 3};
    static const float want[6] = {9, 8, 7, 19, 18, 17};
    float out[6];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_ARITH, 2);
    o.n.arith = ENG_ARITH_SUB;
    o.t[0] = table(ENG_F32, 3, (int[]){1, 2, 1});
    o.t[1] = table(ENG_F32, 1, (int[]){3});
    o.t[2] = table(ENG_F32, 0, NULL);
    assert_int_equal(run(&o, a, b, out), 0);
    assert_int_equal(o.t[2].rank, 3);
    assert_memory_equal(out, want, sizeof(want));
    o.t[2].rank = 0;
    o.t[2].producer = -1;
    o.t[0].dim[1] = 2;
    o.t[0].dim[2] = 2;
    assert_true(run(&o, a, b, out) < 0);
    assert_non_null(strstr(o.err, "do not fit"));
}

static void integers(void **state)
{
    static const int32_t a[5] = {7, -7, INT32_MIN, 5, 0}, by[5] = {2, 2, -1, 0, 3};
    static const int32_t want[5] = {3, -4, INT32_MIN, 0, 0};
    int32_t out[5];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_ARITH, 2);
    o.n.arith = ENG_ARITH_FLOOR_DIV;
    for (int i = 0; i < 3; i++)
        o.t[i] = table(ENG_I32, 1, (int[]){5});
    assert_int_equal(run(&o, a, by, out), 0);
    assert_memory_equal(out, want, sizeof(want));
    o.n.arith = ENG_ARITH_DIV;
    o.t[2].producer = -1;
    assert_true(run(&o, a, by, out) < 0);
}

static void the_first_of_the_largest(void **state)
{
    static const uint8_t q[12] = {3, 9, 9, 1, 5, 5, 5, 5, 0, 0, 0, 7};
    static const int64_t rows[3] = {1, 0, 3}, columns[4] = {1, 0, 0, 2};
    static const float scale = 1;
    static const int32_t zero = 0;
    int64_t out[4];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_ARGMAX, 1);
    o.t[0] = table(ENG_U8, 2, (int[]){3, 4});
    o.t[0].quant = (struct eng_quant){1, 0, &scale, &zero};
    o.t[2] = table(ENG_I64, 0, NULL);
    o.n.axis = 1;
    assert_int_equal(run(&o, q, NULL, out), 0);
    assert_memory_equal(out, rows, sizeof(rows));
    o.t[2] = table(ENG_I64, 0, NULL);
    o.n.axis = 0;
    assert_int_equal(run(&o, q, NULL, out), 0);
    assert_memory_equal(out, columns, sizeof(columns));
    o.t[2] = table(ENG_I64, 0, NULL);
    o.n.axis = 2;
    assert_true(run(&o, q, NULL, out) < 0);
}

static void slices(void **state)
{
    static const float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const float backwards[4] = {11, 9, 3, 1}, rows[6] = {3, 4, 5, 6, 7, 8};
    float out[6];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_SLICE, 1);
    o.t[0] = table(ENG_F32, 2, (int[]){4, 3});
    o.t[2] = table(ENG_F32, 0, NULL);
    o.n.begin[0] = 1;
    o.n.step[0] = o.n.step[1] = 1;
    o.n.count[0] = 2;
    o.n.count[1] = 3;
    assert_int_equal(run(&o, x, NULL, out), 0);
    assert_memory_equal(out, rows, sizeof(rows));
    o.t[0] = table(ENG_F32, 2, (int[]){3, 4});
    o.t[2] = table(ENG_F32, 0, NULL);
    memcpy(o.n.begin, (int[]){2, 3}, sizeof(int[2]));
    memcpy(o.n.step, (int[]){-2, -2}, sizeof(int[2]));
    memcpy(o.n.count, (int[]){2, 2}, sizeof(int[2]));
    assert_int_equal(run(&o, x, NULL, out), 0);
    assert_memory_equal(out, backwards, sizeof(backwards));
    o.t[2] = table(ENG_F32, 0, NULL);
    o.n.count[1] = 3;
    assert_true(run(&o, x, NULL, out) < 0);
    assert_non_null(strstr(o.err, "leaves its input"));
}

static void picks(void **state)
{
    static const float x[6] = {0, 1, 10, 11, 20, 21};
    static const int32_t which[3] = {2, -3, 1}, places[4] = {2, 1, 0, -1};
    static const float rows[6] = {20, 21, 0, 1, 10, 11}, points[2] = {21, 1};
    float out[6];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_PICK, 2);
    o.t[0] = table(ENG_F32, 2, (int[]){3, 2});
    o.t[1] = table(ENG_I32, 1, (int[]){3});
    o.t[2] = table(ENG_F32, 0, NULL);
    assert_int_equal(run(&o, x, which, out), 0);
    assert_memory_equal(out, rows, sizeof(rows));
    o.n.axis = -1;
    o.t[1] = table(ENG_I32, 2, (int[]){2, 2});
    o.t[2] = table(ENG_F32, 0, NULL);
    assert_int_equal(run(&o, x, places, out), 0);
    assert_memory_equal(out, points, sizeof(points));
    static const int32_t outside[4] = {2, 1, 3, 0};
    o.t[2] = table(ENG_F32, 0, NULL);
    assert_true(run(&o, x, outside, out) < 0);
    assert_non_null(strstr(o.err, "its index is 3"));
}

/* Indices that are computed cannot be checked before: they are held inside. */
static void wild_indices(void **state)
{
    static const float x[3] = {1, 2, 3};
    static const int64_t wild[3] = {INT64_MAX, INT64_MIN, 1};
    static const float want[3] = {3, 1, 2};
    float out[3];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_PICK, 2);
    o.t[0] = table(ENG_F32, 1, (int[]){3});
    o.t[1] = table(ENG_I64, 1, (int[]){3});
    o.t[2] = table(ENG_F32, 1, (int[]){3});
    struct eng_graph g = {.n_tensors = 3, .tensors = o.t, .n_nodes = 1, .nodes = &o.n};
    const void *in[2] = {x, wild};
    eng_ref_run(&(struct eng_ref_call){.g = &g, .n = &o.n, .in = in, .out = out});
    assert_memory_equal(out, want, sizeof(want));
}

static void tiles(void **state)
{
    static const float x[2] = {1, 2}, want[8] = {1, 1, 2, 2, 1, 1, 2, 2};
    float out[8];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_TILE, 1);
    o.t[0] = table(ENG_F32, 2, (int[]){2, 1});
    o.t[2] = table(ENG_F32, 2, (int[]){4, 2});
    assert_int_equal(run(&o, x, NULL, out), 0);
    assert_memory_equal(out, want, sizeof(want));
    o.t[2] = table(ENG_F32, 2, (int[]){3, 2});
    assert_true(run(&o, x, NULL, out) < 0);
}

static void casts(void **state)
{
    static const float x[5] = {-1.9f, 1.9f, 3e9f, NAN, -INFINITY};
    static const int32_t want[5] = {-1, 1, INT32_MAX, 0, INT32_MIN};
    int32_t out[5];
    struct one o;
    (void)state;
    begin(&o, ENG_OP_CAST, 1);
    o.t[0] = table(ENG_F32, 1, (int[]){5});
    o.t[2] = table(ENG_I32, 0, NULL);
    assert_int_equal(run(&o, x, NULL, out), 0);
    assert_memory_equal(out, want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(integers),
        cmocka_unit_test(the_first_of_the_largest),
        cmocka_unit_test(slices),
        cmocka_unit_test(picks),
        cmocka_unit_test(wild_indices),
        cmocka_unit_test(tiles),
        cmocka_unit_test(casts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
