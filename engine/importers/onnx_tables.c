/* ONNX operators on tables of any rank: slices along any axis, arithmetic of two operands that
 * broadcast, functions of an element, the place of the largest value. */
#include "engine/importers/onnx.h"

#include <math.h>
#include <string.h>

#include "engine/importers/onnx.pb-c.h"

/* Axis of ONNX -> axis of the graph's tensor. */
static int axis_in(enum eng_onnx_order order, int axis)
{
    static const int image[4] = {0, 3, 1, 2};
    return order == ENG_ONNX_IMAGE ? image[axis] : axis;
}

/* ---- slices ---- */

/* A list of input i, or of an attribute in old operator sets. */
static int list_of(struct eng_onnx_op *op, int i, const char *name, int64_t *ret)
{
    if (op->n_in > 1)
        return eng_onnx_list(op, i, ret, ENG_MAX_RANK);
    return eng_onnx_ints(op, name, ret, ENG_MAX_RANK);
}

static int64_t inside(int64_t v, int64_t dim)
{
    v = v < 0 ? v + dim : v;
    return v < 0 ? 0 : v > dim ? dim : v;
}

struct cut {
    int64_t start[ENG_MAX_RANK], end[ENG_MAX_RANK], axis[ENG_MAX_RANK], step[ENG_MAX_RANK];
};

/* How many axes are cut, or a failure. */
static int read_cut(struct eng_onnx_op *op, struct cut *c)
{
    int rank = op->v[0]->rank;
    int n = list_of(op, 1, "starts", c->start), m = list_of(op, 2, "ends", c->end);
    int k = list_of(op, 3, "axes", c->axis), s = op->n_in > 4 ? list_of(op, 4, "", c->step) : 0;
    if (n < 0 || m < 0 || k < 0 || s < 0)
        return n < 0 ? n : m < 0 ? m : k < 0 ? k : s;
    if (n != m || n > rank || (k != 0 && k != n) || (s != 0 && s != n))
        return eng_onnx_fail(op, ENG_E_DATA, "its lists differ in length");
    for (int i = 0; i < n; i++) {
        c->axis[i] = k == 0 ? i : c->axis[i] < 0 ? c->axis[i] + rank : c->axis[i];
        c->step[i] = s ? c->step[i] : 1;
        if (c->axis[i] < 0 || c->axis[i] >= rank)
            return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)c->axis[i]);
    }
    return n;
}

int eng_onnx_slice_table(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->v[0];
    struct cut c;
    struct eng_tensor like;
    enum eng_onnx_order order = eng_onnx_order_of(x);
    int n = read_cut(op, &c);
    if (n < 0)
        return n;
    for (int i = 0; i < x->rank; i++) {
        op->n.step[i] = 1;
        op->n.count[axis_in(order, i)] = x->dim[i];
    }
    for (int i = 0; i < n; i++) {
        int64_t dim = x->dim[c.axis[i]], by = c.step[i];
        int64_t from = inside(c.start[i], dim), to = inside(c.end[i], dim);
        if (by < 1 || from >= to)
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it leaves nothing, or goes backwards");
        by = by > dim ? dim : by;
        int at = axis_in(order, (int)c.axis[i]);
        op->n.begin[at] = (int)from;
        op->n.step[at] = (int)by;
        op->n.count[at] = (int)((to - from + by - 1) / by);
    }
    int moved = eng_onnx_moved(op, order, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, order, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    op->n.op = ENG_OP_SLICE;
    op->n.n_in = 1;
    return eng_onnx_emit(op, order, moved ? &like : NULL);
}

/* ---- two operands ---- */

static int same_dims(const struct eng_onnx_value *a, const struct eng_onnx_value *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(*a->dim)) == 0;
}

/* A constant that has one number for each channel, or one for all. */
static int is_along_channels(const struct eng_onnx_value *c, const struct eng_onnx_value *x)
{
    size_t n = eng_onnx_elements(c);
    int axis = x->rank == 4 ? 1 : x->rank - 1, d = axis - (x->rank - c->rank);
    int last = c->rank > 0 && x->rank > 0 && c->dim[c->rank - 1] == x->dim[x->rank - 1] &&
               n == (size_t)c->dim[c->rank - 1];
    return n == 1 || last ||
           (d >= 0 && d < c->rank && c->dim[d] == x->dim[axis] && n == (size_t)c->dim[d]);
}

/* One operand is the map of an image or a vector, the other the same, or a number for each channel:
 * what ADD and MUL have drivers for. */
int eng_onnx_is_map_pair(const struct eng_onnx_op *op)
{
    const struct eng_onnx_value *a = op->v[0], *b = op->v[1];
    const struct eng_onnx_value *x = eng_onnx_elements(a) < eng_onnx_elements(b) || a->data ? b : a;
    const struct eng_onnx_value *c = x == a ? b : a;
    int add = strcmp(op->type, "Add") == 0 || strcmp(op->type, "Mul") == 0;
    int map = x->rank == 4 || (x->rank > 0 && eng_onnx_elements(x) == (size_t)x->dim[x->rank - 1]);
    if (eng_onnx_has_quanta(op, x == a ? 0 : 1))
        return add;
    if (!map || c->rank > x->rank || (!add && (c == a || !c->data)))
        return 0;
    return same_dims(x, c) || is_along_channels(c, x) ||
           (!c->data && c->rank == 4 && c->dim[2] == 1 && c->dim[3] == 1);
}

static int operand(struct eng_onnx_op *op, int i, enum eng_onnx_order order)
{
    static const int image[4] = {0, 2, 3, 1};
    const struct eng_onnx_value *v = op->v[i];
    if (!v->data)
        return eng_onnx_form(op, i, order, 1);
    return eng_onnx_constant(op, v, order == ENG_ONNX_IMAGE && v->rank == 4 ? image : NULL, 1);
}

/* One number is a bound. */
static int as_clamp(struct eng_onnx_op *op, int max)
{
    int ci = op->v[1]->data ? 1 : 0;
    const struct eng_onnx_value *c = op->v[ci], *x = op->v[1 - ci];
    if (!c->data || c->type != ENG_F32 || eng_onnx_elements(c) != 1 || c->rank > x->rank || x->data)
        return 0;
    enum eng_onnx_order order = eng_onnx_order_of(x);
    *(max ? &op->n.lo : &op->n.hi) = eng_onnx_real(c, 0);
    if ((op->in[0] = eng_onnx_form(op, 1 - ci, order, 1)) < 0)
        return op->in[0];
    op->n.op = ENG_OP_UNARY;
    op->n.unary = ENG_UNARY_CLAMP;
    op->n.n_in = 1;
    int rc = eng_onnx_emit(op, order, NULL);
    return rc < 0 ? rc : 1;
}

int eng_onnx_arith(struct eng_onnx_op *op)
{
    static const struct {
        const char *type;
        enum eng_arith arith;
    } table[] = {{"Add", ENG_ARITH_ADD}, {"Sub", ENG_ARITH_SUB}, {"Mul", ENG_ARITH_MUL},
                 {"Div", ENG_ARITH_DIV}, {"Min", ENG_ARITH_MIN}, {"Max", ENG_ARITH_MAX}};
    size_t k = 0;
    while (strcmp(table[k].type, op->type) != 0)
        k++;
    if (op->n_in != 2 || !op->v[0] || !op->v[1])
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it does not have two inputs");
    int images = 0, rc;
    for (int i = 0; i < 2; i++)
        images += op->v[i]->rank == 4 || (op->v[i]->data && eng_onnx_elements(op->v[i]) == 1);
    enum eng_onnx_order order = ENG_ONNX_PLAIN;
    for (int i = 0; i < 2; i++)
        if (images == 2 && !op->v[i]->data && eng_onnx_order_of(op->v[i]) == ENG_ONNX_IMAGE)
            order = ENG_ONNX_IMAGE;
    if (k >= 4 && (rc = as_clamp(op, table[k].arith == ENG_ARITH_MAX)) != 0)
        return rc < 0 ? rc : 0;
    for (int i = 0; i < 2; i++)
        if ((op->in[i] = operand(op, i, order)) < 0)
            return op->in[i];
    op->n.op = ENG_OP_ARITH;
    op->n.arith = table[k].arith;
    op->n.n_in = 2;
    return eng_onnx_emit(op, order, NULL);
}

/* ---- the place of the largest ---- */

int eng_onnx_argmax(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    const struct eng_tensor like = {.type = ENG_I64};
    int64_t axis = eng_onnx_int(op, "axis", 0);
    int keep = eng_onnx_int(op, "keepdims", 1) != 0;
    if (!x || eng_onnx_int(op, "select_last_index", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it takes the last of equals, or nothing");
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis >= x->rank)
        return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axis);
    /* Without its channels an image has the same order in both. */
    enum eng_onnx_order order = x->rank == 4 && axis == 1 ? eng_onnx_order_of(x) : ENG_ONNX_PLAIN;
    int quanta = eng_onnx_has_quanta(op, 0);
    if ((op->in[0] = eng_onnx_form(op, 0, order, !quanta)) < 0)
        return op->in[0];
    op->n.op = ENG_OP_ARGMAX;
    op->n.axis = axis_in(order, (int)axis);
    op->n.least = strcmp(op->type, "ArgMin") == 0;
    op->n.n_in = 1;
    op->raw = 1;
    struct eng_onnx_value *out = op->out;
    int32_t dim[ENG_MAX_RANK];
    memcpy(dim, x->dim, sizeof(dim));
    dim[axis] = 1;
    int rank = x->rank, rc = eng_onnx_emit(op, ENG_ONNX_PLAIN, &like);
    if (rc < 0 || !keep)
        return rc;
    op->in[0] = out->at[ENG_ONNX_PLAIN];
    op->n.op = ENG_OP_RESHAPE;
    op->shape = (struct eng_tensor){.rank = rank};
    memcpy(op->shape.dim, dim, sizeof(dim));
    return eng_onnx_emit(op, ENG_ONNX_PLAIN, &like);
}
