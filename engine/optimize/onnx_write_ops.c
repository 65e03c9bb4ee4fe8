/* The operators of the ONNX writer, in float: one function a family. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/check.h"
#include "engine/optimize/onnx_write.h"

/* ---- weights: OHWI -> OIHW, [1,KH,KW,C] -> [C,1,KH,KW] ---- */

static void transposed(const struct eng_tensor *t, int depthwise, char *to, int64_t dim[4])
{
    const char *from = t->data;
    size_t unit = eng_type_size(t->type);
    size_t o = (size_t)(depthwise ? t->dim[3] : t->dim[0]), in = depthwise ? 1 : (size_t)t->dim[3];
    size_t pixels = (size_t)t->dim[1] * (size_t)t->dim[2];
    for (size_t a = 0; a < o; a++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t b = 0; b < in; b++)
                memcpy(to + ((a * in + b) * pixels + p) * unit,
                       from + (depthwise ? p * o + a : (a * pixels + p) * in + b) * unit, unit);
    dim[0] = (int64_t)o;
    dim[1] = (int64_t)in;
    dim[2] = t->dim[1];
    dim[3] = t->dim[2];
}

/* Of a fully connected layer on an image: [O][HWC] -> [O][CHW]. */
static void flattened(const struct eng_tensor *t, const struct eng_tensor *x, char *to,
                      int64_t dim[2])
{
    const char *from = t->data;
    size_t unit = eng_type_size(t->type);
    size_t c = x->rank == 4 ? (size_t)x->dim[3] : (size_t)t->dim[1];
    size_t pixels = (size_t)t->dim[1] / c;
    for (size_t o = 0; o < (size_t)t->dim[0]; o++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t k = 0; k < c; k++)
                memcpy(to + ((o * c + k) * pixels + p) * unit,
                       from + ((o * pixels + p) * c + k) * unit, unit);
    dim[0] = t->dim[0];
    dim[1] = t->dim[1];
}

/* Of a float layer; it may have none. */
static void float_bias(struct eng_ow *w, const struct eng_node *n)
{
    char name[ENG_OW_NAME];
    if (n->n_in < 3 || n->in[2] < 0)
        return;
    const struct eng_tensor *t = eng_ow_tensor(w, n->in[2]);
    int64_t dim = (int64_t)eng_tensor_elements(t);
    eng_ow_name_of(w, n->in[2], "", name);
    eng_ow_initialiser(w, name, ENG_OW_FLOAT, &dim, 1, t->data, t->size);
    snprintf(w->value[n->in[2]], ENG_OW_NAME, "%s", name);
}

static int weights(struct eng_ow *w, const struct eng_node *n, const struct eng_tensor *x)
{
    const struct eng_tensor *t = eng_ow_tensor(w, n->in[1]);
    char name[ENG_OW_NAME], stored[ENG_OW_NAME];
    int64_t dim[4];
    int fc = n->op == ENG_OP_FC;
    size_t size = eng_tensor_elements(t) * eng_type_size(t->type);
    char *data = malloc(size);
    if (!data)
        return eng_fail(w->err, w->errlen, -ENOMEM, "not enough memory for the file");
    if (fc)
        flattened(t, x, data, dim);
    else
        transposed(t, n->op == ENG_OP_DEPTHWISE, data, dim);
    eng_ow_name_of(w, n->in[1], "", name);
    eng_ow_name_of(w, n->in[1], ".q", stored);
    if (t->type == ENG_F32) {
        eng_ow_initialiser(w, name, ENG_OW_FLOAT, dim, fc ? 2 : 4, data, size);
        free(data);
        snprintf(w->value[n->in[1]], ENG_OW_NAME, "%s", name);
        float_bias(w, n);
        return 0;
    }
    const struct eng_tensor *bias = eng_ow_tensor(w, n->in[2]);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(data[i] ^ eng_ow_offset(t));
    eng_ow_initialiser(w, stored, ENG_OW_UINT8, dim, fc ? 2 : 4, data, size);
    free(data);
    eng_ow_parameters(w, name, t);
    eng_ow_dequantise(w, stored, name, t, name);
    snprintf(w->value[n->in[1]], ENG_OW_NAME, "%s", name);
    eng_ow_name_of(w, n->in[2], "", name);
    eng_ow_name_of(w, n->in[2], ".q", stored);
    dim[0] = bias->dim[0];
    eng_ow_initialiser(w, stored, ENG_OW_INT32, dim, 1, bias->data, bias->size);
    eng_ow_parameters(w, name, bias);
    eng_ow_dequantise(w, stored, name, bias, name);
    snprintf(w->value[n->in[2]], ENG_OW_NAME, "%s", name);
    return 0;
}

static void window(struct eng_ow *w, const struct eng_window *v)
{
    eng_ow_attribute_ints(w, "kernel_shape", (int[]){v->kh, v->kw}, 2);
    eng_ow_attribute_ints(w, "strides", (int[]){v->sh, v->sw}, 2);
    eng_ow_attribute_ints(w, "pads", (int[]){v->top, v->left, v->bottom, v->right}, 4);
}

/* ---- operators: what each makes is named `made` ---- */

static int convolution(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    const struct eng_tensor *x = eng_ow_tensor(w, n->in[0]);
    int rc = weights(w, n, x);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n->n_in && n->in[i] >= 0; i++)
        eng_ow_input(w, w->value[n->in[i]]);
    window(w, &n->win);
    eng_ow_attribute_ints(w, "dilations", (int[]){n->win.dh, n->win.dw}, 2);
    eng_ow_attribute_int(w, "group", n->op == ENG_OP_DEPTHWISE ? x->dim[3] : n->groups);
    eng_ow_emit(w, "Conv", made);
    return 0;
}

/* Flattening is a step of its own with the same quantisation, so that the product behind it still
 * reads a DequantizeLinear. */
static void flatten(struct eng_ow *w, int x, char ret[ENG_OW_NAME])
{
    const struct eng_tensor *t = eng_ow_tensor(w, x);
    char q[ENG_OW_NAME], name[ENG_OW_NAME];
    memcpy(ret, w->value[x], ENG_OW_NAME);
    if (t->rank != 4)
        return;
    eng_ow_name_of(w, x, ".flat", ret);
    eng_ow_input(w, w->value[x]);
    eng_ow_attribute_int(w, "axis", 1);
    eng_ow_emit(w, "Flatten", ret);
    if (t->quant.n == 0)
        return;
    eng_ow_name_of(w, x, "", name);
    eng_ow_name_of(w, x, ".flat.q", q);
    eng_ow_quantise(w, ret, name, q);
    eng_ow_name_of(w, x, ".flat.dq", ret);
    eng_ow_dequantise(w, q, name, t, ret);
}

static int fully_connected(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    char x[ENG_OW_NAME];
    int rc = weights(w, n, eng_ow_tensor(w, n->in[0]));
    if (rc < 0)
        return rc;
    flatten(w, n->in[0], x);
    eng_ow_input(w, x);
    for (int i = 1; i < n->n_in && n->in[i] >= 0; i++)
        eng_ow_input(w, w->value[n->in[i]]);
    eng_ow_attribute_int(w, "transB", 1);
    eng_ow_emit(w, "Gemm", made);
    return 0;
}

static int pool(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    eng_ow_input(w, w->value[n->in[0]]);
    window(w, &n->win);
    if (n->op == ENG_OP_AVGPOOL)
        eng_ow_attribute_int(w, "count_include_pad", n->count_include_pad);
    eng_ow_emit(w, n->op == ENG_OP_AVGPOOL ? "AveragePool" : "MaxPool", made);
    return 0;
}

static int mean(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    char whole[ENG_OW_NAME];
    int image = eng_ow_tensor(w, n->out)->rank == 4;
    eng_ow_name_of(w, n->out, ".pool", whole);
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_emit(w, "GlobalAveragePool", image ? made : whole);
    if (image)
        return 0;
    eng_ow_input(w, whole);
    eng_ow_attribute_int(w, "axis", 1);
    eng_ow_emit(w, "Flatten", made);
    return 0;
}

/* A constant operand: one value, or one a channel, in front of height and width. */
static void constant(struct eng_ow *w, int index, int rank)
{
    const struct eng_tensor *t = eng_ow_tensor(w, index);
    char name[ENG_OW_NAME], stored[ENG_OW_NAME];
    int64_t n = (int64_t)eng_tensor_elements(t), dim[4] = {1, n, 1, 1};
    eng_ow_name_of(w, index, "", name);
    eng_ow_name_of(w, index, ".q", stored);
    eng_ow_initialiser(w, stored, eng_ow_type(t->type), dim, rank == 4 ? 4 : 2, t->data, t->size);
    snprintf(w->value[index], ENG_OW_NAME, "%s", stored);
    if (t->quant.n == 0)
        return;
    eng_ow_parameters(w, name, t);
    eng_ow_dequantise(w, stored, name, t, name);
    snprintf(w->value[index], ENG_OW_NAME, "%s", name);
}

static int binary(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    const struct eng_tensor *a = eng_ow_tensor(w, n->in[0]), *b = eng_ow_tensor(w, n->in[1]);
    int image = b->rank == a->rank || eng_tensor_elements(b) == 1 || b->data;
    if (!image || (b->data && eng_same_shape(a, b) && a->rank == 4))
        return eng_ow_fail(w, n, "its operands have shapes that are not written");
    if (b->data)
        constant(w, n->in[1], a->rank);
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_input(w, w->value[n->in[1]]);
    eng_ow_emit(w, n->op == ENG_OP_ADD ? "Add" : "Mul", made);
    return 0;
}

static int concat(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    static const int axes[4] = {0, 2, 3, 1};
    for (int i = 0; i < n->n_in; i++)
        eng_ow_input(w, w->value[n->in[i]]);
    eng_ow_attribute_int(w, "axis", eng_ow_tensor(w, n->out)->rank == 4 ? axes[n->axis] : n->axis);
    eng_ow_emit(w, "Concat", made);
    return 0;
}

static int pad(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    const struct eng_window *v = &n->win;
    const int64_t pads[8] = {0, v->front, v->top, v->left, 0, v->back, v->bottom, v->right},
                  eight = 8;
    char name[ENG_OW_NAME];
    eng_ow_name_of(w, n->out, ".pads", name);
    eng_ow_initialiser(w, name, ENG_OW_INT64, &eight, 1, pads, sizeof(pads));
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_input(w, name);
    eng_ow_emit(w, "Pad", made);
    return 0;
}

/* Only those that NCHW does not notice: a vector and the 1x1 image of it. */
static int reshape(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    const struct eng_tensor *x = eng_ow_tensor(w, n->in[0]), *y = eng_ow_tensor(w, n->out);
    const int64_t to[4] = {-1, y->rank == 4 ? y->dim[3] : 1, 1, 1}, four = 4;
    char name[ENG_OW_NAME];
    int channels = x->dim[x->rank - 1];
    if ((size_t)channels != eng_tensor_elements(x) || y->dim[y->rank - 1] != channels ||
        (y->rank != 2 && y->rank != 4))
        return eng_ow_fail(w, n, "only a vector and its 1x1 image are reshaped");
    eng_ow_input(w, w->value[n->in[0]]);
    if (y->rank == 2) {
        eng_ow_attribute_int(w, "axis", 1);
        eng_ow_emit(w, "Flatten", made);
        return 0;
    }
    eng_ow_name_of(w, n->out, ".shape", name);
    eng_ow_initialiser(w, name, ENG_OW_INT64, &four, 1, to, sizeof(to));
    eng_ow_input(w, name);
    eng_ow_emit(w, "Reshape", made);
    return 0;
}

static int gather(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    const struct eng_tensor *which = eng_ow_tensor(w, n->in[1]);
    const int64_t count = which->dim[0];
    char name[ENG_OW_NAME];
    int64_t *to = malloc((size_t)count * sizeof(*to));
    if (!to)
        return eng_ow_fail(w, n, "out of memory");
    for (int64_t i = 0; i < count; i++)
        to[i] = ((const int32_t *)which->data)[i];
    eng_ow_name_of(w, n->out, ".which", name);
    eng_ow_initialiser(w, name, ENG_OW_INT64, &count, 1, to, (size_t)count * sizeof(*to));
    free(to);
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_input(w, name);
    eng_ow_attribute_int(w, "axis", 1);
    eng_ow_emit(w, "Gather", made);
    return 0;
}

/* Its input was named as an end of the network before, and is a vector. */
static int softmax(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    if (n->beta != 1 || n->out != w->g->output)
        return eng_ow_fail(w, n, "its beta is not 1, or something follows it");
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_attribute_int(w, "axis", -1);
    eng_ow_emit(w, "Softmax", made);
    return 0;
}

void eng_ow_clamp(struct eng_ow *w, const char *x, int index, float lo, float hi, const char *made)
{
    char name[ENG_OW_NAME];
    const float bounds[2] = {lo, hi};
    if (lo == 0 && hi == INFINITY) {
        eng_ow_input(w, x);
        eng_ow_emit(w, "Relu", made);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (isfinite(bounds[i])) {
            eng_ow_name_of(w, index, i ? ".most" : ".least", name);
            eng_ow_initialiser(w, name, ENG_OW_FLOAT, NULL, 0, &bounds[i], sizeof(bounds[i]));
        }
    eng_ow_input(w, x);
    for (int i = 0; i < 2; i++) {
        eng_ow_name_of(w, index, i ? ".most" : ".least", name);
        eng_ow_input(w, isfinite(bounds[i]) ? name : "");
    }
    eng_ow_emit(w, "Clip", made);
}

static int unary(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    static const char *const names[ENG_UNARY_LAST + 1] = {
        [ENG_UNARY_SIGMOID] = "Sigmoid", [ENG_UNARY_TANH] = "Tanh",   [ENG_UNARY_EXP] = "Exp",
        [ENG_UNARY_LOG] = "Log",         [ENG_UNARY_SQRT] = "Sqrt",   [ENG_UNARY_ABS] = "Abs",
        [ENG_UNARY_NEG] = "Neg",         [ENG_UNARY_FLOOR] = "Floor",
    };
    const char *x = w->value[n->in[0]];
    char part[ENG_OW_NAME];
    eng_ow_name_of(w, n->out, ".part", part);
    switch (n->unary) {
    case ENG_UNARY_CLAMP:
        eng_ow_clamp(w, x, n->out, n->lo, n->hi, made);
        return 0;
    case ENG_UNARY_LEAKY_RELU:
        eng_ow_input(w, x);
        eng_ow_attribute_float(w, "alpha", n->alpha);
        eng_ow_emit(w, "LeakyRelu", made);
        return 0;
    case ENG_UNARY_SIGMOID:
    case ENG_UNARY_TANH:
    case ENG_UNARY_EXP:
    case ENG_UNARY_LOG:
    case ENG_UNARY_SQRT:
    case ENG_UNARY_ABS:
    case ENG_UNARY_NEG:
    case ENG_UNARY_FLOOR:
        eng_ow_input(w, x);
        eng_ow_emit(w, names[n->unary], made);
        return 0;
    case ENG_UNARY_SQUARE:
        eng_ow_input(w, x);
        eng_ow_input(w, x);
        eng_ow_emit(w, "Mul", made);
        return 0;
    case ENG_UNARY_RSQRT:
        eng_ow_input(w, x);
        eng_ow_emit(w, "Sqrt", part);
        eng_ow_input(w, part);
        eng_ow_emit(w, "Reciprocal", made);
        return 0;
    case ENG_UNARY_HARD_SIGMOID:
    case ENG_UNARY_HARD_SWISH:
    case ENG_UNARY_SWISH:
        break;
    }
    int hard = n->unary != ENG_UNARY_SWISH, product = n->unary != ENG_UNARY_HARD_SIGMOID;
    eng_ow_input(w, x);
    if (hard) {
        eng_ow_attribute_float(w, "alpha", product ? 1.0f / 6 : n->alpha);
        eng_ow_attribute_float(w, "beta", product ? 0.5f : n->beta);
    }
    eng_ow_emit(w, hard ? "HardSigmoid" : "Sigmoid", product ? part : made);
    if (product) {
        eng_ow_input(w, x);
        eng_ow_input(w, part);
        eng_ow_emit(w, "Mul", made);
    }
    return 0;
}

static int per_channel(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    char part[ENG_OW_NAME];
    int rank = eng_ow_tensor(w, n->in[0])->rank;
    for (int i = 1; i < n->n_in; i++)
        constant(w, n->in[i], rank);
    eng_ow_name_of(w, n->out, ".part", part);
    eng_ow_input(w, w->value[n->in[0]]);
    eng_ow_input(w, w->value[n->in[1]]);
    eng_ow_emit(w, n->op == ENG_OP_PRELU ? "PRelu" : "Mul", n->op == ENG_OP_PRELU ? made : part);
    if (n->op == ENG_OP_PRELU)
        return 0;
    eng_ow_input(w, part);
    eng_ow_input(w, w->value[n->in[2]]);
    eng_ow_emit(w, "Add", made);
    return 0;
}

static int not_written(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    (void)made;
    return eng_ow_fail(w, n, "this kind of layer is not written as ONNX");
}

int eng_ow_operator(struct eng_ow *w, const struct eng_node *n, const char *made)
{
    static int (*const writers[ENG_OP_COUNT])(struct eng_ow *, const struct eng_node *,
                                              const char *) = {
#define OP(id, name, kind, least, most, shape, arith, reference, written, ...)                     \
    [ENG_OP_##id] = written,
#include "engine/graph/ops.def"
    };
    return writers[n->op](w, n, made);
}
