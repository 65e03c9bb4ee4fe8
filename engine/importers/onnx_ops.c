/* ONNX operators on elements, Concat, Softmax; and the table of all operators. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/importers/onnx.pb-c.h"

static struct eng_onnx_value *given(const struct eng_onnx_op *op, int i)
{
    return i < op->n_in ? op->v[i] : NULL;
}

/* One computed input, in quanta if the result is wanted in quanta of the same type. */
static int emit_unary(struct eng_onnx_op *op)
{
    struct eng_tensor like;
    enum eng_onnx_order order = eng_onnx_order_of(given(op, 0));
    int quanta = eng_onnx_has_quanta(op, 0) ? eng_onnx_wanted(op, &like) : 0;
    if (quanta < 0)
        return quanta;
    int t = eng_onnx_form(op, 0, order, 0);
    if (t < 0)
        return t;
    quanta = quanta && op->f->g->tensors[t].type == like.type;
    if ((op->in[0] = eng_onnx_form(op, 0, order, !quanta)) < 0)
        return op->in[0];
    if (op->n.n_in == 0)
        op->n.n_in = 1;
    return eng_onnx_emit(op, order, quanta ? &like : NULL);
}

/* ---- activations ---- */

static int add_clip(struct eng_onnx_op *op)
{
    float lo = eng_onnx_float(op, "min", -INFINITY), hi = eng_onnx_float(op, "max", INFINITY);
    int rc;
    op->n.op = ENG_OP_UNARY;
    op->n.unary = ENG_UNARY_CLAMP;
    if (strcmp(op->type, "Relu") == 0) {
        lo = 0;
        hi = INFINITY;
    } else if ((rc = eng_onnx_scalar(op, 1, &lo)) < 0 || (rc = eng_onnx_scalar(op, 2, &hi)) < 0) {
        return rc;
    }
    if (isnan(lo) || isnan(hi) || lo > hi)
        return eng_onnx_fail(op, ENG_E_DATA, "it clamps to %g .. %g", (double)lo, (double)hi);
    op->n.lo = lo;
    op->n.hi = hi;
    return emit_unary(op);
}

static int add_unary(struct eng_onnx_op *op)
{
    static const struct {
        const char *type;
        enum eng_unary unary;
        float alpha, beta; /* of ONNX, where the node says nothing */
    } table[] = {
        {"LeakyRelu", ENG_UNARY_LEAKY_RELU, 0.01f, 0},
        {"Sigmoid", ENG_UNARY_SIGMOID, 0, 0},
        {"HardSigmoid", ENG_UNARY_HARD_SIGMOID, 0.2f, 0.5f},
        {"HardSwish", ENG_UNARY_HARD_SWISH, 0, 0},
        {"Tanh", ENG_UNARY_TANH, 0, 0},
        {"Exp", ENG_UNARY_EXP, 0, 0},
        {"Log", ENG_UNARY_LOG, 0, 0},
        {"Sqrt", ENG_UNARY_SQRT, 0, 0},
        {"Abs", ENG_UNARY_ABS, 0, 0},
        {"Neg", ENG_UNARY_NEG, 0, 0},
        {"Floor", ENG_UNARY_FLOOR, 0, 0},
    };
    size_t i = 0;
    while (strcmp(table[i].type, op->type) != 0)
        i++;
    op->n.op = ENG_OP_UNARY;
    op->n.unary = table[i].unary;
    op->n.alpha = eng_onnx_float(op, "alpha", table[i].alpha);
    op->n.beta = eng_onnx_float(op, "beta", table[i].beta);
    return emit_unary(op);
}

/* One slope a channel; the file may have one for all. */
static int add_prelu(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = given(op, 0), *s = given(op, 1);
    float *slope;
    if (!x || !s || (x->rank != 4 && x->rank != 2))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is neither one image nor a row");
    size_t n = s->data ? eng_onnx_elements(s) : 0;
    int first = s->rank - (x->rank == 4 ? 3 : 1); /* the channels', counted from the back */
    if (!s->data || s->type != ENG_F32 ||
        (n != 1 && (n != (size_t)x->dim[1] || first < 0 || (size_t)s->dim[first] != n)))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s is not one constant a channel", s->name);
    enum eng_onnx_order order = x->rank == 4 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    if ((op->in[0] = eng_onnx_form(op, 0, order, 1)) < 0)
        return op->in[0];
    if ((op->in[1] = eng_onnx_new_vector(op, x->dim[1], &slope)) < 0)
        return op->in[1];
    for (int i = 0; i < x->dim[1]; i++)
        slope[i] = eng_onnx_real(s, n == 1 ? 0 : (size_t)i);
    op->n.op = ENG_OP_PRELU;
    op->n.n_in = 2;
    return eng_onnx_emit(op, order, NULL);
}

/* Over one axis; before operator set 13 over all from that axis on. QLinearSoftmax says which one.
 */
static int add_softmax(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = given(op, 0);
    int old = eng_onnx_int(op, "opset", op->f->opset) < 13;
    int64_t axis = eng_onnx_int(op, "axis", old ? 1 : -1);
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis >= x->rank)
        return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axis);
    enum eng_onnx_order order = eng_onnx_order_of(x);
    int last = x->rank - 1, only = x->dim[axis] == (int)eng_onnx_elements(x);
    if (!only && !old && axis == 1 && x->rank == 4)
        order = ENG_ONNX_IMAGE;
    else if (!only && axis == last)
        order = ENG_ONNX_PLAIN;
    else if (!only)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is not over the last axis or the channels");
    /* A row may stand along any axis: along the last one of either order. */
    if (only && x->rank == 4)
        order = axis == 1 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    if (only && (x->rank == 4 ? axis != 1 && axis != 3 : axis != last))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is not over the last axis or the channels");
    op->n.op = ENG_OP_SOFTMAX;
    op->n.n_in = 1;
    op->n.beta = 1;
    if ((op->in[0] = eng_onnx_form(op, 0, order, 1)) < 0)
        return op->in[0];
    return eng_onnx_emit(op, order, NULL);
}

/* ---- two operands ---- */

/* Does constant c, its dimensions counted from the back, have all its numbers along ONNX's axis? */
static int along(const struct eng_onnx_value *c, const struct eng_onnx_value *x, int axis)
{
    int d = axis - (x->rank - c->rank);
    return c->rank <= x->rank && d >= 0 && c->dim[d] == x->dim[axis] &&
           eng_onnx_elements(c) == (size_t)c->dim[d];
}

static int same_dims(const struct eng_onnx_value *a, const struct eng_onnx_value *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(*a->dim)) == 0;
}

/* The constant operand as the graph has it, and the order in which it fits x. */
static int constant_operand(struct eng_onnx_op *op, const struct eng_onnx_value *x,
                            const struct eng_onnx_value *c, enum eng_onnx_order *order)
{
    static const int image[4] = {0, 2, 3, 1};
    size_t n = eng_onnx_elements(c);
    float *to;
    *order = eng_onnx_order_of(x);
    if (n != 1 && same_dims(c, x))
        return eng_onnx_constant(op, c, *order == ENG_ONNX_IMAGE ? image : NULL, 1);
    if (x->rank == 4 && n != 1 && along(c, x, 1))
        *order = ENG_ONNX_IMAGE;
    else if (x->rank > 0 && n != 1 && along(c, x, x->rank - 1))
        *order = ENG_ONNX_PLAIN;
    else if (n != 1 || c->rank > x->rank)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s and %.80s do not fit", x->name, c->name);
    if (c->type != ENG_F32)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s is not real", c->name);
    int rc = eng_onnx_new_vector(op, (int)n, &to);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        to[i] = eng_onnx_real(c, i);
    return rc;
}

/* Sub and Div by a constant are Add and Mul of another one. */
static int with_constant(struct eng_onnx_op *op, int ci)
{
    struct eng_onnx_value *x = op->v[1 - ci], *c = op->v[ci];
    int sub = strcmp(op->type, "Sub") == 0, div = strcmp(op->type, "Div") == 0;
    enum eng_onnx_order order;
    if ((sub || div) && ci == 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its first input is a constant");
    if ((op->in[1] = constant_operand(op, x, c, &order)) < 0)
        return op->in[1];
    const struct eng_tensor *t = &op->f->g->tensors[op->in[1]];
    float *v = (float *)(uintptr_t)t->data; /* made a moment ago, for this node alone */
    for (size_t i = 0; (sub || div) && i < eng_tensor_elements(t); i++)
        v[i] = sub ? -v[i] : 1 / v[i];
    if ((op->in[0] = eng_onnx_form(op, 1 - ci, order, 1)) < 0)
        return op->in[0];
    return eng_onnx_emit(op, order, NULL);
}

static int add_binary(struct eng_onnx_op *op)
{
    struct eng_onnx_value *a = given(op, 0), *b = given(op, 1);
    int add = strcmp(op->type, "Add") == 0, mul = strcmp(op->type, "Mul") == 0;
    struct eng_tensor like;
    if (!a || !b)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    if (!eng_onnx_is_map_pair(op))
        return eng_onnx_arith(op);
    op->n.op = add || strcmp(op->type, "Sub") == 0 ? ENG_OP_ADD : ENG_OP_MUL;
    op->n.n_in = 2;
    if (b->data || a->data)
        return with_constant(op, b->data ? 1 : 0);
    if (!add && !mul)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its second input is not a constant");
    enum eng_onnx_order order = eng_onnx_order_of(a) == ENG_ONNX_IMAGE && b->rank == 4
                                    ? ENG_ONNX_IMAGE
                                : a->rank == 4 ? eng_onnx_order_of(b)
                                               : ENG_ONNX_PLAIN;
    int quanta =
        eng_onnx_has_quanta(op, 0) && eng_onnx_has_quanta(op, 1) ? eng_onnx_wanted(op, &like) : 0;
    /* The one that is repeated goes second. */
    int first = eng_onnx_elements(a) < eng_onnx_elements(b);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 2; i++) {
            int t = eng_onnx_form(op, i ^ first, order, !quanta);
            if (quanta < 0 || t < 0)
                return quanta < 0 ? quanta : t;
            op->in[i] = t;
        }
        const struct eng_tensor *t = op->f->g->tensors;
        if (!quanta || (t[op->in[0]].type == like.type && t[op->in[1]].type == like.type))
            break;
        quanta = 0;
    }
    return eng_onnx_emit(op, order, quanta ? &like : NULL);
}

static int add_concat(struct eng_onnx_op *op)
{
    static const int image[4] = {0, 3, 1, 2};
    const struct eng_onnx_value *x = given(op, 0);
    struct eng_tensor like;
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    if (x->data && x->stored != ENG_F32)
        return eng_onnx_concat_lists(op);
    int64_t axis = eng_onnx_int(op, "axis", 1);
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis >= x->rank)
        return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axis);
    enum eng_onnx_order order = ENG_ONNX_PLAIN;
    int quanta = 1;
    for (int i = 0; i < op->n_in; i++) {
        if (eng_onnx_order_of(op->v[i]) == ENG_ONNX_IMAGE)
            order = ENG_ONNX_IMAGE;
        quanta = quanta && eng_onnx_has_quanta(op, i);
    }
    if (quanta && (quanta = eng_onnx_wanted(op, &like)) < 0)
        return quanta;
    for (int i = 0; quanta && i < op->n_in; i++) {
        int t = eng_onnx_form(op, i, order, 0);
        if (t < 0)
            return t;
        quanta = op->f->g->tensors[t].type == like.type;
    }
    op->n.op = ENG_OP_CONCAT;
    op->n.axis = order == ENG_ONNX_IMAGE && x->rank == 4 ? image[axis] : (int)axis;
    op->n.n_in = op->n_in;
    for (int i = 0; i < op->n_in; i++)
        if ((op->in[i] = eng_onnx_form(op, i, order, !quanta)) < 0)
            return op->in[i];
    return eng_onnx_emit(op, order, quanta ? &like : NULL);
}

/* ---- the rest ---- */

static int add_identity(struct eng_onnx_op *op)
{
    if (given(op, 2) && op->v[2]->data && op->v[2]->stored == ENG_BOOL &&
        *(const uint8_t *)op->v[2]->data)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is in training mode");
    return eng_onnx_alias(op, given(op, 0));
}

static int add_constant(struct eng_onnx_op *op)
{
    const Onnx__TensorProto *t = eng_onnx_tensor(op, "value");
    if (t)
        return eng_onnx_load(op->f, t, op->out->name, op->out);
    return eng_onnx_listed(op);
}

int eng_onnx_add(struct eng_onnx_op *op)
{
#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) onnx
#define FILE_ONLY(tflite, onnx, tfjs) onnx
#define ONNX(type, add) {type, add},
#define QLINEAR(type, real, form, own)
    static const struct {
        const char *type;
        int (*add)(struct eng_onnx_op *);
    } table[] = {
#include "engine/graph/ops.def"
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].type, op->type) == 0)
            return table[i].add(op);
    return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "the operator is not supported");
}
