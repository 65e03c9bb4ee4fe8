/* ONNX operators that slide a window over an image, and its padding. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <string.h>

/* Two positive numbers of a list attribute, `otherwise` where it is absent. */
static int pair(const struct eng_onnx_op *op, const char *name, int otherwise, int ret[2])
{
    int64_t v[2] = {otherwise, otherwise};
    int n = eng_onnx_ints(op, name, v, 2);
    if (n < 0)
        return n;
    if (n == 1 || v[0] < 1 || v[1] < 1 || v[0] > ENG_MAX_WINDOW || v[1] > ENG_MAX_WINDOW)
        return eng_onnx_fail(op, ENG_E_DATA, "its %s are out of range", name);
    ret[0] = (int)v[0];
    ret[1] = (int)v[1];
    return 0;
}

/* SAME: as many outputs as steps fit; the odd pixel behind (UPPER) or before (LOWER). */
static void same_padding(int in, int k, int stride, int dilation, int lower, int *before,
                         int *after)
{
    int64_t reach = (int64_t)(k - 1) * dilation + 1, out = ((int64_t)in + stride - 1) / stride;
    int64_t all = (out - 1) * stride + reach - in;
    all = all < 0 ? 0 : all > 4 * ENG_MAX_WINDOW ? 4 * ENG_MAX_WINDOW : all;
    *before = (int)((all + lower) / 2);
    *after = (int)(all - *before);
}

static int padding(struct eng_onnx_op *op)
{
    struct eng_window *w = &op->n.win;
    int64_t pads[4] = {0};
    const struct eng_onnx_value *x = op->v[0];
    int lower = eng_onnx_is(op, "auto_pad", "SAME_LOWER");
    if (lower || eng_onnx_is(op, "auto_pad", "SAME_UPPER")) {
        same_padding(x->dim[2], w->kh, w->sh, w->dh, lower, &w->top, &w->bottom);
        same_padding(x->dim[3], w->kw, w->sw, w->dw, lower, &w->left, &w->right);
        return 0;
    }
    if (eng_onnx_is(op, "auto_pad", "VALID"))
        return 0;
    int n = eng_onnx_ints(op, "pads", pads, 4);
    if (n < 0)
        return n;
    for (int i = 0; i < 4; i++)
        if ((n != 0 && n != 4) || pads[i] < 0 || pads[i] > ENG_MAX_WINDOW)
            return eng_onnx_fail(op, ENG_E_DATA, "its padding is out of range");
    w->top = (int)pads[0];
    w->left = (int)pads[1];
    w->bottom = (int)pads[2];
    w->right = (int)pads[3];
    return 0;
}

int eng_onnx_window(struct eng_onnx_op *op, int kh, int kw)
{
    int kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, rc;
    if (op->v[0]->rank != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is not one image");
    rc = pair(op, "strides", 1, stride);
    if (rc >= 0)
        rc = pair(op, "dilations", 1, dilation);
    if (rc >= 0)
        rc = pair(op, "kernel_shape", 1, kernel);
    if (rc < 0)
        return rc;
    int64_t said[2];
    int given = eng_onnx_ints(op, "kernel_shape", said, 2);
    if ((kh == 0 && given == 0) || (kh != 0 && given != 0 && (kernel[0] != kh || kernel[1] != kw)))
        return eng_onnx_fail(op, ENG_E_DATA, "its kernel_shape is missing, or not its weights'");
    if (kh > ENG_MAX_WINDOW || kw > ENG_MAX_WINDOW)
        return eng_onnx_fail(op, ENG_E_LIMIT, "its window is too large");
    op->n.win = (struct eng_window){.kh = kh ? kh : kernel[0],
                                    .kw = kh ? kw : kernel[1],
                                    .sh = stride[0],
                                    .sw = stride[1],
                                    .dh = dilation[0],
                                    .dw = dilation[1]};
    return padding(op);
}

/* ---- pools ---- */

/* ceil_mode counts a window that hangs over the end, if it starts inside. */
static void hang_over(int in, int k, int stride, int before, int *after)
{
    int64_t all = (int64_t)in + before + *after - k;
    if (all < 0)
        return;
    int64_t steps = (all + stride - 1) / stride;
    if (steps * stride >= (int64_t)in + before)
        steps--;
    int64_t want = steps * stride + k - in - before;
    if (want > *after)
        *after = (int)want;
}

int eng_onnx_pool(struct eng_onnx_op *op)
{
    int most = strcmp(op->type, "MaxPool") == 0;
    struct eng_tensor like, wanted;
    int rc = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, 0);
    if (rc >= 0)
        rc = eng_onnx_window(op, 0, 0);
    if (rc < 0)
        return rc;
    struct eng_window *w = &op->n.win;
    if (w->dh != 1 || w->dw != 1 || eng_onnx_int(op, "storage_order", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it has dilations, or columns first");
    op->n.op = most ? ENG_OP_MAXPOOL : ENG_OP_AVGPOOL;
    op->n.count_include_pad = !most && eng_onnx_int(op, "count_include_pad", 0) != 0;
    if (eng_onnx_int(op, "ceil_mode", 0) != 0) {
        int bottom = w->bottom, right = w->right;
        hang_over(op->v[0]->dim[2], w->kh, w->sh, w->top, &w->bottom);
        hang_over(op->v[0]->dim[3], w->kw, w->sw, w->left, &w->right);
        if (op->n.count_include_pad && (w->bottom != bottom || w->right != right))
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                                 "it counts padding under a window that hangs over");
    }
    int moved = eng_onnx_moved(op, ENG_ONNX_IMAGE, &like);
    if (moved < 0)
        return moved;
    /* A largest value is a quantum of the input; an average has to be wanted as one. */
    if (moved && !most && !op->raw) {
        if ((moved = eng_onnx_wanted(op, &wanted)) < 0)
            return moved;
        moved = moved && wanted.type == like.type && wanted.quant.scale[0] == like.quant.scale[0] &&
                wanted.quant.zero_point[0] == like.quant.zero_point[0];
    }
    op->n.n_in = 1;
    if ((op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, !moved)) < 0)
        return op->in[0];
    return eng_onnx_emit(op, ENG_ONNX_IMAGE, moved ? &like : NULL);
}

static int mean(struct eng_onnx_op *op, enum eng_onnx_order order)
{
    struct eng_tensor like;
    int quanta = eng_onnx_has_quanta(op, 0) ? eng_onnx_wanted(op, &like) : 0;
    if (quanta < 0)
        return quanta;
    op->n.op = ENG_OP_MEAN;
    op->n.n_in = 1;
    if ((op->in[0] = eng_onnx_form(op, 0, order, !quanta)) < 0)
        return op->in[0];
    quanta = quanta && op->f->g->tensors[op->in[0]].type == like.type;
    if ((op->in[0] = eng_onnx_form(op, 0, order, !quanta)) < 0)
        return op->in[0];
    enum eng_onnx_order out = op->shape.rank == 2 ? ENG_ONNX_PLAIN : order;
    return eng_onnx_emit(op, out, quanta ? &like : NULL);
}

int eng_onnx_global_pool(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    struct eng_tensor like;
    if (!x || x->rank != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is not one image");
    if (strcmp(op->type, "GlobalAveragePool") == 0)
        return mean(op, ENG_ONNX_IMAGE);
    if (x->dim[2] > ENG_MAX_WINDOW || x->dim[3] > ENG_MAX_WINDOW)
        return eng_onnx_fail(op, ENG_E_LIMIT, "its input is too large");
    int moved = eng_onnx_moved(op, ENG_ONNX_IMAGE, &like);
    if (moved < 0)
        return moved;
    op->n.op = ENG_OP_MAXPOOL;
    op->n.n_in = 1;
    op->n.win =
        (struct eng_window){.kh = x->dim[2], .kw = x->dim[3], .sh = 1, .sw = 1, .dh = 1, .dw = 1};
    if ((op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, !moved)) < 0)
        return op->in[0];
    return eng_onnx_emit(op, ENG_ONNX_IMAGE, moved ? &like : NULL);
}

/* Over height and width, wherever they stand: 2 and 3 of ONNX, 1 and 2 of what came as NHWC. */
int eng_onnx_reduce_mean(struct eng_onnx_op *op)
{
    int64_t axes[ENG_MAX_RANK];
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    int n = op->n_in > 1 ? eng_onnx_list(op, 1, axes, ENG_MAX_RANK)
                         : eng_onnx_ints(op, "axes", axes, ENG_MAX_RANK);
    unsigned seen = 0;
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        seen |= axis >= 0 && axis < 4 ? 1u << axis : 1u << 4;
    }
    if (!x || x->rank != 4 || (seen != (1u << 2 | 1u << 3) && seen != (1u << 1 | 1u << 2)))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "only the mean over height and width is supported");
    enum eng_onnx_order order = seen & 1u << 3 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    if (eng_onnx_int(op, "keepdims", 1) == 0) {
        op->shape.rank = 2;
        op->shape.dim[0] = 1;
        op->shape.dim[1] = x->dim[order == ENG_ONNX_IMAGE ? 1 : 3];
    }
    return mean(op, order);
}

/* ---- Pad ---- */

static int pads_of(struct eng_onnx_op *op, int64_t pads[8])
{
    int64_t given[2 * ENG_MAX_RANK], axes[ENG_MAX_RANK] = {0, 1, 2, 3};
    int n_axes = 4;
    int n = op->n_in > 1 ? eng_onnx_list(op, 1, given, 2 * ENG_MAX_RANK)
                         : eng_onnx_ints(op, "pads", given, 2 * ENG_MAX_RANK);
    if (n >= 0 && op->n_in > 3 && op->v[3])
        n_axes = eng_onnx_list(op, 3, axes, ENG_MAX_RANK);
    if (n < 0 || n_axes < 0)
        return n < 0 ? n : n_axes;
    if (n != 2 * n_axes)
        return eng_onnx_fail(op, ENG_E_DATA, "it has %d pads for %d axes", n, n_axes);
    memset(pads, 0, 8 * sizeof(*pads));
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        if (axis < 0 || axis > 3 || given[i] < 0 || given[i + n_axes] < 0 ||
            given[i] > ENG_MAX_WINDOW || given[i + n_axes] > ENG_MAX_WINDOW)
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its padding is out of range");
        pads[axis] = given[i];
        pads[axis + 4] = given[i + n_axes];
    }
    return 0;
}

int eng_onnx_pad(struct eng_onnx_op *op)
{
    int64_t pads[8];
    float with = eng_onnx_float(op, "value", 0);
    struct eng_tensor like;
    if (op->n_in < 1 || !op->v[0] || op->v[0]->rank != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is not one image");
    int rc = pads_of(op, pads);
    if (rc >= 0)
        rc = eng_onnx_scalar(op, 2, &with);
    if (rc < 0)
        return rc;
    if (with != 0 || eng_onnx_is(op, "mode", "reflect") || eng_onnx_is(op, "mode", "edge") ||
        eng_onnx_is(op, "mode", "wrap"))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "only padding with zeros is supported");
    /* Height and width are where the file has them: behind the channels, or before. */
    int last = pads[3] || pads[7], second = pads[1] || pads[5];
    enum eng_onnx_order order = eng_onnx_order_of(op->v[0]);
    if (last || second)
        order = last ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    if (pads[0] || pads[4] || (last && second))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "only height and width can be padded");
    int h = order == ENG_ONNX_IMAGE ? 2 : 1;
    op->n.op = ENG_OP_PAD;
    op->n.n_in = 1;
    op->n.win = (struct eng_window){.top = (int)pads[h],
                                    .bottom = (int)pads[h + 4],
                                    .left = (int)pads[h + 1],
                                    .right = (int)pads[h + 5]};
    int moved = eng_onnx_moved(op, order, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, order, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    if (op->raw) /* zeros of integers are not the zero point */
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it pads quanta with zeros");
    return eng_onnx_emit(op, order, moved ? &like : NULL);
}
