/* ONNX operators that only give the same elements another shape, and the arithmetic on shapes that
 * exporters leave in a file (Shape, Gather, Slice, ...), which is done here. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <string.h>

#include "engine/importers/onnx.pb-c.h"

enum { MAX_LIST = 64 }; /* of shape arithmetic */

/* ---- the same elements in another shape ---- */

static int same_dims(const struct eng_onnx_value *v, int rank, const int32_t *dim)
{
    return v->rank == rank && memcmp(v->dim, dim, (size_t)rank * sizeof(*dim)) == 0;
}

/* `dim` in ONNX's order; the elements are known to be as many. */
static int reshape_to(struct eng_onnx_op *op, int rank, const int32_t *dim)
{
    struct eng_onnx_value *x = op->v[0];
    if (x->data || same_dims(x, rank, dim)) {
        int rc = eng_onnx_alias(op, x);
        if (x->data && x->quant.n > 1 && !same_dims(x, rank, dim))
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s has a scale for each channel",
                                 x->name);
        op->out->rank = rank;
        memcpy(op->out->dim, dim, (size_t)rank * sizeof(*dim));
        return rc;
    }
    /* One pixel: both orders are the same bytes. */
    int from_pixel = x->rank == 4 && x->dim[2] == 1 && x->dim[3] == 1;
    int to_pixel = rank == 4 && dim[2] == 1 && dim[3] == 1;
    enum eng_onnx_order from = from_pixel ? eng_onnx_order_of(x) : ENG_ONNX_PLAIN;
    enum eng_onnx_order to = to_pixel ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    struct eng_tensor like;
    int moved = eng_onnx_moved(op, from, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, from, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    op->shape.rank = rank;
    memcpy(op->shape.dim, dim, (size_t)rank * sizeof(*dim));
    if (to_pixel) {
        op->shape.dim[1] = op->shape.dim[2] = 1;
        op->shape.dim[3] = dim[1];
    }
    op->n.op = ENG_OP_RESHAPE;
    op->n.n_in = 1;
    return eng_onnx_emit(op, to, moved ? &like : NULL);
}

int eng_onnx_flatten(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    int64_t axis = eng_onnx_int(op, "axis", 1);
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis > x->rank)
        return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axis);
    int64_t before = 1, all = (int64_t)eng_onnx_elements(x);
    for (int i = 0; i < axis; i++)
        before *= x->dim[i];
    if (before < 1 || before > ENG_MAX_DIM || all / before > ENG_MAX_DIM)
        return eng_onnx_fail(op, ENG_E_LIMIT, "its output is too large");
    return reshape_to(op, 2, (int32_t[2]){(int32_t)before, (int32_t)(all / before)});
}

/* 0: the input's dimension there; -1: what is left. */
int eng_onnx_reshape(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    int64_t want[ENG_MAX_RANK], all, rest = 1;
    int32_t dim[ENG_MAX_RANK];
    int open = -1;
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    int rank = eng_onnx_list(op, 1, want, ENG_MAX_RANK),
        zeros = eng_onnx_int(op, "allowzero", 0) != 0;
    if (rank < 0)
        return rank;
    all = (int64_t)eng_onnx_elements(x);
    for (int i = 0; i < rank; i++) {
        if (want[i] == 0 && !zeros && i < x->rank)
            want[i] = x->dim[i];
        if (want[i] == -1 && open < 0) {
            open = i;
            continue;
        }
        if (want[i] < 1 || want[i] > ENG_MAX_DIM || (rest *= want[i]) > ENG_MAX_ELEMENTS)
            return eng_onnx_fail(op, ENG_E_DATA, "its dimension %d is %lld", i, (long long)want[i]);
    }
    if (open >= 0)
        want[open] = all / rest;
    if (rank == 0 || (open >= 0 ? all / rest * rest : rest) != all || all / rest > ENG_MAX_DIM)
        return eng_onnx_fail(op, ENG_E_DATA,
                             "its shape does not have as many elements as its input");
    for (int i = 0; i < rank; i++)
        dim[i] = (int32_t)want[i];
    int rc = eng_onnx_shuffle(op, rank, dim);
    return rc < 0 ? rc : rc ? 0 : reshape_to(op, rank, dim);
}

/* The axes, each once, counted in a rank of `rank`; a bit each. */
static int axes_of(struct eng_onnx_op *op, int rank, unsigned *ret)
{
    int64_t axes[ENG_MAX_RANK];
    int n = op->n_in > 1 ? eng_onnx_list(op, 1, axes, ENG_MAX_RANK)
                         : eng_onnx_ints(op, "axes", axes, ENG_MAX_RANK);
    *ret = 0;
    for (int i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank || (*ret & 1u << axis))
            return eng_onnx_fail(op, ENG_E_DATA, "its axis is %lld", (long long)axes[i]);
        *ret |= 1u << axis;
    }
    return n;
}

int eng_onnx_squeeze(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    int32_t dim[2 * ENG_MAX_RANK];
    int rank = 0, out = strcmp(op->type, "Unsqueeze") == 0, n;
    unsigned axes;
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    if (!out) {
        if ((n = axes_of(op, x->rank, &axes)) < 0)
            return n;
        for (int i = 0; i < x->rank; i++) {
            int goes = n == 0 ? x->dim[i] == 1 : axes >> i & 1;
            if (goes && x->dim[i] != 1)
                return eng_onnx_fail(op, ENG_E_DATA, "its axis %d has %d elements", i, x->dim[i]);
            if (!goes)
                dim[rank++] = x->dim[i];
        }
        return reshape_to(op, rank, dim);
    }
    /* How many axes come is known only with them: each is counted in the new rank. */
    int64_t list[ENG_MAX_RANK];
    n = op->n_in > 1 ? eng_onnx_list(op, 1, list, ENG_MAX_RANK)
                     : eng_onnx_ints(op, "axes", list, ENG_MAX_RANK);
    if (n < 0)
        return n;
    if (n == 0 || n + x->rank > ENG_MAX_RANK)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it makes %d dimensions", n + x->rank);
    if ((rank = axes_of(op, n + x->rank, &axes)) < 0)
        return rank;
    for (int i = 0, k = 0; i < n + x->rank; i++)
        dim[i] = axes >> i & 1 ? 1 : x->dim[k++];
    return reshape_to(op, n + x->rank, dim);
}

/* ---- Transpose ---- */

static int permutation(struct eng_onnx_op *op, int rank, int perm[ENG_MAX_RANK])
{
    int64_t p[ENG_MAX_RANK];
    int n = eng_onnx_ints(op, "perm", p, ENG_MAX_RANK);
    unsigned seen = 0;
    if (n < 0)
        return n;
    for (int i = 0; i < rank; i++) {
        if (n == 0)
            p[i] = rank - 1 - i;
        if ((n != 0 && n != rank) || p[i] < 0 || p[i] >= rank || (seen & 1u << p[i]))
            return eng_onnx_fail(op, ENG_E_DATA, "its permutation is none");
        seen |= 1u << p[i];
        perm[i] = (int)p[i];
    }
    return 0;
}

/* Only another name where the value already stands in that order. */
static int renamed(struct eng_onnx_op *op, const int *perm)
{
    static const int to_plain[4] = {0, 3, 1, 2}, to_image[4] = {0, 2, 3, 1};
    const struct eng_onnx_value *x = op->v[0];
    if (x->rank != 4)
        return 0;
    int from = memcmp(perm, to_image, sizeof(to_image)) == 0   ? ENG_ONNX_IMAGE
               : memcmp(perm, to_plain, sizeof(to_plain)) == 0 ? ENG_ONNX_PLAIN
                                                               : -1;
    if (from < 0 || x->at[from] < 0)
        return 0;
    struct eng_onnx_value *out = op->out;
    (void)eng_onnx_alias(op, x);
    out->at[from] = out->real[from] = -1;
    out->at[1 - from] = x->at[from];
    out->real[1 - from] = x->real[from];
    for (int i = 0; i < 4; i++)
        out->dim[i] = x->dim[perm[i]];
    return 1;
}

int eng_onnx_transpose(struct eng_onnx_op *op)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    int perm[ENG_MAX_RANK] = {0}, rc;
    struct eng_tensor like;
    if (!x)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    rc = permutation(op, x->rank, perm);
    if (rc < 0)
        return rc;
    if (x->data)
        return eng_onnx_permuted(op, x, perm);
    if (renamed(op, perm))
        return 0;
    int moved = eng_onnx_moved(op, ENG_ONNX_PLAIN, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_PLAIN, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    op->n.op = ENG_OP_TRANSPOSE;
    op->n.n_in = 1;
    memcpy(op->n.perm, perm, sizeof(perm));
    return eng_onnx_emit(op, ENG_ONNX_PLAIN, moved ? &like : NULL);
}

/* ---- arithmetic on shapes ---- */

static int answer(struct eng_onnx_op *op, const int64_t *v, int n, int rank)
{
    int64_t *to = eng_graph_alloc(op->f->scratch, (size_t)n + 1, sizeof(*to));
    if (!to)
        return eng_onnx_no_memory(op);
    memcpy(to, v, (size_t)n * sizeof(*to));
    op->out->data = to;
    op->out->type = op->out->stored = ENG_I64;
    op->out->rank = rank;
    op->out->dim[0] = n;
    return 0;
}

int eng_onnx_shape(struct eng_onnx_op *op)
{
    int64_t dim[ENG_MAX_RANK];
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    if (!x || eng_onnx_int(op, "start", 0) != 0 || eng_onnx_int(op, "end", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "only the whole shape is supported");
    for (int i = 0; i < x->rank; i++)
        dim[i] = x->dim[i];
    return answer(op, dim, x->rank, 1);
}

int eng_onnx_gather(struct eng_onnx_op *op)
{
    if (op->n_in > 0 && op->v[0] && !op->v[0]->data)
        return eng_onnx_gather_channels(op);
    int64_t of[MAX_LIST], which[MAX_LIST], out[MAX_LIST];
    int n = eng_onnx_list(op, 0, of, MAX_LIST);
    if (n < 0)
        return n;
    int k = eng_onnx_list(op, 1, which, MAX_LIST);
    if (k < 0)
        return k;
    if (op->n_in != 2 || !op->v[0] || !op->v[1] || op->v[0]->rank != 1 || op->v[1]->rank > 1 ||
        eng_onnx_int(op, "axis", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is supported for shapes alone");
    for (int i = 0; i < k; i++) {
        int64_t at = which[i] < 0 ? which[i] + n : which[i];
        if (at < 0 || at >= n)
            return eng_onnx_fail(op, ENG_E_DATA, "its index is %lld", (long long)which[i]);
        out[i] = of[at];
    }
    return answer(op, out, k, op->v[1]->rank);
}

int eng_onnx_concat_lists(struct eng_onnx_op *op)
{
    int64_t all[MAX_LIST];
    int n = 0;
    for (int i = 0; i < op->n_in; i++) {
        int k = eng_onnx_list(op, i, all + n, MAX_LIST - n);
        if (k < 0)
            return k;
        n += k;
    }
    return answer(op, all, n, 1);
}

static int64_t bounded(int64_t v, int n)
{
    v = v < 0 && v >= -n ? v + n : v;
    return v < 0 ? 0 : v > n ? n : v;
}

int eng_onnx_slice(struct eng_onnx_op *op)
{
    if (op->n_in > 0 && op->v[0] && !op->v[0]->data)
        return eng_onnx_cuts_channels(op) ? eng_onnx_slice_channels(op) : eng_onnx_slice_table(op);
    int64_t of[MAX_LIST], start[2] = {0}, end[2] = {0}, axis[2] = {0}, step[2] = {1};
    int n = eng_onnx_list(op, 0, of, MAX_LIST), rc[4] = {0};
    if (n < 0)
        return n;
    int as_inputs = op->n_in > 1;
    rc[0] = as_inputs ? eng_onnx_list(op, 1, start, 1) : eng_onnx_ints(op, "starts", start, 1);
    rc[1] = as_inputs ? eng_onnx_list(op, 2, end, 1) : eng_onnx_ints(op, "ends", end, 1);
    rc[2] = as_inputs ? eng_onnx_list(op, 3, axis, 1) : eng_onnx_ints(op, "axes", axis, 1);
    rc[3] = eng_onnx_list(op, 4, step, 1);
    for (int i = 0; i < 4; i++)
        if (rc[i] < 0)
            return rc[i];
    if (rc[0] != 1 || rc[1] != 1 || (axis[0] != 0 && axis[0] != -1) || step[0] != 1)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is supported for shapes alone");
    int64_t from = bounded(start[0], n), to = bounded(end[0], n);
    return answer(op, of + from, to > from ? (int)(to - from) : 0, 1);
}

int eng_onnx_cast(struct eng_onnx_op *op)
{
    int64_t list[MAX_LIST], to = eng_onnx_int(op, "to", 0);
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    if (x && x->type == ENG_F32 && to == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
        return eng_onnx_alias(op, x);
    if (!x ||
        (to != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 && to != ONNX__TENSOR_PROTO__DATA_TYPE__INT32))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it makes element type %lld", (long long)to);
    int n = eng_onnx_list(op, 0, list, MAX_LIST);
    return n < 0 ? n : answer(op, list, n, x->rank);
}
