/* TFLite operators -> nodes. One function a family; what they may contain is checked later, by
 * eng_graph_check(), except what is needed here to resolve SAME padding and constant arguments. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/importers/tflite_codes.h"

/* ---- windows ---- */

/* b->n.win has its window, stride and dilation; the input must be an image. */
static int padding(struct eng_tfl_build *b)
{
    struct eng_window *w = &b->n.win;
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    int8_t scheme = eng_fb_i8(&b->f->fb, &b->op->options, 0, 0);
    if (x->rank != 4)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its input is not one image");
    const int numbers[] = {w->kh, w->kw, w->sh, w->sw, w->dh, w->dw};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (numbers[i] < 1 || numbers[i] > ENG_MAX_WINDOW)
            return eng_tfl_fail(b, ENG_E_DATA, "its window, stride or dilation is out of range");
    if (scheme == 1)
        return 0;
    if (scheme != 0)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "unknown padding scheme");
    if (eng_same_padding(x->dim[1], w->kh, w->sh, w->dh, &w->top, &w->bottom) < 0 ||
        eng_same_padding(x->dim[2], w->kw, w->sw, w->dw, &w->left, &w->right) < 0)
        return eng_tfl_fail(b, ENG_E_LIMIT, "its window is too large");
    return 0;
}

/* Weights stored small beside float activations are a form of compression: undone here. */
static int float_weights(struct eng_tfl_build *b)
{
    if (eng_tfl_at(b, b->in[0])->type != ENG_F32)
        return 0;
    for (int i = 1; i < b->n.n_in; i++) {
        if (b->in[i] < 0)
            continue;
        struct eng_tensor *t = eng_tfl_at(b, b->in[i]);
        int small = t->type == ENG_F16 || t->type == ENG_I8 || t->type == ENG_U8;
        int rc = t->data && small ? eng_tfl_to_float(b->f, t) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_conv(struct eng_tfl_build *b)
{
    int depthwise = b->op->code == DEPTHWISE_CONV_2D;
    int rc = eng_tfl_begin(b, depthwise ? ENG_OP_DEPTHWISE : ENG_OP_CONV, 3);
    if (rc < 0)
        return rc;
    if (b->in[1] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it has no weights");
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]), *w = eng_tfl_at(b, b->in[1]);
    if (w->rank != 4)
        return eng_tfl_fail(b, ENG_E_DATA, "its weights have another shape");
    int first = depthwise ? 5 : 4;
    b->n.win = (struct eng_window){.kh = w->dim[1],
                                   .kw = w->dim[2],
                                   .sw = eng_tfl_option(b, 1, 0),
                                   .sh = eng_tfl_option(b, 2, 0),
                                   .dw = eng_tfl_option(b, first, 1),
                                   .dh = eng_tfl_option(b, first + 1, 1)};
    int dealt = eng_tfl_dealt(b);
    rc = dealt;
    if (rc == 0)
        rc = padding(b);
    if (rc >= 0)
        rc = eng_tfl_activation(b, depthwise ? 4 : 3);
    if (rc >= 0)
        rc = float_weights(b);
    if (rc < 0)
        return rc;
    if (depthwise)
        b->n.multiplier = w->dim[3] / x->dim[3];
    else
        b->n.groups = x->dim[3] % w->dim[3] == 0 ? x->dim[3] / w->dim[3] : 0;
    if (dealt) {
        eng_tfl_wait_for_space(b);
        return 0;
    }
    return eng_tfl_finish(b);
}

static int add_fc(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_FC, 3);
    if (rc < 0)
        return rc;
    if (b->in[1] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it has no weights");
    if (eng_fb_i8(&b->f->fb, &b->op->options, 1, 0) != 0)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its weights are shuffled");
    rc = eng_tfl_activation(b, 0);
    if (rc >= 0)
        rc = float_weights(b);
    if (rc < 0)
        return rc;
    return eng_tfl_finish(b);
}

static int add_pool(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, b->op->code == MAX_POOL_2D ? ENG_OP_MAXPOOL : ENG_OP_AVGPOOL, 1);
    if (rc < 0)
        return rc;
    b->n.win = (struct eng_window){.sw = eng_tfl_option(b, 1, 0),
                                   .sh = eng_tfl_option(b, 2, 0),
                                   .kw = eng_tfl_option(b, 3, 0),
                                   .kh = eng_tfl_option(b, 4, 0),
                                   .dh = 1,
                                   .dw = 1};
    rc = padding(b);
    if (rc >= 0)
        rc = eng_tfl_activation(b, 5);
    if (rc < 0)
        return rc;
    return eng_tfl_finish(b);
}

/* ---- the others ---- */

static int add_pad(struct eng_tfl_build *b)
{
    int64_t pads[2 * ENG_MAX_RANK];
    int rc = eng_tfl_begin(b, ENG_OP_PAD, 1);
    if (rc < 0)
        return rc;
    if (b->op->n_in < 2 || b->op->code == PADV2)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "only constant padding with zeros is supported");
    int n = eng_tfl_integers(b->f, b->op->in[1], pads, 2 * ENG_MAX_RANK);
    if (n < 0)
        return n;
    if (n != 8 || pads[0] || pads[1])
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "only one image can be padded");
    for (int i = 2; i < 8; i++)
        if (pads[i] < 0 || pads[i] > ENG_MAX_WINDOW)
            return eng_tfl_fail(b, ENG_E_DATA, "its padding is out of range");
    b->n.win.top = (int)pads[2];
    b->n.win.bottom = (int)pads[3];
    b->n.win.left = (int)pads[4];
    b->n.win.right = (int)pads[5];
    b->n.win.front = (int)pads[6];
    b->n.win.back = (int)pads[7];
    return eng_tfl_finish(b);
}

static int add_mean(struct eng_tfl_build *b)
{
    int64_t axes[ENG_MAX_RANK];
    int rc = eng_tfl_begin(b, ENG_OP_MEAN, 1), seen = 0;
    if (rc < 0)
        return rc;
    int n = b->op->n_in < 2 ? 0 : eng_tfl_integers(b->f, b->op->in[1], axes, ENG_MAX_RANK);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        seen |= axis == 1 ? 1 : axis == 2 ? 2 : 4;
    }
    if (seen != 3 || eng_tfl_at(b, b->in[0])->rank != 4)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED,
                            "only the mean over height and width is supported");
    return eng_tfl_finish(b);
}

static int add_transpose(struct eng_tfl_build *b)
{
    int64_t perm[ENG_MAX_RANK];
    int rc = eng_tfl_begin(b, ENG_OP_TRANSPOSE, 1);
    if (rc < 0)
        return rc;
    int n = b->op->n_in < 2 ? 0 : eng_tfl_integers(b->f, b->op->in[1], perm, ENG_MAX_RANK);
    if (n < 0)
        return n;
    if (n != eng_tfl_at(b, b->in[0])->rank)
        return eng_tfl_fail(b, ENG_E_DATA, "its permutation is none");
    for (int i = 0; i < n; i++)
        b->n.perm[i] = perm[i] >= 0 && perm[i] < n ? (int)perm[i] : -1;
    return eng_tfl_finish(b);
}

static int add_concat(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_CONCAT, b->op->n_in);
    if (rc >= 0)
        rc = eng_tfl_activation(b, 1);
    if (rc < 0)
        return rc;
    int axis = eng_tfl_option(b, 0, 0), rank = b->n.n_in > 0 ? eng_tfl_at(b, b->in[0])->rank : 0;
    b->n.axis = axis < 0 && axis >= -rank ? axis + rank : axis;
    return eng_tfl_finish(b);
}

static int add_binary(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, b->op->code == ADD ? ENG_OP_ADD : ENG_OP_MUL, 2);
    if (rc >= 0 && !eng_tfl_is_binary(b))
        return eng_tfl_arith(b);
    if (rc >= 0)
        rc = eng_tfl_activation(b, 0);
    if (rc < 0)
        return rc;
    return eng_tfl_finish(b);
}

static int add_resize(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_RESIZE, 1);
    int nearest = b->op->code == RESIZE_NEAREST_NEIGHBOR, first = nearest ? 0 : 2;
    if (rc < 0)
        return rc;
    b->n.nearest = nearest;
    b->n.align_corners = eng_fb_i8(&b->f->fb, &b->op->options, first, 0) != 0;
    b->n.half_pixel = eng_fb_i8(&b->f->fb, &b->op->options, first + 1, 0) != 0;
    return eng_tfl_finish(b);
}

static int add_softmax(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_SOFTMAX, 1);
    if (rc < 0)
        return rc;
    b->n.beta = eng_fb_f32(&b->f->fb, &b->op->options, 0, 0);
    return eng_tfl_finish(b);
}

/* The shape that the file states for the output is the one wanted. */
static int add_reshape(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_RESHAPE, 1);
    return rc < 0 ? rc : eng_tfl_finish(b);
}

static int add_prelu(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_PRELU, 2);
    return rc < 0 || (rc = float_weights(b)) < 0 ? rc : eng_tfl_finish(b);
}

static int add_quantize(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_QUANTIZE, 1);
    return rc < 0 ? rc : eng_tfl_finish(b);
}

static int add_dequantize(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_DEQUANTIZE, 1);
    if (rc < 0)
        return rc;
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    struct eng_tensor *y = eng_tfl_at(b, b->n.out);
    if (!x->data)
        return eng_tfl_finish(b);
    if (y->data || y->type != ENG_F32 || eng_tensor_elements(x) != eng_tensor_elements(y))
        return eng_tfl_fail(b, ENG_E_DATA, "its output does not fit its input");
    struct eng_tensor as_float = *x;
    rc = eng_tfl_to_float(b->f, &as_float);
    if (rc < 0)
        return rc;
    y->data = as_float.data;
    y->size = as_float.size;
    return 0;
}

static int add_unary(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_UNARY, 1);
    if (rc < 0)
        return rc;
    b->n.unary = ENG_UNARY_CLAMP;
    switch (b->op->code) {
    case RELU:
        b->n.lo = 0;
        break;
    case RELU6:
        b->n.lo = 0;
        b->n.hi = 6;
        break;
    case RELU_N1_TO_1:
        b->n.lo = -1;
        b->n.hi = 1;
        break;
    case RELU_0_TO_1:
        b->n.lo = 0;
        b->n.hi = 1;
        break;
    case LEAKY_RELU:
        b->n.unary = ENG_UNARY_LEAKY_RELU;
        b->n.alpha = eng_fb_f32(&b->f->fb, &b->op->options, 0, 0);
        break;
    case LOGISTIC:
        b->n.unary = ENG_UNARY_SIGMOID;
        break;
    case TANH:
        b->n.unary = ENG_UNARY_TANH;
        break;
    default:
        b->n.unary = ENG_UNARY_HARD_SWISH;
        break;
    }
    return eng_tfl_finish(b);
}

static int (*builder_of(int code))(struct eng_tfl_build *)
{
#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) tflite
#define FILE_ONLY(tflite, onnx, tfjs) tflite
#define TFLITE(type, number, add) [type] = add,
    static int (*const builders[ENG_TFL_BUILTINS])(struct eng_tfl_build *) = {
#include "engine/graph/ops.def"
    };
    return code >= 0 && code < ENG_TFL_BUILTINS ? builders[code] : NULL;
}

int eng_tfl_add(struct eng_tfl *f, const struct eng_tfl_op *op)
{
    struct eng_tfl_build b = {.f = f, .op = op};
    int (*add)(struct eng_tfl_build *) = builder_of(op->code);
    int parts =
        op->code == SPLIT || op->code == SPLIT_V || op->code == UNPACK || op->code == CUSTOM;
    if (add && (parts || op->n_out == 1))
        return add(&b);
    int out = eng_tfl_tensor(f, op->out[0]);
    b.n.name = out >= 0 ? f->g->tensors[out].name : "";
    if (add)
        return eng_tfl_fail(&b, ENG_E_UNSUPPORTED, "it has several outputs");
    return eng_tfl_fail(&b, ENG_E_UNSUPPORTED, "the operator is not supported");
}
