/* ONNX operators with weights: Conv, Gemm, MatMul, BatchNormalization. Weights are turned into the
 * graph's order here, once. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/graph/quant.h"

static struct eng_tensor *tensor(const struct eng_onnx_op *op, int index)
{
    return &op->f->g->tensors[index];
}

static struct eng_onnx_value *given(const struct eng_onnx_op *op, int i)
{
    return i < op->n_in ? op->v[i] : NULL;
}

/* 1: input and weights have quanta, and the output is wanted in quanta, `ret` says which. */
static int in_quanta(const struct eng_onnx_op *op, const struct eng_onnx_value *w,
                     struct eng_tensor *ret)
{
    if (!eng_onnx_has_quanta(op, 0) || w->quant.n == 0 ||
        (w->stored != ENG_U8 && w->stored != ENG_I8))
        return 0;
    return eng_onnx_wanted(op, ret);
}

/* ---- bias ---- */

/* One number for each output: the file may write [n], [1,n] or one for all. */
static int real_bias(struct eng_onnx_op *op, const struct eng_onnx_value *b, int n, float factor)
{
    float *to;
    size_t have = b->data ? eng_onnx_elements(b) : 0;
    if (!b->data || b->type != ENG_F32 || (have != (size_t)n && have != 1))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "its bias %.80s is not a constant of %d numbers", b->name, n);
    int rc = eng_onnx_new_vector(op, n, &to);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++)
        to[i] = factor * eng_onnx_real(b, have == 1 ? 0 : (size_t)i);
    return rc;
}

/* The same in units of sx * sw: as the file has it, or rounded from its floats. */
static int quantised_bias(struct eng_onnx_op *op, const struct eng_onnx_value *b, int n)
{
    struct eng_graph *g = op->f->g;
    const struct eng_tensor *x = tensor(op, op->in[0]), *w = tensor(op, op->in[1]);
    size_t have = b->data ? eng_onnx_elements(b) : 0;
    if (have != (size_t)n)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "its bias %.80s is not a constant of %d numbers", b->name, n);
    int32_t *to = eng_graph_alloc_constant(g, (size_t)n, sizeof(*to));
    if (!to)
        return eng_onnx_no_memory(op);
    struct eng_tensor t = {.name = op->n.name, .type = ENG_I32, .rank = 1, .dim = {n}};
    t.data = to;
    t.size = (size_t)n * sizeof(*to);
    if (b->stored == ENG_I32 && b->quant.n > 0) {
        memcpy(to, b->data, t.size);
        t.quant = b->quant;
        t.quant.axis = 0;
    } else if (b->type != ENG_F32) {
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its bias %.80s is not real", b->name);
    } else {
        for (int i = 0; i < n; i++) {
            double unit = (double)eng_quant_scale(x, 0) * (double)eng_quant_scale(w, i);
            double v = rint((double)eng_onnx_real(b, (size_t)i) / unit);
            if (!(fabs(v) <= INT32_MAX))
                return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                                     "number %d of its bias does not fit 32 bits", i);
            to[i] = (int32_t)v;
        }
    }
    int rc = eng_graph_add_tensor(g, &t);
    return rc < 0 ? eng_onnx_fail(op, rc, "the graph has too many tensors") : rc;
}

static int finish(struct eng_onnx_op *op, enum eng_onnx_order order, const struct eng_onnx_value *b,
                  int n, const struct eng_tensor *like)
{
    op->n.n_in = 3;
    op->in[2] = -1;
    if (b) {
        int rc = like ? quantised_bias(op, b, n) : real_bias(op, b, n, 1);
        if (rc < 0)
            return rc;
        op->in[2] = rc;
    }
    return eng_onnx_emit(op, order, like);
}

/* ---- Conv ---- */

/* ONNX has [O,I,H,W]; the graph [O,H,W,I], and [1,H,W,O] for one channel each. */
static int conv_kind(struct eng_onnx_op *op, const struct eng_onnx_value *w, const int **ret_perm)
{
    static const int conv[4] = {0, 2, 3, 1}, depthwise[4] = {1, 2, 3, 0};
    const struct eng_onnx_value *x = op->v[0];
    int64_t groups = eng_onnx_int(op, "group", 1);
    if (groups < 1 || groups > x->dim[1] || w->dim[0] % groups != 0 ||
        w->dim[1] * groups != x->dim[1])
        return eng_onnx_fail(op, ENG_E_DATA, "its weights %.80s do not fit the input's channels",
                             w->name);
    int each = groups > 1 && groups == x->dim[1];
    op->n.op = each ? ENG_OP_DEPTHWISE : ENG_OP_CONV;
    op->n.groups = (int)groups;
    op->n.multiplier = each ? w->dim[0] / (int)groups : 0;
    *ret_perm = each ? depthwise : conv;
    return 0;
}

int eng_onnx_conv(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *w = given(op, 1);
    const int *perm = NULL;
    struct eng_tensor like;
    if (!w || !w->data)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its weights are not a constant");
    int rc = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, 0);
    if (rc < 0)
        return rc;
    if (w->rank != 4 || eng_onnx_elements(w) == 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its weights %.80s have %d dimensions, not 4",
                             w->name, w->rank);
    int quanta = in_quanta(op, w, &like);
    if (quanta < 0 || (rc = conv_kind(op, w, &perm)) < 0 ||
        (rc = eng_onnx_window(op, w->dim[2], w->dim[3])) < 0)
        return quanta < 0 ? quanta : rc;
    if ((op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, !quanta)) < 0)
        return op->in[0];
    if ((op->in[1] = eng_onnx_constant(op, w, perm, !quanta)) < 0)
        return op->in[1];
    return finish(op, ENG_ONNX_IMAGE, given(op, 2), w->dim[0], quanta ? &like : NULL);
}

/* ---- ConvTranspose: a convolution with its kernel turned round, over a map with zeros between its
 * pixels ---- */

/* A list of `n` numbers in 0 .. ENG_MAX_WINDOW, or what it is where the node has none. */
static int small_list(struct eng_onnx_op *op, const char *name, int n, int otherwise, int *ret)
{
    int64_t v[4];
    int have = eng_onnx_ints(op, name, v, 4);
    if (have < 0)
        return have;
    for (int i = 0; i < n; i++) {
        int64_t at = have ? v[i] : otherwise;
        if ((have && have != n) || at < 0 || at > ENG_MAX_WINDOW)
            return eng_onnx_fail(op, ENG_E_DATA, "its %s are out of range", name);
        ret[i] = (int)at;
    }
    return 0;
}

/* Strides into ret; the window of the convolution, with its padding, into the node. */
static int transposed_window(struct eng_onnx_op *op, const struct eng_onnx_value *w, int stride[2])
{
    int pads[4] = {0}, more[2] = {0}, dilation[2] = {1, 1}, rc, k[2] = {w->dim[2], w->dim[3]};
    int auto_pad =
        eng_onnx_is(op, "auto_pad", "SAME_UPPER") || eng_onnx_is(op, "auto_pad", "SAME_LOWER");
    int64_t shape[4];
    if ((rc = small_list(op, "strides", 2, 1, stride)) < 0 ||
        (rc = small_list(op, "pads", 4, 0, pads)) < 0 ||
        (rc = small_list(op, "output_padding", 2, 0, more)) < 0 ||
        (rc = small_list(op, "dilations", 2, 1, dilation)) < 0)
        return rc;
    if (auto_pad || eng_onnx_ints(op, "output_shape", shape, 4) != 0 || dilation[0] != 1 ||
        dilation[1] != 1 || eng_onnx_int(op, "group", 1) != 1)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "it is grouped or dilated, or its padding goes by the output");
    for (int i = 0; i < 2; i++)
        if (stride[i] < 1 || k[i] > ENG_MAX_WINDOW || pads[i] > k[i] - 1 ||
            pads[i + 2] > k[i] - 1 + more[i])
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its padding is larger than its window");
    op->n.win = (struct eng_window){.kh = k[0], .kw = k[1], .sh = 1, .sw = 1, .dh = 1, .dw = 1};
    op->n.win.top = k[0] - 1 - pads[0];
    op->n.win.left = k[1] - 1 - pads[1];
    op->n.win.bottom = k[0] - 1 - pads[2] + more[0];
    op->n.win.right = k[1] - 1 - pads[3] + more[1];
    return 0;
}

/* [I,O,H,W] as [O,H,W,I] with rows and columns backwards. */
static int turned_weights(struct eng_onnx_op *op, const struct eng_onnx_value *w)
{
    static const int perm[4] = {1, 2, 3, 0};
    int rc = eng_onnx_constant(op, w, perm, 1);
    if (rc < 0)
        return rc;
    const struct eng_tensor *t = tensor(op, rc);
    float *v = (float *)(uintptr_t)t->data; /* made a moment ago, for this node alone */
    size_t taps = (size_t)t->dim[1] * (size_t)t->dim[2], inputs = (size_t)t->dim[3];
    for (size_t o = 0; o < (size_t)t->dim[0]; o++)
        for (size_t a = 0; a < taps / 2; a++)
            for (size_t i = 0; i < inputs; i++) {
                float *x = v + (o * taps + a) * inputs + i;
                float *y = v + (o * taps + taps - 1 - a) * inputs + i, swap = *x;
                *x = *y;
                *y = swap;
            }
    return rc;
}

int eng_onnx_conv_transpose(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *w = given(op, 1), *x = given(op, 0);
    int stride[2] = {1, 1}, rc;
    if (!x || !w || !w->data || w->rank != 4 || x->rank != 4 || eng_onnx_elements(w) == 0 ||
        w->dim[0] != x->dim[1])
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "its weights are no constant that fits one image");
    if ((rc = transposed_window(op, w, stride)) < 0)
        return rc;
    if ((op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, 1)) < 0)
        return op->in[0];
    struct eng_node conv = op->n;
    conv.op = ENG_OP_CONV;
    conv.groups = 1;
    if (stride[0] > 1 || stride[1] > 1) {
        op->n.op = ENG_OP_SPREAD;
        op->n.n_in = 1;
        op->n.win.sh = stride[0];
        op->n.win.sw = stride[1];
        if ((rc = eng_onnx_emit(op, ENG_ONNX_IMAGE, NULL)) < 0)
            return rc;
        op->in[0] = op->out->at[ENG_ONNX_IMAGE];
    }
    op->n = conv;
    if ((op->in[1] = turned_weights(op, w)) < 0)
        return op->in[1];
    return finish(op, ENG_ONNX_IMAGE, given(op, 2), w->dim[1], NULL);
}

/* ---- Gemm, MatMul ---- */

/* y = x W^T + b on one row; `turned`: the file has W as [inputs, outputs]. */
static int dense(struct eng_onnx_op *op, int turned, const struct eng_onnx_value *b, float alpha,
                 float beta)
{
    static const int turn[2] = {1, 0};
    const struct eng_onnx_value *x = op->v[0], *w = given(op, 1);
    struct eng_tensor like;
    if (!x || !w || !w->data || w->rank != 2 || eng_onnx_elements(w) == 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its second input is not a constant matrix");
    int inputs = w->dim[turned ? 0 : 1], outputs = w->dim[turned ? 1 : 0], quanta = 0;
    if (x->rank < 1 || x->dim[x->rank - 1] != inputs || eng_onnx_elements(x) != (size_t)inputs)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input %.80s is not one row of %d numbers",
                             x->name, inputs);
    if (alpha == 1 && beta == 1 && (quanta = in_quanta(op, w, &like)) < 0)
        return quanta;
    op->n.op = ENG_OP_FC;
    if (x->rank != 2) { /* the graph keeps leading ones only if it is told to */
        op->shape.rank = x->rank;
        memcpy(op->shape.dim, x->dim, sizeof(x->dim));
        op->shape.dim[x->rank - 1] = outputs;
    }
    if ((op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_PLAIN, !quanta)) < 0)
        return op->in[0];
    if ((op->in[1] = eng_onnx_constant(op, w, turned ? turn : NULL, !quanta)) < 0)
        return op->in[1];
    float *weights = (float *)(uintptr_t)tensor(op, op->in[1])->data;
    for (size_t i = 0; alpha != 1 && i < eng_onnx_elements(w); i++)
        weights[i] *= alpha;
    if (quanta || !b)
        return finish(op, ENG_ONNX_PLAIN, b, outputs, quanta ? &like : NULL);
    op->n.n_in = 3;
    if ((op->in[2] = real_bias(op, b, outputs, beta)) < 0)
        return op->in[2];
    return eng_onnx_emit(op, ENG_ONNX_PLAIN, NULL);
}

int eng_onnx_gemm(struct eng_onnx_op *op)
{
    if (eng_onnx_int(op, "transA", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it transposes its input");
    if (op->n_in < 1 || !op->v[0] || op->v[0]->rank != 2)
        return eng_onnx_fail(op, ENG_E_DATA, "its input is not a matrix");
    return dense(op, eng_onnx_int(op, "transB", 0) == 0, given(op, 2),
                 eng_onnx_float(op, "alpha", 1), eng_onnx_float(op, "beta", 1));
}

int eng_onnx_matmul(struct eng_onnx_op *op)
{
    return dense(op, 1, NULL, 1, 1);
}

/* ---- BatchNormalization ---- */

int eng_onnx_batchnorm(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    double epsilon = (double)eng_onnx_float(op, "epsilon", 1e-5f);
    if (!x || op->n_in != 5 || (x->rank != 4 && x->rank != 2))
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input, or its input is not one image");
    if (eng_onnx_int(op, "training_mode", 0) != 0 || eng_onnx_int(op, "spatial", 1) != 1)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is in training mode, or not by channel");
    size_t n = (size_t)x->dim[1];
    for (int i = 1; i < 5; i++)
        if (!op->v[i] || !op->v[i]->data || op->v[i]->type != ENG_F32 ||
            eng_onnx_elements(op->v[i]) != n)
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                                 "its input %d is not a constant of %zu numbers", i, n);
    enum eng_onnx_order order = x->rank == 4 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    float *scale, *offset;
    op->n.op = ENG_OP_BATCHNORM;
    op->n.n_in = 3;
    if ((op->in[0] = eng_onnx_form(op, 0, order, 1)) < 0)
        return op->in[0];
    if ((op->in[1] = eng_onnx_new_vector(op, (int)n, &scale)) < 0)
        return op->in[1];
    if ((op->in[2] = eng_onnx_new_vector(op, (int)n, &offset)) < 0)
        return op->in[2];
    for (size_t i = 0; i < n; i++) {
        double by =
            (double)eng_onnx_real(op->v[1], i) / sqrt((double)eng_onnx_real(op->v[4], i) + epsilon);
        scale[i] = (float)by;
        offset[i] =
            (float)((double)eng_onnx_real(op->v[2], i) - (double)eng_onnx_real(op->v[3], i) * by);
    }
    return eng_onnx_emit(op, order, NULL);
}
