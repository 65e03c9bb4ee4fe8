/* Values in the order that an operator needs, nodes with their shapes, and the quantisation that
 * DequantizeLinear and QuantizeLinear put around them. See onnx.h. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/graph/check.h"
#include "engine/importers/onnx.pb-c.h"

static struct eng_tensor *tensor(const struct eng_onnx_op *op, int index)
{
    return &op->f->g->tensors[index];
}

static int is_quantised(const struct eng_tensor *t)
{
    return (t->type == ENG_U8 || t->type == ENG_I8) && t->quant.n > 0;
}

/* ---- forms ---- */

/* A node of one input between what the file has. */
static int between(struct eng_onnx_op *op, enum eng_op what, int in, struct eng_tensor *out,
                   const int *perm)
{
    struct eng_graph *g = op->f->g;
    struct eng_node n = {.op = what, .n_in = 1, .lo = -INFINITY, .hi = INFINITY};
    n.in = eng_graph_alloc(g, 1, sizeof(*n.in));
    if (!n.in)
        return eng_onnx_no_memory(op);
    n.name = out->name;
    n.in[0] = in;
    for (int i = 0; perm && i < out->rank; i++)
        n.perm[i] = perm[i];
    out->data = NULL;
    out->size = 0;
    n.out = eng_graph_add_tensor(g, out);
    int rc = n.out < 0 ? n.out : eng_graph_add_node(g, &n);
    return rc < 0 ? eng_onnx_fail(op, rc, "the graph is too large") : n.out;
}

static int reorder(struct eng_onnx_op *op, const struct eng_onnx_value *v,
                   enum eng_onnx_order order)
{
    static const int to_plain[4] = {0, 3, 1, 2}, to_image[4] = {0, 2, 3, 1};
    int from = v->at[1 - order];
    const int *perm = order == ENG_ONNX_IMAGE ? to_image : to_plain;
    if (v->rank != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input %.80s is not one image", v->name);
    struct eng_tensor t = *tensor(op, from);
    for (int i = 0; i < 4; i++)
        t.dim[i] = tensor(op, from)->dim[perm[i]];
    int same_bytes = v->dim[1] == 1 || (v->dim[2] == 1 && v->dim[3] == 1);
    return between(op, same_bytes ? ENG_OP_RESHAPE : ENG_OP_TRANSPOSE, from, &t, perm);
}

int eng_onnx_form(struct eng_onnx_op *op, int i, enum eng_onnx_order order, int real)
{
    struct eng_onnx_value *v = i < op->n_in ? op->v[i] : NULL;
    if (!v)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks input %d", i);
    if (v->data || (v->at[0] < 0 && v->at[1] < 0))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input %.80s is a constant", v->name);
    if (v->at[order] < 0) {
        int rc = reorder(op, v, order);
        if (rc < 0)
            return rc;
        v->at[order] = rc;
    }
    if (!real || !is_quantised(tensor(op, v->at[order])))
        return v->at[order];
    if (v->type != ENG_F32)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input %.80s is not real", v->name);
    if (v->real[order] < 0) {
        struct eng_tensor t = *tensor(op, v->at[order]);
        t.type = ENG_F32;
        t.quant = (struct eng_quant){0};
        int rc = between(op, ENG_OP_DEQUANTIZE, v->at[order], &t, NULL);
        if (rc < 0)
            return rc;
        v->real[order] = rc;
    }
    return v->real[order];
}

enum eng_onnx_order eng_onnx_order_of(const struct eng_onnx_value *v)
{
    return v && v->at[ENG_ONNX_IMAGE] >= 0 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
}

static int stands_quantised(const struct eng_onnx_op *op, const struct eng_onnx_value *v)
{
    int at = v && !v->data ? v->at[eng_onnx_order_of(v)] : -1;
    return at >= 0 && is_quantised(tensor(op, at));
}

int eng_onnx_has_quanta(const struct eng_onnx_op *op, int i)
{
    const struct eng_onnx_value *v = i < op->n_in ? op->v[i] : NULL;
    return v && v->type == ENG_F32 && stands_quantised(op, v);
}

int eng_onnx_moved(struct eng_onnx_op *op, enum eng_onnx_order order, struct eng_tensor *ret)
{
    if (op->n_in < 1 || !stands_quantised(op, op->v[0]))
        return 0;
    int t = eng_onnx_form(op, 0, order, 0);
    if (t < 0)
        return t;
    *ret = *tensor(op, t);
    op->raw = op->v[0]->type != ENG_F32;
    return 1;
}

/* ---- nodes ---- */

static int infer(struct eng_onnx_op *op, int node)
{
    struct eng_onnx *f = op->f;
    struct eng_check c = {f->g, &f->g->nodes[node], node, f->err, f->errlen};
    struct eng_tensor shape = {.name = "", .type = ENG_F32};
    int rc = eng_check_shape(&c, &shape);
    if (rc < 0)
        return eng_onnx_fail(op, rc, "its inputs do not fit each other");
    int64_t n = 1;
    struct eng_tensor *t = tensor(op, op->n.out);
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] < 1 || shape.dim[i] > ENG_MAX_DIM ||
            (n *= shape.dim[i]) > ENG_MAX_ELEMENTS)
            return eng_onnx_fail(op, ENG_E_LIMIT, "its output is too large");
        t->dim[i] = shape.dim[i];
    }
    t->rank = shape.rank;
    return 0;
}

int eng_onnx_emit(struct eng_onnx_op *op, enum eng_onnx_order order, const struct eng_tensor *like)
{
    static const int onnx[4] = {0, 3, 1, 2};
    struct eng_graph *g = op->f->g;
    struct eng_onnx_value *out = op->out;
    struct eng_tensor t = op->shape;
    t.type = like ? like->type : ENG_F32;
    t.quant = like ? like->quant : (struct eng_quant){0};
    t.name = eng_graph_strdup(g, out->name, strlen(out->name));
    op->n.in = eng_graph_alloc(g, (size_t)op->n.n_in + 1, sizeof(*op->n.in));
    if (!t.name || !op->n.in)
        return eng_onnx_no_memory(op);
    memcpy(op->n.in, op->in, (size_t)op->n.n_in * sizeof(*op->n.in));
    op->n.out = eng_graph_add_tensor(g, &t);
    int node = op->n.out < 0 ? op->n.out : eng_graph_add_node(g, &op->n);
    if (node < 0)
        return eng_onnx_fail(op, node, "the graph is too large");
    int rc = infer(op, node);
    if (rc < 0)
        return rc;
    const struct eng_tensor *made = tensor(op, op->n.out);
    out->type = op->raw ? made->type : ENG_F32;
    out->rank = made->rank;
    for (int i = 0; i < made->rank; i++)
        out->dim[i] = made->dim[order == ENG_ONNX_IMAGE ? onnx[i] : i];
    out->at[order] = op->n.out;
    return 0;
}

/* ---- quantisation ---- */

static int32_t integer(const struct eng_onnx_value *v, size_t k)
{
    return v->stored == ENG_U8   ? ((const uint8_t *)v->data)[k]
           : v->stored == ENG_I8 ? ((const int8_t *)v->data)[k]
                                 : ((const int32_t *)v->data)[k];
}

/* How many scales, or a failure. */
static int count_scales(const struct eng_onnx_op *op, const struct eng_onnx_value *s,
                        const struct eng_onnx_value *z)
{
    size_t n = s && s->data ? eng_onnx_elements(s) : 0;
    if (n < 1 || n > ENG_MAX_DIM || s->stored != ENG_F32 || (n > 1 && s->rank != 1))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its scale is not a constant of floats");
    if (z && (!z->data || eng_onnx_elements(z) != n ||
              (z->stored != ENG_U8 && z->stored != ENG_I8 && z->stored != ENG_I32)))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "its zero point is not a constant of bytes like its scale");
    if (eng_onnx_int(op, "block_size", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it quantises in blocks");
    return (int)n;
}

int eng_onnx_quant(const struct eng_onnx_op *op, struct eng_quant *ret, enum eng_type *ret_type)
{
    const struct eng_onnx_value *s = op->n_in > 1 ? op->v[1] : NULL;
    const struct eng_onnx_value *z = op->n_in > 2 ? op->v[2] : NULL;
    int64_t axis = eng_onnx_int(op, "axis", 1), type = eng_onnx_int(op, "output_dtype", 0);
    int n = count_scales(op, s, z);
    if (n < 0)
        return n;
    if (axis < -ENG_MAX_RANK || axis >= ENG_MAX_RANK)
        return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axis);
    float *scale = eng_graph_alloc(op->f->g, (size_t)n, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(op->f->g, (size_t)n, sizeof(*zero));
    if (!scale || !zero)
        return eng_onnx_no_memory(op);
    for (int i = 0; i < n; i++) {
        scale[i] = ((const float *)s->data)[i];
        zero[i] = z ? integer(z, (size_t)i) : 0;
        if (!isnormal(scale[i]) || scale[i] < 0)
            return eng_onnx_fail(op, ENG_E_DATA, "its scale is %g", (double)scale[i]);
    }
    *ret_type = z ? z->stored : type == ONNX__TENSOR_PROTO__DATA_TYPE__INT8 ? ENG_I8 : ENG_U8;
    *ret = (struct eng_quant){n, n > 1 ? (int)axis : 0, scale, zero};
    return 0;
}

/* The QuantizeLinear that alone reads the output, behind clamps at most. */
static const Onnx__NodeProto *quantizer(const struct eng_onnx_op *op)
{
    const struct eng_onnx_value *v = op->out;
    for (int hops = 0; hops < 4; hops++) {
        if (!v || v->readers != 1 || !v->reader || !v->reader->op_type)
            return NULL;
        const Onnx__NodeProto *r = v->reader;
        if (strcmp(r->input[0], v->name) != 0)
            return NULL;
        if (strcmp(r->op_type, "QuantizeLinear") == 0)
            return r;
        if (strcmp(r->op_type, "Relu") != 0 && strcmp(r->op_type, "Clip") != 0)
            return NULL;
        v = r->n_output == 1 ? eng_onnx_find(op->f, r->output[0]) : NULL;
    }
    return NULL;
}

int eng_onnx_wanted(const struct eng_onnx_op *op, struct eng_tensor *ret)
{
    if (op->wanted) {
        *ret = *op->wanted;
        return 1;
    }
    const Onnx__NodeProto *p = quantizer(op);
    if (!p || p->n_input > 3)
        return 0;
    struct eng_onnx_op q = {.f = op->f, .p = p, .index = op->index, .type = "QuantizeLinear"};
    q.n.name = p->name;
    q.n_in = (int)p->n_input;
    for (int i = 1; i < q.n_in; i++)
        q.v[i] = eng_onnx_find(op->f, p->input[i]);
    *ret = (struct eng_tensor){0};
    int rc = eng_onnx_quant(&q, &ret->quant, &ret->type);
    if (rc < 0)
        return rc;
    return ret->quant.n == 1 && (ret->type == ENG_U8 || ret->type == ENG_I8);
}

/* A constant that the file keeps as floats: quantised here. */
static int quantize_constant(struct eng_onnx_op *op, const struct eng_quant *q, enum eng_type type)
{
    const struct eng_onnx_value *x = op->v[0];
    size_t n = eng_onnx_elements(x), step = 1;
    int axis = q->axis < 0 ? q->axis + x->rank : q->axis;
    if (q->n > 1 && (axis < 0 || axis >= x->rank || x->dim[axis] != q->n))
        return eng_onnx_fail(op, ENG_E_DATA, "it has %d scales, its axis another length", q->n);
    if (x->stored != ENG_F32 || (type != ENG_U8 && type != ENG_I8))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it makes no bytes of floats");
    for (int d = axis + 1; q->n > 1 && d < x->rank; d++)
        step *= (size_t)x->dim[d];
    uint8_t *to = eng_graph_alloc(op->f->scratch, n + 1, 1);
    if (!to)
        return eng_onnx_no_memory(op);
    float lo = type == ENG_U8 ? 0 : -128;
    for (size_t i = 0; i < n; i++) {
        size_t ch = q->n > 1 ? i / step % (size_t)q->n : 0;
        float v = rintf(((const float *)x->data)[i] / q->scale[ch]) + (float)q->zero_point[ch];
        v = v > lo ? v : lo; /* NaN too */
        to[i] = (uint8_t)(int)(v < lo + 255 ? v : lo + 255);
    }
    int rc = eng_onnx_alias(op, x);
    op->out->data = to;
    op->out->type = op->out->stored = type;
    op->out->quant = (struct eng_quant){0};
    return rc;
}

int eng_onnx_quantize(struct eng_onnx_op *op)
{
    struct eng_tensor like = {0};
    int rc = eng_onnx_quant(op, &like.quant, &like.type);
    if (rc < 0)
        return rc;
    if (op->v[0] && op->v[0]->data)
        return quantize_constant(op, &like.quant, like.type);
    if (like.quant.n != 1 || (like.type != ENG_U8 && like.type != ENG_I8))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it does not make bytes of one scale");
    if (op->v[0] && op->v[0]->type != ENG_F32)
        return eng_onnx_fail(op, ENG_E_DATA, "its input is not real");
    enum eng_onnx_order order = eng_onnx_order_of(op->v[0]);
    if ((op->in[0] = eng_onnx_form(op, 0, order, 0)) < 0)
        return op->in[0];
    const struct eng_tensor *x = tensor(op, op->in[0]);
    if (x->type == like.type && eng_same_quant(x, &like)) {
        rc = eng_onnx_alias(op, op->v[0]);
        op->out->type = like.type;
        return rc;
    }
    op->n.op = ENG_OP_QUANTIZE;
    op->n.n_in = 1;
    op->raw = 1;
    return eng_onnx_emit(op, order, &like);
}

int eng_onnx_requantise(struct eng_onnx_op *op, const struct eng_tensor *like)
{
    struct eng_onnx_value *out = op->out;
    for (int order = 0; order < ENG_ONNX_ORDERS; order++) {
        if (out->at[order] < 0 || tensor(op, out->at[order])->type != ENG_F32)
            continue;
        struct eng_tensor t = *tensor(op, out->at[order]);
        t.type = like->type;
        t.quant = like->quant;
        int rc = between(op, ENG_OP_QUANTIZE, out->at[order], &t, NULL);
        if (rc < 0)
            return rc;
        out->at[order] = rc;
    }
    out->type = like->type;
    return 0;
}

static int dequantize_constant(struct eng_onnx_op *op, struct eng_quant q)
{
    const struct eng_onnx_value *x = op->v[0];
    if (q.axis < 0)
        q.axis += x->rank;
    if (q.n > 1 && (q.axis < 0 || q.axis >= x->rank || x->dim[q.axis] != q.n))
        return eng_onnx_fail(op, ENG_E_DATA, "it has %d scales, its axis another length", q.n);
    if (x->stored != ENG_U8 && x->stored != ENG_I8 && x->stored != ENG_I32)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is %s", eng_type_name(x->stored));
    int rc = eng_onnx_alias(op, x);
    op->out->quant = q;
    op->out->type = ENG_F32;
    return rc;
}

int eng_onnx_dequantize(struct eng_onnx_op *op)
{
    struct eng_tensor said = {0};
    int rc = eng_onnx_quant(op, &said.quant, &said.type);
    if (rc < 0)
        return rc;
    if (op->v[0] && op->v[0]->data)
        return dequantize_constant(op, said.quant);
    enum eng_onnx_order order = eng_onnx_order_of(op->v[0]);
    int at = eng_onnx_form(op, 0, order, 0);
    if (at < 0)
        return at;
    struct eng_tensor *x = tensor(op, at);
    if (at == op->f->g->input && x->type != ENG_F32 && x->quant.n == 0)
        x->quant = said.quant;
    int typed = op->n_in > 2 && op->v[2];
    if (op->v[0]->type == ENG_F32 || said.quant.n != 1 || !is_quantised(x) ||
        !eng_same_quant(x, &said) || (typed && said.type != x->type))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "its input was not quantised with the same scale and zero point");
    rc = eng_onnx_alias(op, op->v[0]);
    op->out->type = ENG_F32;
    return rc;
}
