/* The TFLite importer on real files, on a small whole one, and on what hostility makes of it. */
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

#include "engine/base/file.h"
#include "engine/importers/import.h"
#include "tests/unit/tflite_writer.h"

static _Alignas(64) uint8_t whole[TFW_BYTES];
static char err[512];

static int import(struct eng_graph **ret, const void *bytes, size_t len)
{
    err[0] = '\0';
    *ret = NULL;
    int rc = eng_import_tflite(ret, bytes, len, err, sizeof(err));
    if (rc < 0) {
        assert_null(*ret);
        assert_true(strlen(err) > 5);
    } else {
        assert_non_null(*ret);
    }
    return rc;
}

/* ---- real files ---- */

static struct eng_graph *import_shared(const char *name, struct eng_file *file)
{
    const char *mirror = getenv("MOBILENETD_MIRROR"), *root = getenv("MOBILENETD_SHARED");
    char path[1024];
    struct eng_graph *g;
    if (mirror && *mirror)
        snprintf(path, sizeof(path), "%s/%s", mirror, name);
    else
        snprintf(path, sizeof(path), "%s/models/%s", root && *root ? root : "../shared", name);
    if (eng_file_read(file, path, SIZE_MAX, err, sizeof(err)) < 0)
        skip();
    if (import(&g, file->bytes, file->len) < 0)
        fail_msg("%s: %s", name, err);
    return g;
}

static void real_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int nodes;
        enum eng_type type;
        int side, outputs, embedding;
        uint64_t mult_adds, parameters;
    } rows[] = {
        {"imagenet/mobilenet_v1_0.25_128_quant.tflite", 31, ENG_U8, 128, 1001, 256, 13570304,
         467593},
        {"imagenet/mobilenet_v1_0.5_160_quant.tflite", 31, ENG_U8, 160, 1001, 512, 76525312,
         1326633},
        {"imagenet/mobilenet_v1_0.75_192_quant.tflite", 31, ENG_U8, 192, 1001, 768, 239274240,
         2578121},
        {"imagenet/mobilenet_v1_1.0_224_quant.backbone.tflite", 28, ENG_U8, 224, 1024, 0, 567716352,
         3196032},
        {"imagenet/mobilenet_v1_1.0_224_quant.head.tflite", 3, ENG_U8, 1, 1001, 1024, 1025024,
         1026025},
        {"imagenet/mobilenet_v2_1.0_224_quant.tflite", 66, ENG_U8, 224, 1001, 1280, 300775552,
         3489097},
        {"imagenet/tf2_mobilenet_v2_1.0_224_ptq.tflite", 68, ENG_U8, 224, 1001, 1280, 300775552,
         3489097},
        {"vww/vww_96_float.tflite", 31, ENG_F32, 96, 2, 256, 7489664, 210850},
        {"vww/vww_96_int8.tflite", 31, ENG_I8, 96, 2, 256, 7489664, 210850},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct eng_file file = {0};
        struct eng_graph *g = import_shared(rows[i].name, &file);
        uint64_t mult_adds = 0, parameters = 0;
        for (int k = 0; k < g->n_nodes; k++) {
            mult_adds += eng_node_cost(g, &g->nodes[k]).mult_adds;
            parameters += eng_node_cost(g, &g->nodes[k]).parameters;
        }
        assert_int_equal(g->n_nodes, rows[i].nodes);
        assert_int_equal(g->tensors[g->input].type, rows[i].type);
        assert_int_equal(g->tensors[g->input].dim[1], rows[i].side);
        assert_int_equal(eng_tensor_elements(&g->tensors[g->logits]), rows[i].outputs);
        assert_int_equal(g->embedding < 0 ? 0 : eng_tensor_elements(&g->tensors[g->embedding]),
                         rows[i].embedding);
        assert_int_equal(mult_adds, rows[i].mult_adds);
        assert_int_equal(parameters, rows[i].parameters);
        eng_graph_destroy(g);
        eng_file_finish(&file);
    }
}

static void parts_join(void **state)
{
    (void)state;
    struct eng_file fa = {0}, fb = {0};
    struct eng_graph *a = import_shared("imagenet/mobilenet_v1_1.0_224_quant.backbone.tflite", &fa);
    struct eng_graph *b = import_shared("imagenet/mobilenet_v1_1.0_224_quant.head.tflite", &fb);
    int rc = eng_graph_join(a, b, err, sizeof(err));
    if (rc < 0)
        fail_msg("%s", err);
    assert_int_equal(a->n_nodes, 31);
    assert_int_equal(eng_tensor_elements(&a->tensors[a->logits]), 1001);
    assert_int_equal(eng_tensor_elements(&a->tensors[a->embedding]), 1024);
    eng_graph_destroy(a);
    eng_file_finish(&fa);
    eng_file_finish(&fb);
}

/* ---- the small one ---- */

static void sample(void **state)
{
    (void)state;
    for (int as_float = 0; as_float < 2; as_float++) {
        struct tfw_model m;
        struct eng_graph *g;
        if (as_float)
            tfw_sample_float(&m);
        else
            tfw_sample(&m);
        size_t len = tfw_write(&m, whole);
        if (import(&g, whole, len) < 0)
            fail_msg("%s", err);
        assert_int_equal(g->n_nodes, 6);
        const struct eng_node *conv = &g->nodes[0];
        assert_int_equal(conv->op, ENG_OP_CONV);
        assert_int_equal(conv->groups, 1);
        assert_true(conv->lo == 0 && conv->hi == 6);
        assert_int_equal(conv->win.top, 0); /* SAME, 8 pixels at stride 2: the odd one behind */
        assert_int_equal(conv->win.bottom, 1);
        assert_int_equal(g->nodes[1].op, ENG_OP_DEPTHWISE);
        assert_int_equal(g->nodes[1].multiplier, 1);
        assert_int_equal(g->nodes[1].win.top, 1);
        assert_int_equal(g->nodes[5].op, ENG_OP_SOFTMAX);
        assert_string_equal(g->tensors[g->logits].name, "logits");
        assert_string_equal(g->tensors[g->embedding].name, "flat");
        eng_graph_destroy(g);
    }
}

/* One of every operator; a constant in fp16 becomes float, its node nothing. */
static void zoo(void **state)
{
    (void)state;
    static const enum eng_op ops[] = {
        ENG_OP_PAD,   ENG_OP_TRANSPOSE, ENG_OP_MAXPOOL, ENG_OP_UNARY,   ENG_OP_ADD,
        ENG_OP_UNARY, ENG_OP_MUL,       ENG_OP_CONCAT,  ENG_OP_RESIZE,  ENG_OP_PRELU,
        ENG_OP_MEAN,  ENG_OP_UNARY,     ENG_OP_UNARY,   ENG_OP_RESHAPE, ENG_OP_SOFTMAX,
    };
    struct tfw_model m;
    struct eng_graph *g;
    tfw_sample_zoo(&m);
    if (import(&g, whole, tfw_write(&m, whole)) < 0)
        fail_msg("%s", err);
    assert_int_equal(g->n_nodes, sizeof(ops) / sizeof(*ops));
    for (int i = 0; i < g->n_nodes; i++)
        assert_int_equal(g->nodes[i].op, ops[i]);
    const float *half = g->tensors[g->nodes[6].in[1]].data;
    assert_true(half[0] == 1.0f && half[1] == -0.5f && half[2] > 0.333f && half[2] < 0.334f);
    assert_int_equal(g->nodes[0].win.top, 1);
    assert_int_equal(g->nodes[0].win.right, 1);
    assert_int_equal(g->nodes[7].axis, 3);
    assert_true(g->nodes[8].half_pixel && !g->nodes[8].align_corners && !g->nodes[8].nearest);
    eng_graph_destroy(g);
}

/* Every tensor of a file that stands at an odd address: constants are copied where they must. */
static void unaligned(void **state)
{
    (void)state;
    struct tfw_model m;
    struct eng_graph *g;
    tfw_sample_float(&m);
    size_t len = tfw_write(&m, whole);
    uint8_t *odd = malloc(len + 1);
    memcpy(odd + 1, whole, len);
    assert_int_equal(import(&g, odd + 1, len), 0);
    const struct eng_tensor *w = &g->tensors[g->nodes[0].in[1]];
    assert_true(((const float *)w->data)[1] == -0.25f);
    eng_graph_destroy(g);
    free(odd);
}

static void truncated(void **state)
{
    (void)state;
    static void (*const samples[])(struct tfw_model *) = {tfw_sample, tfw_sample_float,
                                                          tfw_sample_zoo, tfw_sample_channels};
    for (size_t i = 0; i < 4; i++) {
        struct tfw_model m;
        samples[i](&m);
        size_t len = tfw_write(&m, whole);
        for (size_t n = 0; n < len; n++) {
            struct eng_graph *g;
            uint8_t *part = malloc(n ? n : 1); /* its own block: a sanitizer sees a step outside */
            memcpy(part, whole, n);
            assert_true(import(&g, part, n) < 0);
            free(part);
        }
    }
}

/* Every aligned word set to every kind of wild value: failure or success, never a step outside. */
static void wild_words(void **state)
{
    (void)state;
    struct tfw_model m;
    tfw_sample(&m);
    size_t len = tfw_write(&m, whole);
    const uint32_t wild[] = {0,
                             1,
                             2,
                             0x7fffffff,
                             0x80000000,
                             0xffffffff,
                             0xfffffffc,
                             (uint32_t)len,
                             (uint32_t)len - 4,
                             0x00010001,
                             0x7fc00000,
                             0x00ffffff};
    int refused = 0;
    uint8_t *copy = malloc(len);
    for (size_t at = 0; at + 4 <= len; at += 4) {
        for (size_t k = 0; k < sizeof(wild) / sizeof(*wild); k++) {
            struct eng_graph *g;
            memcpy(copy, whole, len);
            memcpy(copy + at, &wild[k], 4);
            if (import(&g, copy, len) < 0)
                refused++;
            eng_graph_destroy(g);
        }
    }
    assert_true(refused > 1000);
    free(copy);
}

static void flipped_bits(void **state)
{
    (void)state;
    struct tfw_model m;
    tfw_sample(&m);
    size_t len = tfw_write(&m, whole);
    uint8_t *copy = malloc(len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct eng_graph *g;
        memcpy(copy, whole, len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        import(&g, copy, len);
        eng_graph_destroy(g);
    }
    free(copy);
}

/* ---- one fault at a time ---- */

typedef void break_fn(struct tfw_model *m);

static void refused(break_fn *broken, int as_float, int code, const char *says)
{
    struct tfw_model m;
    struct eng_graph *g;
    if (as_float)
        tfw_sample_float(&m);
    else
        tfw_sample(&m);
    broken(&m);
    size_t len = tfw_write(&m, whole);
    int rc = import(&g, whole, len);
    if (rc != code || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
}

static void reads_its_own_output(struct tfw_model *m)
{
    m->op[TFW_OP_CONV].in[0] = TFW_CONV;
}
static void reads_a_later_output(struct tfw_model *m)
{
    m->op[TFW_OP_DW].in[0] = TFW_DW;
    m->op[TFW_OP_CONV].out = TFW_DW;
    m->op[TFW_OP_CONV].in[0] = TFW_CONV;
    m->op[TFW_OP_DW].out = TFW_CONV;
}
static void writes_twice(struct tfw_model *m)
{
    m->op[TFW_OP_DW].out = TFW_CONV;
}
static void writes_a_constant(struct tfw_model *m)
{
    m->op[TFW_OP_POOL].out = TFW_CONV_W;
}
static void overflowing_shape(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].dim[1] = 1 << 20;
    m->tensor[TFW_INPUT].dim[2] = 1 << 20;
}
static void huge_dimension(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].dim[1] = 0x7fffffff;
}
static void negative_dimension(struct tfw_model *m)
{
    m->tensor[TFW_CONV].dim[1] = -4;
}
static void zero_dimension(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].dim[3] = 0;
}
static void seven_dimensions(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].rank = 7;
}
static void wrong_output_shape(struct tfw_model *m)
{
    m->tensor[TFW_CONV].dim[1] = 5;
}
static void short_buffer(struct tfw_model *m)
{
    m->tensor[TFW_CONV_W].len--;
}
static void long_buffer(struct tfw_model *m)
{
    m->tensor[TFW_FC_W].len++;
}
static void nan_scale(struct tfw_model *m)
{
    m->tensor[TFW_CONV].scale[0] = NAN;
}
static void zero_scale(struct tfw_model *m)
{
    m->tensor[TFW_CONV_W].scale[0] = 0;
}
static void negative_scale(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].scale[0] = -1;
}
static void infinite_scale(struct tfw_model *m)
{
    m->tensor[TFW_LOGITS].scale[0] = INFINITY;
}
static void wild_zero_point(struct tfw_model *m)
{
    m->tensor[TFW_CONV].zero[0] = 256;
}
static void wilder_zero_point(struct tfw_model *m)
{
    m->tensor[TFW_CONV].zero[0] = INT64_MIN;
}
/* Bytes that are turned into floats at once: the graph never sees their zero point. */
static void bytes_as_weights(struct tfw_model *m, int at)
{
    static const int8_t bytes[4 * 3 * 3 * 3];
    struct tfw_tensor *w = &m->tensor[at];
    w->type = 9;
    w->data = bytes;
    w->len = sizeof(bytes);
    w->n_scale = 1;
    w->scale[0] = 1;
    w->zero[0] = INT32_MIN;
}
static void wild_weights(struct tfw_model *m)
{
    bytes_as_weights(m, TFW_CONV_W);
}
static void wild_dequantize(struct tfw_model *m)
{
    int at = m->n_tensors++;
    m->tensor[at] = m->tensor[TFW_CONV_W];
    m->tensor[at].name = "bytes";
    bytes_as_weights(m, at);
    m->tensor[TFW_CONV_W].data = NULL;
    m->tensor[TFW_CONV_W].len = 0;
    memmove(&m->op[1], &m->op[0], (size_t)m->n_ops++ * sizeof(m->op[0]));
    m->op[0] = (struct tfw_op){.code = 6, .n_in = 1, .in = {at}, .out = TFW_CONV_W};
}
/* One scale has no axis: what stands there is nobody's, and must not be counted from. */
static void wild_axis(void **state)
{
    (void)state;
    struct tfw_model m;
    struct eng_graph *g;
    tfw_sample_float(&m);
    bytes_as_weights(&m, TFW_CONV_W);
    m.tensor[TFW_CONV_W].zero[0] = 0;
    m.tensor[TFW_CONV_W].axis = INT32_MAX;
    if (import(&g, whole, tfw_write(&m, whole)) < 0)
        fail_msg("%s", err);
    eng_graph_destroy(g);
}
static void wrong_bias_scale(struct tfw_model *m)
{
    m->tensor[TFW_CONV_B].scale[0] *= 2;
}
static void too_few_scales(struct tfw_model *m)
{
    m->tensor[TFW_CONV_W].n_scale = 3;
    for (int i = 0; i < 3; i++)
        m->tensor[TFW_CONV_W].scale[i] = 0.02f;
}
static void pool_changes_scale(struct tfw_model *m)
{
    m->tensor[TFW_POOL].scale[0] = 0.5f;
}
static void no_stride(struct tfw_model *m)
{
    m->op[TFW_OP_CONV].option[1].value = 0;
}
static void huge_stride(struct tfw_model *m)
{
    m->op[TFW_OP_CONV].option[1].value = 2147483647;
}
static void unknown_operator(struct tfw_model *m)
{
    m->op[TFW_OP_DW].code = 50;
}
static void operator_of_the_future(struct tfw_model *m)
{
    m->op[TFW_OP_DW].code = 5000;
}
static void wild_tensor(struct tfw_model *m)
{
    m->op[TFW_OP_FC].in[1] = 4000;
}
static void negative_tensor(struct tfw_model *m)
{
    m->op[TFW_OP_FC].in[1] = -2;
}
static void no_weights(struct tfw_model *m)
{
    m->op[TFW_OP_FC].in[1] = -1;
}
static void two_inputs(struct tfw_model *m)
{
    m->n_inputs = 2;
}
static void two_subgraphs(struct tfw_model *m)
{
    m->n_subgraphs = 2;
}
static void other_version(struct tfw_model *m)
{
    m->version = 2;
}
static void other_type(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].type = 7;
}
static void unquantised_input(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].n_scale = 0;
}
static void batch_of_two(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].dim[0] = 2;
}
static void no_beta(struct tfw_model *m)
{
    m->op[TFW_OP_SOFTMAX].n_options = 0;
}
static void output_of_nobody(struct tfw_model *m)
{
    m->n_ops--;
}
static void nan_weight(struct tfw_model *m)
{
    static const float nan4[4] = {0, 0, NAN, 0};
    m->tensor[TFW_DW_B].data = nan4;
}
static const int32_t large[4] = {INT32_MAX, INT32_MIN, 0, 0};
static void overflowing_sum(struct tfw_model *m)
{
    m->tensor[TFW_CONV_B].data = large;
}
static void wild_rescale(struct tfw_model *m)
{
    m->tensor[TFW_INPUT].scale[0] = 1e30f;
    m->tensor[TFW_CONV_B].n_scale = 0;
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        break_fn *broken;
        int as_float, code;
        const char *says;
    } rows[] = {
        {reads_its_own_output, 0, ENG_E_DATA, "cycle"},
        {reads_a_later_output, 0, ENG_E_DATA, "cycle"},
        {writes_twice, 0, ENG_E_DATA, "already"},
        {writes_a_constant, 0, ENG_E_DATA, "already"},
        {overflowing_shape, 0, ENG_E_LIMIT, "input"},
        {huge_dimension, 0, ENG_E_LIMIT, "input"},
        {negative_dimension, 0, ENG_E_DATA, "dimension of -4"},
        {zero_dimension, 0, ENG_E_DATA, "dimension of 0"},
        {seven_dimensions, 0, ENG_E_UNSUPPORTED, "7 dimensions"},
        {wrong_output_shape, 0, ENG_E_DATA, "node 0 (conv conv)"},
        {short_buffer, 0, ENG_E_DATA, "conv/w has 107 bytes"},
        {long_buffer, 0, ENG_E_DATA, "fc/w has 13 bytes"},
        {nan_scale, 0, ENG_E_DATA, "scale of"},
        {zero_scale, 0, ENG_E_DATA, "scale of 0"},
        {negative_scale, 0, ENG_E_DATA, "scale of -1"},
        {infinite_scale, 0, ENG_E_DATA, "scale of inf"},
        {wild_zero_point, 0, ENG_E_DATA, "zero point of 256"},
        {wilder_zero_point, 0, ENG_E_DATA, "zero point"},
        {wild_weights, 1, ENG_E_DATA, "zero point of -2147483648"},
        {wild_dequantize, 1, ENG_E_DATA, "zero point of -2147483648"},
        {wrong_bias_scale, 0, ENG_E_DATA, "bias has the scale"},
        {too_few_scales, 0, ENG_E_DATA, "3 scales"},
        {pool_changes_scale, 0, ENG_E_UNSUPPORTED, "scale or zero point"},
        {no_stride, 0, ENG_E_DATA, "stride"},
        {huge_stride, 0, ENG_E_DATA, "stride"},
        {unknown_operator, 0, ENG_E_UNSUPPORTED, "operator 1 (LOG_SOFTMAX dw)"},
        {operator_of_the_future, 0, ENG_E_UNSUPPORTED, "operator 1 (unknown operator dw)"},
        {wild_tensor, 0, ENG_E_DATA, "tensor 4000"},
        {negative_tensor, 0, ENG_E_DATA, "tensor -2"},
        {no_weights, 0, ENG_E_DATA, "weights"},
        {two_inputs, 0, ENG_E_UNSUPPORTED, "2 inputs"},
        {two_subgraphs, 0, ENG_E_UNSUPPORTED, "2 subgraphs"},
        {other_version, 0, ENG_E_UNSUPPORTED, "version 2"},
        {other_type, 0, ENG_E_UNSUPPORTED, "element type"},
        {unquantised_input, 0, ENG_E_UNSUPPORTED, "input"},
        {batch_of_two, 0, ENG_E_UNSUPPORTED, "one image"},
        {no_beta, 0, ENG_E_DATA, "beta"},
        {output_of_nobody, 0, ENG_E_DATA, "output"},
        {nan_weight, 1, ENG_E_DATA, "not finite"},
        {overflowing_sum, 0, ENG_E_UNSUPPORTED, "32 bits"},
        {wild_rescale, 0, ENG_E_UNSUPPORTED, "32 bits"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        refused(rows[i].broken, rows[i].as_float, rows[i].code, rows[i].says);
}

/* A file of 4 MB of which every tensor calls all that follows its scale. */
static void shared_scales(void **state)
{
    (void)state;
    enum { SIZE = 5 << 20, SCALES = 1 << 20 };
    struct tfw_model m;
    struct eng_graph *g;
    unsigned char pattern[8] = {1};
    unsigned char *bytes = aligned_alloc(64, SIZE);
    size_t found = 0;
    const float scale = 0.0123f;
    const uint32_t many = SCALES;
    assert_non_null(bytes);
    tfw_sample(&m);
    for (int i = 0; i < m.n_tensors; i++)
        for (int k = 0; k < m.tensor[i].n_scale; k++)
            m.tensor[i].scale[k] = scale;
    memset(bytes, 0, SIZE);
    size_t n = tfw_write(&m, whole);
    memcpy(bytes, whole, n);
    memcpy(pattern + 4, &scale, 4);
    for (size_t at = 0; at + 8 < n; at += 4)
        if (memcmp(bytes + at, pattern, 8) == 0) {
            memcpy(bytes + at, &many, 4);
            found++;
        }
    assert_in_range(found, 13, TFW_MAX_TENSORS); /* of 8 MB each, over 16 MB and 16 x 5 MB */
    int rc = import(&g, bytes, SIZE);
    assert_int_equal(rc, ENG_E_LIMIT);
    assert_non_null(strstr(err, "more memory than its own size"));
    free(bytes);
}

static void other_bytes(void **state)
{
    (void)state;
    struct eng_graph *g;
    assert_int_equal(import(&g, "", 0), ENG_E_FORMAT);
    assert_int_equal(import(&g, "GIF89a..", 8), ENG_E_FORMAT);
    assert_int_equal(import(&g, "\xff\xff\xff\xffTFL3", 8), ENG_E_DATA);
    assert_int_equal(import(&g, "\0\0\0\0TFL3", 8), ENG_E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files),  cmocka_unit_test(parts_join),
        cmocka_unit_test(sample),      cmocka_unit_test(zoo),
        cmocka_unit_test(unaligned),   cmocka_unit_test(truncated),
        cmocka_unit_test(wild_words),  cmocka_unit_test(flipped_bits),
        cmocka_unit_test(faults),      cmocka_unit_test(shared_scales),
        cmocka_unit_test(other_bytes), cmocka_unit_test(wild_axis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
