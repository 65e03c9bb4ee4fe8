/* TFLite files of one operator each that classifiers lack, in both plans, against answers worked
 * out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/importers/import.h"
#include "engine/plan/plan.h"
#include "tests/unit/tflite_writer.h"

enum { F32 = 0, I32 = 2, I64 = 4, MOST = 512 };
enum {
    DEPTHWISE = 4,
    PAD = 34,
    GATHER = 36,
    BATCH_TO_SPACE = 37,
    SPACE_TO_BATCH = 38,
    SUB = 41,
    MAXIMUM = 55,
    ARG_MAX = 56,
    MINIMUM = 57,
    TRANSPOSE_CONV = 67,
    TILE = 69,
    PACK = 83,
    UNPACK = 88,
    ABS = 101,
    ADD_N = 106,
    BROADCAST_TO = 130,
};

static _Alignas(64) uint8_t whole[TFW_BYTES];
static char err[512];

static int tensor(struct tfw_model *m, const char *name, int type, int rank, const int *dim,
                  const void *data)
{
    struct tfw_tensor *t = &m->tensor[m->n_tensors];
    *t = (struct tfw_tensor){.name = name, .type = type, .rank = rank, .data = data};
    size_t n = 1;
    for (int i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        n *= (size_t)dim[i];
    }
    t->len = data ? n * 4 : 0;
    return m->n_tensors++;
}

#define DIM(...)                                                                                   \
    (int[])                                                                                        \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A float image as the input. */
static void begin(struct tfw_model *m, int h, int w, int c)
{
    memset(m, 0, sizeof(*m));
    m->version = 3;
    m->n_subgraphs = m->n_inputs = 1;
    m->input = tensor(m, "input", F32, 4, DIM(1, h, w, c), NULL);
}

static struct tfw_op *op(struct tfw_model *m, int code, int out, int n_in, const int *in)
{
    struct tfw_op *o = &m->op[m->n_ops++];
    *o = (struct tfw_op){.code = code, .n_in = n_in, .out = out};
    memcpy(o->in, in, (size_t)n_in * sizeof(*in));
    m->output = out;
    return o;
}

static void option(struct tfw_op *o, int id, char kind, double value)
{
    o->option[o->n_options++] = (struct tfw_option){id, kind, value};
}

/* Both plans give `n` elements of `want`, of `size` bytes each, for these inputs. */
static void gives(const struct tfw_model *m, const float *in, const void *want, size_t n,
                  size_t size)
{
    size_t len = tfw_write(m, whole);
    for (int reference = 0; reference < 2; reference++) {
        struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
        struct eng_graph *g;
        struct eng_plan *plan;
        struct eng_run *run;
        if (eng_import_tflite(&g, whole, len, err, sizeof(err)) < 0 ||
            (!reference && eng_graph_fold(g, err, sizeof(err)) < 0) ||
            eng_plan_create(&plan, g, &opts, err, sizeof(err)) < 0 ||
            eng_run_create(&run, plan, 1, 1, err, sizeof(err)) < 0)
            fail_msg("%s", err);
        memcpy(eng_run_input(run, 0), in,
               eng_tensor_elements(&g->tensors[g->input]) * sizeof(float));
        assert_int_equal(eng_run_exec(run, 1, NULL), 0);
        assert_int_equal(eng_tensor_elements(&g->tensors[g->output]), n);
        assert_memory_equal(eng_run_tensor(run, g->output, 0), want, n * size);
        eng_run_destroy(run);
        eng_plan_destroy(plan);
        eng_graph_destroy(g);
    }
}

static void refused(const struct tfw_model *m, const char *says)
{
    struct eng_graph *g;
    assert_true(eng_import_tflite(&g, whole, tfw_write(m, whole), err, sizeof(err)) < 0);
    if (!strstr(err, says))
        fail_msg("wanted '%s', got '%s'", says, err);
}

static const float small[6] = {-3, -2, -1, 1, 2, 3};

static void bounds(void **state)
{
    static const float two = 2, one = -1;
    static const float least[6] = {-3, -2, -1, 1, 2, 2}, most[6] = {-1, -1, -1, 1, 2, 3};
    struct tfw_model m;
    (void)state;
    begin(&m, 1, 2, 3);
    int c = tensor(&m, "two", F32, 0, NULL, &two),
        y = tensor(&m, "y", F32, 4, DIM(1, 1, 2, 3), NULL);
    op(&m, MINIMUM, y, 2, DIM(m.input, c));
    gives(&m, small, least, 6, 4);
    m.n_ops = 0;
    m.tensor[c].data = &one;
    op(&m, MAXIMUM, y, 2, DIM(c, m.input));
    gives(&m, small, most, 6, 4);
}

static void sums(void **state)
{
    static const float three[6] = {-9, -6, -3, 3, 6, 9}, absolute[6] = {3, 2, 1, 1, 2, 3};
    static const float rows[3] = {10, 20, 30}, from[6] = {13, 22, 31, 9, 18, 27};
    struct tfw_model m;
    (void)state;
    begin(&m, 1, 2, 3);
    int y = tensor(&m, "y", F32, 4, DIM(1, 1, 2, 3), NULL);
    op(&m, ADD_N, y, 3, DIM(m.input, m.input, m.input));
    gives(&m, small, three, 6, 4);
    m.n_ops = 0;
    op(&m, ABS, y, 1, DIM(m.input));
    gives(&m, small, absolute, 6, 4);
    m.n_ops = 0;
    int c = tensor(&m, "rows", F32, 1, DIM(3), rows);
    op(&m, SUB, y, 2, DIM(c, m.input));
    gives(&m, small, from, 6, 4);
}

static void repeated(void **state)
{
    static const int32_t multiples[4] = {1, 2, 2, 1};
    static const float pixel[3] = {4, 5, 6};
    static const float map[12] = {4, 5, 6, 4, 5, 6, 4, 5, 6, 4, 5, 6};
    static const float twice[12] = {-3, -2, -1, -3, -2, -1, 1, 2, 3, 1, 2, 3};
    struct tfw_model m;
    (void)state;
    begin(&m, 1, 1, 3);
    int c = tensor(&m, "multiples", I32, 1, DIM(4), multiples);
    int y = tensor(&m, "y", F32, 4, DIM(1, 2, 2, 3), NULL);
    op(&m, TILE, y, 2, DIM(m.input, c));
    gives(&m, pixel, map, 12, 4);
    begin(&m, 1, 2, 3); /* of channels, too */
    c = tensor(&m, "multiples", I32, 1, DIM(4), multiples);
    y = tensor(&m, "y", F32, 4, DIM(1, 1, 2, 6), NULL);
    op(&m, BROADCAST_TO, y, 2, DIM(m.input, c));
    gives(&m, small, twice, 12, 4);
    m.tensor[y].dim[3] = 7;
    refused(&m, "not repeated in whole");
}

static void padded(void **state)
{
    static const int32_t pads[8] = {0, 0, 0, 0, 0, 1, 1, 2}, images[8] = {0, 1, 0, 0, 0, 0, 0, 0};
    static const float want[18] = {0, -3, -2, -1, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0};
    static const int32_t only[8] = {0, 0, 0, 0, 0, 0, 0, 20};
    struct tfw_model m;
    float wide[46] = {0};
    (void)state;
    begin(&m, 1, 2, 3);
    int c = tensor(&m, "pads", I32, 2, DIM(4, 2), pads);
    int y = tensor(&m, "y", F32, 4, DIM(1, 1, 3, 6), NULL);
    op(&m, PAD, y, 2, DIM(m.input, c));
    gives(&m, small, want, 18, 4);
    m.tensor[c].data = only; /* into another block of channels */
    m.tensor[y].dim[2] = 2;
    m.tensor[y].dim[3] = 23;
    memcpy(wide, small, 3 * sizeof(float));
    memcpy(wide + 23, small + 3, 3 * sizeof(float));
    gives(&m, small, wide, 46, 4);
    m.tensor[c].data = images;
    refused(&m, "only one image can be padded");
}

static void places(void **state)
{
    static const int32_t axis = 3, which[2] = {1, 0};
    static const int64_t best[2] = {2, 2};
    static const float columns[6] = {1, 2, 3, -3, -2, -1};
    struct tfw_model m;
    (void)state;
    begin(&m, 1, 2, 3);
    int c = tensor(&m, "axis", I32, 0, NULL, &axis);
    int y = tensor(&m, "y", I64, 3, DIM(1, 1, 2), NULL);
    op(&m, ARG_MAX, y, 2, DIM(m.input, c));
    gives(&m, small, best, 2, 8);
    begin(&m, 1, 2, 3);
    c = tensor(&m, "which", I32, 1, DIM(2), which);
    y = tensor(&m, "y", F32, 4, DIM(1, 1, 2, 3), NULL);
    option(op(&m, GATHER, y, 2, DIM(m.input, c)), 0, 'i', 2);
    gives(&m, small, columns, 6, 4);
    m.op[0].option[0].value = 7;
    refused(&m, "do not fit");
}

static void apart_and_together(void **state)
{
    static const float want[12] = {1, 2, 3, -3, -2, -1, 1, 2, 3, -3, -2, -1};
    struct tfw_model m;
    (void)state;
    begin(&m, 1, 2, 3);
    int a = tensor(&m, "a", F32, 3, DIM(1, 1, 3), NULL),
        b = tensor(&m, "b", F32, 3, DIM(1, 1, 3), NULL);
    int y = tensor(&m, "y", F32, 4, DIM(1, 1, 4, 3), NULL);
    struct tfw_op *o = op(&m, UNPACK, a, 1, DIM(m.input));
    o->n_more = 1;
    o->more[0] = b;
    option(o, 0, 'i', 2);
    option(o, 1, 'i', 2);
    o = op(&m, PACK, y, 4, DIM(b, a, b, a));
    option(o, 0, 'i', 4);
    option(o, 1, 'i', 2);
    gives(&m, small, want, 12, 4);
}

/* Each pixel adds its kernel to the output, which SAME cuts at both ends. */
static void transposed(int k, int s, int h, int w, int same, int cut)
{
    float in[12], kernel[4 * 4 * 2], want[MOST] = {0};
    int oh = same ? h * s : (h - 1) * s + k, ow = same ? w * s : (w - 1) * s + k;
    int32_t shape[4] = {1, oh, ow, 2};
    struct tfw_model m;
    for (int i = 0; i < h * w; i++)
        in[i] = (float)(i + 1);
    for (int i = 0; i < 2 * k * k; i++)
        kernel[i] = (float)(i * i % 7 - 3);
    for (int y = 0; y < h * s + k; y++)
        for (int x = 0; x < w * s + k; x++)
            for (int tap = 0; tap < k * k; tap++) {
                int iy = y + cut - tap / k, ix = x + cut - tap % k;
                if (y >= oh || x >= ow || iy < 0 || ix < 0 || iy % s || ix % s || iy / s >= h ||
                    ix / s >= w)
                    continue;
                for (int o = 0; o < 2; o++)
                    want[(y * ow + x) * 2 + o] += in[iy / s * w + ix / s] * kernel[o * k * k + tap];
            }
    begin(&m, h, w, 1);
    int c = tensor(&m, "shape", I32, 1, DIM(4), shape);
    int v = tensor(&m, "kernel", F32, 4, DIM(2, k, k, 1), kernel);
    int out = tensor(&m, "y", F32, 4, DIM(1, oh, ow, 2), NULL);
    struct tfw_op *o = op(&m, TRANSPOSE_CONV, out, 3, DIM(c, v, m.input));
    option(o, 0, 'b', same ? 0 : 1);
    option(o, 1, 'i', s);
    option(o, 2, 'i', s);
    gives(&m, in, want, (size_t)(oh * ow * 2), 4);
    m.tensor[out].dim[1] = oh * 3;
    refused(&m, "TRANSPOSE_CONV y");
}

static void transposed_convolutions(void **state)
{
    (void)state;
    transposed(2, 2, 2, 3, 0, 0);
    transposed(3, 2, 3, 4, 1, 0);
    transposed(4, 2, 2, 3, 1, 1);
    transposed(3, 1, 3, 3, 1, 1);
    transposed(3, 3, 2, 2, 0, 0);
}

/* Dealt out by 2, convolved without padding, collected: a dilated convolution, whose file is the
 * other one. */
static void dealt_out(void **state)
{
    static const int32_t block[2] = {2, 2}, pads[4] = {2, 2, 2, 3}, crops[4] = {0, 0, 0, 1},
                         more[4] = {0, 0, 3, 0};
    float in[6 * 7 * 3], kernel[27], want[6 * 7 * 3] = {0};
    struct tfw_model m;
    (void)state;
    for (int i = 0; i < 6 * 7 * 3; i++)
        in[i] = (float)(i % 11 - 5);
    for (int i = 0; i < 27; i++)
        kernel[i] = (float)(i % 5 - 2);
    for (int i = 0; i < 6 * 7 * 3; i++)
        for (int tap = 0; tap < 9; tap++) {
            int y = i / 21 + 2 * (tap / 3 - 1), x = i / 3 % 7 + 2 * (tap % 3 - 1);
            if (y >= 0 && y < 6 && x >= 0 && x < 7)
                want[i] += in[(y * 7 + x) * 3 + i % 3] * kernel[tap * 3 + i % 3];
        }
    begin(&m, 6, 7, 3);
    int b = tensor(&m, "block", I32, 1, DIM(2), block),
        p = tensor(&m, "pads", I32, 2, DIM(2, 2), pads);
    int c = tensor(&m, "crops", I32, 2, DIM(2, 2), crops);
    int k = tensor(&m, "kernel", F32, 4, DIM(1, 3, 3, 3), kernel);
    int s = tensor(&m, "s", F32, 4, DIM(4, 5, 6, 3), NULL),
        d = tensor(&m, "d", F32, 4, DIM(4, 3, 4, 3), NULL);
    int y = tensor(&m, "y", F32, 4, DIM(1, 6, 7, 3), NULL);
    op(&m, SPACE_TO_BATCH, s, 3, DIM(m.input, b, p));
    struct tfw_op *o = op(&m, DEPTHWISE, d, 2, DIM(s, k));
    option(o, 0, 'b', 1);
    option(o, 1, 'i', 1);
    option(o, 2, 'i', 1);
    option(o, 3, 'i', 1);
    op(&m, BATCH_TO_SPACE, y, 3, DIM(d, b, c));
    gives(&m, in, want, 6 * 7 * 3, 4);
    m.tensor[c].data = more;
    refused(&m, "cuts off more than was padded");
    o->option[0].value = 0;
    refused(&m, "without padding");
    m.op[1] = (struct tfw_op){.code = ABS, .n_in = 1, .in = {s}, .out = d};
    refused(&m, "one convolution of images dealt out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(sums),
        cmocka_unit_test(repeated),
        cmocka_unit_test(padded),
        cmocka_unit_test(places),
        cmocka_unit_test(apart_and_together),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(dealt_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
