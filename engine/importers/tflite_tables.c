/* TFLite operators that cut and join tables: PACK, UNPACK, TILE, GATHER_ND, and slices along any
 * axis. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int too_many(const struct eng_tfl_build *b, int rc)
{
    return eng_tfl_fail(b, rc, "the graph has too many tensors");
}

/* Graph tensor t with other dimensions: a constant's own bytes, or a RESHAPE. */
static int reshaped(const struct eng_tfl_build *b, int t, int rank, const int32_t *dim)
{
    struct eng_tfl_build r = {.f = b->f, .op = b->op};
    struct eng_tensor x = *eng_tfl_at(b, t);
    x.rank = rank;
    memcpy(x.dim, dim, (size_t)rank * sizeof(*dim));
    if (x.quant.n > 1)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its input has a scale for each channel");
    r.n.out = eng_graph_add_tensor(b->f->g, &x);
    if (r.n.out < 0)
        return too_many(b, r.n.out);
    if (x.data)
        return r.n.out;
    r.n.op = ENG_OP_RESHAPE;
    r.n.name = b->n.name;
    r.n.lo = -INFINITY;
    r.n.hi = INFINITY;
    r.n.n_in = 1;
    r.in[0] = t;
    int rc = eng_tfl_finish(&r);
    return rc < 0 ? rc : r.n.out;
}

int eng_tfl_pack(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_CONCAT, b->op->n_in), constants = 1, shapes = 0;
    if (rc < 0)
        return rc;
    for (int i = 0; i < b->n.n_in; i++) {
        if (b->in[i] < 0)
            return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
        constants &= eng_tfl_at(b, b->in[i])->data != NULL;
        shapes |= eng_tfl_is_shape_only(b, b->in[i]);
    }
    if (constants || shapes)
        return eng_tfl_shape_arithmetic(b);
    int rank = eng_tfl_at(b, b->in[0])->rank + 1, axis = eng_tfl_option(b, 1, 0);
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis >= rank || rank > ENG_MAX_RANK)
        return eng_tfl_fail(b, ENG_E_DATA, "its axis is out of range");
    for (int i = 0; i < b->n.n_in; i++) {
        const struct eng_tensor *x = eng_tfl_at(b, b->in[i]);
        int32_t dim[ENG_MAX_RANK];
        if (x->rank != rank - 1)
            return eng_tfl_fail(b, ENG_E_DATA, "its inputs differ in rank");
        for (int k = 0; k < rank; k++)
            dim[k] = k == axis ? 1 : x->dim[k - (k > axis)];
        if ((rc = b->in[i] = reshaped(b, b->in[i], rank, dim)) < 0)
            return rc;
    }
    b->n.axis = axis;
    return eng_tfl_finish(b);
}

/* A slice of graph tensor x, as an output of the file, which may lack axes of 1. */
static int add_slice(const struct eng_tfl_build *b, int x, int out, const int *begin,
                     const int *step, const int *count)
{
    struct eng_tfl_build part = *b;
    struct eng_tensor t = *eng_tfl_at(b, x);
    int rc = eng_tfl_output(&part, b->op->out[out]), target = part.n.out;
    if (rc < 0)
        return rc;
    part.n.op = ENG_OP_SLICE;
    part.n.n_in = 1;
    part.in[0] = x;
    memcpy(part.n.begin, begin, sizeof(part.n.begin));
    memcpy(part.n.step, step, sizeof(part.n.step));
    memcpy(part.n.count, count, sizeof(part.n.count));
    if (eng_tfl_at(b, target)->rank == t.rank)
        return eng_tfl_finish(&part);
    t.name = part.n.name;
    memcpy(t.dim, count, (size_t)t.rank * sizeof(*count));
    if ((part.n.out = eng_graph_add_tensor(b->f->g, &t)) < 0)
        return too_many(b, part.n.out);
    rc = eng_tfl_finish(&part);
    if (rc < 0)
        return rc;
    part.in[0] = part.n.out;
    part.n.out = target;
    part.n.op = ENG_OP_RESHAPE;
    return eng_tfl_finish(&part);
}

int eng_tfl_table(struct eng_tfl_build *b, int x, int out, const int64_t *begin,
                  const int64_t *step, const int64_t *count)
{
    int v[3][ENG_MAX_RANK] = {{0}};
    for (int i = 0; i < eng_tfl_at(b, x)->rank; i++) {
        v[0][i] = (int)begin[i];
        v[1][i] = (int)step[i];
        v[2][i] = (int)count[i];
    }
    return add_slice(b, x, out, v[0], v[1], v[2]);
}

int eng_tfl_unpack(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_SLICE, 1);
    if (rc < 0)
        return rc;
    struct eng_tensor x = *eng_tfl_at(b, b->in[0]);
    int axis = eng_tfl_option(b, 1, 0);
    axis = axis < 0 ? axis + x.rank : axis;
    if (x.data || axis < 0 || axis >= x.rank || x.dim[axis] != b->op->n_out)
        return eng_tfl_fail(b, ENG_E_DATA, "its outputs do not fit its axis");
    for (int i = 0; i < b->op->n_out; i++) {
        int begin[ENG_MAX_RANK] = {0}, step[ENG_MAX_RANK] = {0}, count[ENG_MAX_RANK] = {0};
        for (int k = 0; k < x.rank; k++) {
            begin[k] = k == axis ? i : 0;
            step[k] = 1;
            count[k] = k == axis ? 1 : x.dim[k];
        }
        rc = add_slice(b, b->in[0], i, begin, step, count);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int eng_tfl_gather_nd(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_PICK, 2);
    if (rc < 0)
        return rc;
    if (b->in[1] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    b->n.axis = -1;
    return eng_tfl_finish(b);
}

/* How often is known by the output's shape. One pixel over a map is a resize of it. */
int eng_tfl_tile(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_TILE, 1);
    if (rc < 0)
        return rc;
    if (eng_tfl_is_shape_only(b, b->in[0]))
        return eng_tfl_shape_arithmetic(b);
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]), *y = eng_tfl_at(b, b->n.out);
    if (x->rank == 4 && y->rank == 4 && x->dim[0] == 1 && y->dim[0] == 1 && x->dim[1] == 1 &&
        x->dim[2] == 1 && x->dim[3] == y->dim[3]) {
        b->n.op = ENG_OP_RESIZE;
        b->n.nearest = 1;
    }
    return eng_tfl_finish(b);
}
