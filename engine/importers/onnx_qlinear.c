/* ONNX operators that take and give quanta, each with its scale and zero point as inputs (what ONNX
 * Runtime's quantiser writes as "QOperator"): the operator on real numbers that stands behind the
 * name, between a DequantizeLinear and a QuantizeLinear that the node itself says. */
#include "engine/importers/onnx.h"

#include <string.h>

#include "engine/graph/check.h"

/* Inputs by position. One, Two: (x, scale, zero) once or twice, then those of the output; Conv and
 * Gemm have their bias behind or before these; Concat begins with them. */
enum form { ONE, TWO, CONV, GEMM, CONCAT };

#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) onnx
#define ONNX(type, add)
#define QLINEAR(type, real, form, own) {type, real, form, own},
static const struct kind {
    const char *type, *real;
    enum form form;
    int own; /* of com.microsoft */
} kinds[] = {
#include "engine/graph/ops.def"
};

static const struct kind *kind_of(const char *type, int own)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (kinds[i].own == own && strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

int eng_onnx_is_qlinear(const char *type, int microsoft)
{
    return kind_of(type, microsoft) != NULL;
}

/* Scale and zero point at inputs `at` and `at` + 1. */
static int said(const struct eng_onnx_op *op, int at, struct eng_tensor *ret)
{
    struct eng_onnx_op q = {.f = op->f, .p = op->p, .index = op->index, .type = op->type};
    q.n.name = op->n.name;
    q.n_in = 3;
    for (int i = 1; i < 3; i++)
        q.v[i] = at + i - 1 < op->n_in ? op->v[at + i - 1] : NULL;
    *ret = (struct eng_tensor){0};
    return eng_onnx_quant(&q, &ret->quant, &ret->type);
}

/* Constant weights: a scale for all, or one for each output, which `axis` counts. */
static int take_constant(struct eng_onnx_op *op, const struct eng_tensor *like, int axis,
                         struct eng_onnx_value *v)
{
    int n = like->quant.n;
    if (v->stored != ENG_U8 && v->stored != ENG_I8)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s is not of bytes", v->name);
    if (n > 1 && (axis >= v->rank || v->dim[axis] != n))
        return eng_onnx_fail(op, ENG_E_DATA, "%.80s has %d scales, its axis another length",
                             v->name, n);
    v->quant = like->quant;
    v->quant.axis = axis;
    v->type = ENG_F32;
    return 0;
}

/* Operand `at` as a real value that is known by its quanta. */
static int take(struct eng_onnx_op *op, int at, int axis, struct eng_onnx_value *ret)
{
    struct eng_tensor like;
    if (at + 1 >= op->n_in || !op->v[at])
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    int rc = said(op, at + 1, &like);
    if (rc < 0)
        return rc;
    if (op->v[at]->data) {
        *ret = *op->v[at];
        return take_constant(op, &like, axis, ret);
    }
    int t = eng_onnx_form(op, at, eng_onnx_order_of(op->v[at]), 0);
    if (t < 0)
        return t;
    struct eng_tensor *x = &op->f->g->tensors[t];
    if (t == op->f->g->input && x->type != ENG_F32 && x->quant.n == 0)
        x->quant = like.quant;
    int typed = at + 2 < op->n_in && op->v[at + 2];
    if (op->v[at]->type == ENG_F32 || like.quant.n != 1 || x->quant.n != 1 ||
        !eng_same_quant(x, &like) || (typed && like.type != x->type))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "%.80s was not quantised with the same scale and zero point",
                             op->v[at]->name);
    *ret = *op->v[at];
    ret->type = ENG_F32;
    return 0;
}

/* Bias number i is in units of sx * sw[i]. */
static int take_bias(struct eng_onnx_op *op, int at, const struct eng_tensor *x,
                     const struct eng_onnx_value *w, struct eng_onnx_value *ret)
{
    struct eng_graph *g = op->f->g;
    int n = w->quant.n;
    *ret = *op->v[at];
    if (!ret->data || ret->stored != ENG_I32 || ret->quant.n > 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its bias %.80s is not a constant of int32",
                             ret->name);
    float *scale = eng_graph_alloc(g, (size_t)n, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(g, (size_t)n, sizeof(*zero));
    if (!scale || !zero)
        return eng_onnx_no_memory(op);
    for (int i = 0; i < n; i++)
        scale[i] = x->quant.scale[0] * w->quant.scale[i];
    ret->quant = (struct eng_quant){n, 0, scale, zero};
    ret->type = ENG_F32;
    return 0;
}

static int take_all(struct eng_onnx_op *op, const struct kind *k, struct eng_onnx_value *v,
                    struct eng_tensor *ret_like)
{
    int first = k->form == CONCAT ? 2 : 0, n = k->form == ONE ? 1 : 2, rc;
    int axis = k->form == CONV ? 0 : k->form == GEMM ? !eng_onnx_int(op, "transB", 0) : 1;
    if (k->form == CONCAT)
        n = (op->n_in - first) / 3;
    int out = k->form == CONCAT ? 0 : 3 * n + (k->form == GEMM);
    int bias = k->form == GEMM ? 6 : k->form == CONV ? 8 : op->n_in;
    if (n < 1 || out + 1 > op->n_in)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    struct eng_tensor x;
    for (int i = 0; i < n; i++)
        if ((rc = take(op, first + 3 * i, axis, &v[i])) < 0)
            return rc;
    rc = said(op, first + 1, &x);
    if (rc >= 0)
        rc = said(op, out, ret_like);
    if (rc < 0)
        return rc;
    if (ret_like->quant.n != 1 || (ret_like->type != ENG_U8 && ret_like->type != ENG_I8))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it does not make bytes of one scale");
    if (bias < op->n_in && op->v[bias]) {
        if (!v[1].data)
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its weights are not a constant");
        rc = take_bias(op, bias, &x, &v[1], &v[2]);
        if (rc < 0)
            return rc;
        n++;
    }
    return n;
}

int eng_onnx_qlinear(struct eng_onnx_op *op, int microsoft)
{
    struct eng_onnx_value v[ENG_MAX_INPUTS / 3 + 1];
    const struct kind *k = kind_of(op->type, microsoft);
    struct eng_tensor like;
    if (eng_onnx_int(op, "channels_last", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its channels are last");
    int n = take_all(op, k, v, &like);
    if (n < 0)
        return n;
    struct eng_onnx_op real = *op;
    real.type = k->real;
    real.n_in = n;
    real.wanted = &like;
    real.raw = 1;
    for (int i = 0; i < n; i++)
        real.v[i] = &v[i];
    int rc = eng_onnx_add(&real);
    return rc < 0 ? rc : eng_onnx_requantise(&real, &like);
}
