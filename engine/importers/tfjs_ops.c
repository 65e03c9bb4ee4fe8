/* The operators of a graph model, one function a family. */
#include "engine/importers/tfjs_graph.h"

#include <math.h>
#include <string.h>

static int fail(const struct eng_tfj_op *op, int code, const char *what)
{
    return eng_tfj_fail(op->f, code, "%s", what);
}

/* Input i as a computed tensor. */
static int tensor(const struct eng_tfj_op *op, int i)
{
    if (i >= op->n_in || op->in[i]->tensor < 0)
        return fail(op, ENG_E_UNSUPPORTED, "it computes what is known, or lacks an input");
    return op->in[i]->tensor;
}

static const struct eng_tfj_weight *weight(const struct eng_tfj_op *op, int i)
{
    return i < op->n_in ? op->in[i]->weight : NULL;
}

/* Input i as integers; how many, or a failure. */
static int integers(const struct eng_tfj_op *op, int i, int64_t *ret, int max)
{
    if (i >= op->n_in || op->in[i]->tensor >= 0)
        return fail(op, ENG_E_UNSUPPORTED, "an argument is not a constant");
    const struct eng_tfj_value *v = op->in[i];
    if (v->weight)
        return eng_tfj_integers(op->f, v->weight, ret, max);
    if (v->n > max)
        return fail(op, ENG_E_DATA, "an argument is too long");
    memcpy(ret, v->v, (size_t)v->n * sizeof(*ret));
    return v->n;
}

static int is(const struct eng_tfj_op *op, const char *name)
{
    return strcmp(op->op, name) == 0;
}

/* ---- windows ---- */

static int height_and_width(const struct eng_tfj_op *op, const char *name, int otherwise,
                            int ret[2])
{
    int64_t v[4];
    int n = eng_tfj_list(op->f, op->json, name, v, 4);
    if (n < 0)
        return n;
    if (n != 0 && (n != 4 || v[0] != 1 || v[3] != 1))
        return fail(op, ENG_E_UNSUPPORTED, "it steps over images or channels");
    ret[0] = n ? (int)v[1] : otherwise;
    ret[1] = n ? (int)v[2] : otherwise;
    return 0;
}

static int padding(const struct eng_tfj_op *op, struct eng_tfj_window *w)
{
    char scheme[16];
    int64_t pads[8];
    eng_tfj_text(eng_tfj_attr(op->json, "padding", "s"), scheme, sizeof(scheme));
    w->same = strcmp(scheme, "SAME") == 0;
    if (w->same || strcmp(scheme, "VALID") == 0)
        return 0;
    if (strcmp(scheme, "EXPLICIT") != 0)
        return fail(op, ENG_E_UNSUPPORTED, "unknown padding scheme");
    int n = eng_tfj_list(op->f, op->json, "explicit_paddings", pads, 8);
    if (n < 0)
        return n;
    if (n != 8 || pads[0] || pads[1] || pads[6] || pads[7])
        return fail(op, ENG_E_UNSUPPORTED, "only height and width can be padded");
    for (int i = 0; i < 4; i++)
        w->pads[i] = (int)pads[i + 2];
    return 0;
}

static int window(const struct eng_tfj_op *op, struct eng_tfj_window *w)
{
    char format[8];
    memset(w, 0, sizeof(*w));
    eng_tfj_text(eng_tfj_attr(op->json, "data_format", "s"), format, sizeof(format));
    if (format[0] && strcmp(format, "NHWC") != 0)
        return fail(op, ENG_E_UNSUPPORTED, "its channels do not come last");
    int rc = height_and_width(op, "ksize", 1, w->k);
    if (rc >= 0)
        rc = height_and_width(op, "strides", 1, w->stride);
    if (rc >= 0)
        rc = height_and_width(op, "dilations", 1, w->dilation);
    if (rc < 0)
        return rc;
    return padding(op, w);
}

/* ---- what the converter fused behind a convolution ---- */

struct fused {
    const struct eng_tfj_weight *bias, *slope;
    char activation[24];
};

static int fused(const struct eng_tfj_op *op, struct fused *ret)
{
    const json_t *names = json_object_get(eng_tfj_attr(op->json, "fused_ops", "list"), "s");
    int arg = 2;
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < json_array_size(names); i++) {
        char name[24];
        eng_tfj_text(json_array_get(names, i), name, sizeof(name));
        if (strcmp(name, "BiasAdd") == 0) {
            if (!(ret->bias = weight(op, arg++)))
                return fail(op, ENG_E_UNSUPPORTED, "its bias is not a constant");
        } else if (ret->activation[0] || strcmp(name, "FusedBatchNorm") == 0) {
            return eng_tfj_fail(op->f, ENG_E_UNSUPPORTED, "fused %.20s is not supported", name);
        } else {
            memcpy(ret->activation, name, sizeof(name));
        }
    }
    if (strcmp(ret->activation, "Prelu") == 0)
        ret->slope = weight(op, arg);
    return 0;
}

static int activate(struct eng_tfj_op *op, int x, const struct fused *with)
{
    static const char *const names[][2] = {
        {"Relu", "relu"}, {"Relu6", "relu6"}, {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"}, {"", ""}};
    if (x < 0)
        return x;
    if (strcmp(with->activation, "LeakyRelu") == 0)
        return eng_tfj_unary(op->f, x, ENG_UNARY_LEAKY_RELU,
                             (float)eng_tfj_real(op->json, "leakyrelu_alpha", 0.2), 0);
    if (strcmp(with->activation, "Prelu") == 0)
        return eng_tfj_prelu(op->f, x, with->slope);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(with->activation, names[i][0]) == 0)
            return eng_tfj_activation(op->f, x, names[i][1]);
    return eng_tfj_fail(op->f, ENG_E_UNSUPPORTED, "fused %.20s is not supported", with->activation);
}

static int conv(struct eng_tfj_op *op)
{
    struct eng_tfj_window w;
    struct fused with;
    int x = tensor(op, 0), rc = window(op, &w);
    if (x < 0 || rc < 0 || (rc = fused(op, &with)) < 0)
        return x < 0 ? x : rc;
    int depthwise = is(op, "DepthwiseConv2dNative") || is(op, "FusedDepthwiseConv2dNative");
    x = depthwise ? eng_tfj_depthwise(op->f, x, weight(op, 1), with.bias, &w)
                  : eng_tfj_conv(op->f, x, weight(op, 1), with.bias, &w);
    return activate(op, x, &with);
}

static int matmul(struct eng_tfj_op *op)
{
    struct fused with;
    int x = tensor(op, 0), rc = fused(op, &with);
    if (x < 0 || rc < 0)
        return x < 0 ? x : rc;
    if (eng_tfj_flag(op->json, "transpose_a", 0))
        return fail(op, ENG_E_UNSUPPORTED, "its first operand is transposed");
    x = eng_tfj_fc(op->f, x, weight(op, 1), with.bias, eng_tfj_flag(op->json, "transpose_b", 0));
    return activate(op, x, &with);
}

static int pool(struct eng_tfj_op *op)
{
    struct eng_tfj_window w;
    int x = tensor(op, 0), rc = window(op, &w);
    if (x < 0 || rc < 0)
        return x < 0 ? x : rc;
    return eng_tfj_pool(op->f, x, is(op, "MaxPool") ? ENG_OP_MAXPOOL : ENG_OP_AVGPOOL, &w);
}

static int batchnorm(struct eng_tfj_op *op)
{
    const struct eng_tfj_weight *const four[4] = {weight(op, 1), weight(op, 2), weight(op, 3),
                                                  weight(op, 4)};
    int x = tensor(op, 0);
    if (x < 0)
        return x;
    if (eng_tfj_flag(op->json, "is_training", 0))
        return fail(op, ENG_E_UNSUPPORTED, "it is in training mode");
    return eng_tfj_batchnorm(op->f, x, four, eng_tfj_real(op->json, "epsilon", 1e-4));
}

/* ---- element by element ---- */

/* x op constant: subtraction adds the negative, division multiplies by the inverse. */
static int with_constant(struct eng_tfj_op *op, int x, const struct eng_tfj_weight *c)
{
    int product = is(op, "Mul") || is(op, "RealDiv"), rank = c->rank ? c->rank : 1;
    int32_t dim[ENG_MAX_RANK] = {1};
    float *data;
    int rc = eng_tfj_floats(op->f, c, &data);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->elements; i++) {
        if (is(op, "Sub"))
            data[i] = -data[i];
        if (is(op, "RealDiv"))
            data[i] = 1 / data[i];
    }
    for (int i = 0; i < c->rank; i++)
        dim[i] = c->dim[i];
    int constant = eng_tfj_constant(op->f, rank, dim, data);
    return constant < 0 ? constant
                        : eng_tfj_binary(op->f, product ? ENG_OP_MUL : ENG_OP_ADD, x, constant);
}

static int binary(struct eng_tfj_op *op)
{
    int commutes = !is(op, "Sub") && !is(op, "RealDiv");
    if (op->n_in != 2)
        return fail(op, ENG_E_DATA, "it does not have two inputs");
    if (op->in[0]->tensor >= 0 && weight(op, 1))
        return with_constant(op, op->in[0]->tensor, weight(op, 1));
    if (commutes && op->in[1]->tensor >= 0 && weight(op, 0))
        return with_constant(op, op->in[1]->tensor, weight(op, 0));
    if (!commutes || op->in[0]->tensor < 0 || op->in[1]->tensor < 0)
        return fail(op, ENG_E_UNSUPPORTED, "only a constant can be subtracted or divided by");
    return eng_tfj_binary(op->f, is(op, "Mul") ? ENG_OP_MUL : ENG_OP_ADD, op->in[0]->tensor,
                          op->in[1]->tensor);
}

/* Minimum and Maximum with one number. */
static int bound(struct eng_tfj_op *op)
{
    float *data;
    int which = op->n_in == 2 && weight(op, 0), x = tensor(op, which);
    const struct eng_tfj_weight *c = weight(op, !which);
    if (x < 0)
        return x;
    if (!c || c->elements != 1)
        return fail(op, ENG_E_UNSUPPORTED, "its bound is not one number");
    int rc = eng_tfj_floats(op->f, c, &data);
    if (rc < 0)
        return rc;
    return is(op, "Minimum") ? eng_tfj_clamp(op->f, x, -INFINITY, data[0])
                             : eng_tfj_clamp(op->f, x, data[0], INFINITY);
}

static int activation(struct eng_tfj_op *op)
{
    static const char *const names[][2] = {{"Relu", "relu"},       {"Relu6", "relu6"},
                                           {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"},
                                           {"Softmax", "softmax"}, {"Elu", "elu"}};
    int x = tensor(op, 0);
    for (size_t i = 0; x >= 0 && i < sizeof(names) / sizeof(*names); i++)
        if (is(op, names[i][0]))
            return eng_tfj_activation(op->f, x, names[i][1]);
    return x;
}

static int leaky_relu(struct eng_tfj_op *op)
{
    int x = tensor(op, 0);
    return x < 0 ? x
                 : eng_tfj_unary(op->f, x, ENG_UNARY_LEAKY_RELU,
                                 (float)eng_tfj_real(op->json, "alpha", 0.2), 0);
}

static int prelu(struct eng_tfj_op *op)
{
    int x = tensor(op, 0);
    return x < 0 ? x : eng_tfj_prelu(op->f, x, weight(op, 1));
}

static int identity(struct eng_tfj_op *op)
{
    if (op->n_in < 1)
        return fail(op, ENG_E_DATA, "it lacks an input");
    op->out = *op->in[0];
    return 0;
}

/* ---- shapes ---- */

static int mean(struct eng_tfj_op *op)
{
    int64_t axes[4];
    int x = tensor(op, 0), n = x < 0 ? x : integers(op, 1, axes, 4), seen = 0;
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        seen |= axis == 1 ? 1 : axis == 2 ? 2 : 4;
    }
    if (seen != 3)
        return fail(op, ENG_E_UNSUPPORTED, "only the mean over height and width is supported");
    return eng_tfj_mean(op->f, x, eng_tfj_flag(op->json, "keep_dims", 0));
}

static int pad(struct eng_tfj_op *op)
{
    int64_t v[8];
    int pads[4], x = tensor(op, 0), n = x < 0 ? x : integers(op, 1, v, 8);
    if (n < 0)
        return n;
    if (n != 8 || v[0] || v[1] || v[6] || v[7] || !is(op, "Pad"))
        return fail(op, ENG_E_UNSUPPORTED, "only height and width can be padded, with zeros");
    for (int i = 0; i < 4; i++)
        pads[i] = (int)v[i + 2];
    return eng_tfj_pad(op->f, x, pads);
}

static int reshape(struct eng_tfj_op *op)
{
    int64_t dim[ENG_MAX_RANK];
    int x = tensor(op, 0), n = x < 0 ? x : integers(op, 1, dim, ENG_MAX_RANK);
    return n < 0 ? n : eng_tfj_reshape(op->f, x, dim, n);
}

static int squeeze(struct eng_tfj_op *op)
{
    int64_t axes[ENG_MAX_RANK], dim[ENG_MAX_RANK] = {1};
    int x = tensor(op, 0), rank = 0;
    int n = x < 0 ? x : eng_tfj_list(op->f, op->json, "squeeze_dims", axes, ENG_MAX_RANK);
    if (n < 0)
        return n;
    const struct eng_tensor *t = eng_tfj_tensor(op->f, x);
    for (int i = 0; i < t->rank; i++) {
        int gone = n == 0 && t->dim[i] == 1;
        for (int k = 0; k < n; k++)
            gone |= axes[k] == i || axes[k] + t->rank == i;
        if (gone && t->dim[i] != 1)
            return fail(op, ENG_E_DATA, "it drops a dimension that is not 1");
        if (!gone)
            dim[rank++] = t->dim[i];
    }
    return eng_tfj_reshape(op->f, x, dim, rank ? rank : 1);
}

static int expand(struct eng_tfj_op *op)
{
    int64_t axis, dim[ENG_MAX_RANK + 1];
    int x = tensor(op, 0), n = x < 0 ? x : integers(op, 1, &axis, 1);
    if (n < 0)
        return n;
    const struct eng_tensor *t = eng_tfj_tensor(op->f, x);
    axis = n == 1 && axis < 0 ? axis + t->rank + 1 : axis;
    if (n != 1 || axis < 0 || axis > t->rank || t->rank >= ENG_MAX_RANK)
        return fail(op, ENG_E_DATA, "its axis is out of range");
    for (int i = 0, k = 0; i <= t->rank; i++)
        dim[i] = i == axis ? 1 : t->dim[k++];
    return eng_tfj_reshape(op->f, x, dim, t->rank + 1);
}

static int concat(struct eng_tfj_op *op)
{
    int64_t axis;
    int in[ENG_MAX_INPUTS], n = op->n_in - 1;
    if (n < 1 || integers(op, n, &axis, 1) != 1)
        return fail(op, ENG_E_UNSUPPORTED, "its axis is not a constant");
    for (int i = 0; i < n; i++)
        if ((in[i] = tensor(op, i)) < 0)
            return in[i];
    return eng_tfj_concat(op->f, in, n, axis);
}

static int resize(struct eng_tfj_op *op)
{
    int64_t size[2];
    struct eng_node how = {.nearest = is(op, "ResizeNearestNeighbor"),
                           .align_corners = eng_tfj_flag(op->json, "align_corners", 0),
                           .half_pixel = eng_tfj_flag(op->json, "half_pixel_centers", 0)};
    int x = tensor(op, 0), n = x < 0 ? x : integers(op, 1, size, 2);
    if (n < 0)
        return n;
    if (n != 2)
        return fail(op, ENG_E_DATA, "its size is not two numbers");
    return eng_tfj_resize(op->f, x, size[0], size[1], &how);
}

/* ---- integers known at import: the shapes of reshapes ---- */

static int shape(struct eng_tfj_op *op)
{
    int x = tensor(op, 0);
    if (x < 0)
        return x;
    const struct eng_tensor *t = eng_tfj_tensor(op->f, x);
    for (int i = 0; i < t->rank; i++)
        op->out.v[op->out.n++] = t->dim[i];
    return 0;
}

static int strided_slice(struct eng_tfj_op *op)
{
    int64_t v[ENG_TFJ_INTS], begin, end;
    int n = integers(op, 0, v, ENG_TFJ_INTS);
    int64_t mask = 0;
    if (n < 0)
        return n;
    if (integers(op, 1, &begin, 1) != 1 || integers(op, 2, &end, 1) != 1)
        return fail(op, ENG_E_UNSUPPORTED, "it takes a slice of more than one dimension");
    eng_tfj_whole(eng_tfj_attr(op->json, "shrink_axis_mask", "i"), &mask);
    begin = begin < 0 ? begin + n : begin;
    end = mask ? begin + 1 : end < 0 ? end + n : end;
    if (begin < 0 || end > n || begin >= end)
        return fail(op, ENG_E_DATA, "its slice is out of range");
    for (int64_t i = begin; i < end; i++)
        op->out.v[op->out.n++] = v[i];
    return 0;
}

static int pack(struct eng_tfj_op *op)
{
    if (op->n_in > ENG_TFJ_INTS)
        return fail(op, ENG_E_UNSUPPORTED, "it packs too many numbers");
    for (int i = 0; i < op->n_in; i++) {
        int n = integers(op, i, &op->out.v[op->out.n], 1);
        if (n != 1)
            return n < 0 ? n : fail(op, ENG_E_UNSUPPORTED, "it packs what is not one number");
        op->out.n++;
    }
    return 0;
}

#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) tfjs
#define FILE_ONLY(tflite, onnx, tfjs) tfjs
#define TFJS(type, add) {type, add, 0},
#define TFJS_VALUES(type, add) {type, add, 1},
#define LAYER(class, add, most)
static const struct {
    const char *name;
    int (*add)(struct eng_tfj_op *op);
    int sets_out; /* itself; else it returns a tensor */
} ops[] = {
#include "engine/graph/ops.def"
};

int eng_tfj_graph_op(struct eng_tfj_op *op)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        if (strcmp(ops[i].name, op->op) != 0)
            continue;
        int rc = ops[i].add(op);
        if (rc >= 0 && !ops[i].sets_out)
            op->out.tensor = rc;
        return rc;
    }
    return fail(op, ENG_E_UNSUPPORTED, "this operator is not supported");
}
