/* TFLite operators that choose among channels, the last axis: SPLIT, SPLIT_V, STRIDED_SLICE, SLICE
 * and GATHER, each a list of channels. Of integers they compute shapes, which the file states. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <string.h>

/* 1: its output is a list of integers that only lead to a shape; 0 or a failure. */
static int computes_shape(struct eng_tfl_build *b)
{
    int t = eng_tfl_tensor(b->f, b->op->out[0]);
    int x = t < 0 || b->op->n_in < 1 ? -1 : eng_tfl_tensor(b->f, b->op->in[0]);
    if (t < 0 || (x < 0 && b->op->n_in > 0))
        return t < 0 ? t : x;
    enum eng_type type = b->f->g->tensors[t].type;
    return (type == ENG_I32 || type == ENG_I64) &&
           (x < 0 || b->f->g->tensors[x].data || eng_tfl_is_shape_only(b, x));
}

/* The node for one output: channels which[0 .. n-1] of graph tensor x. The list becomes the node's.
 */
static int choose(const struct eng_tfl_build *b, int x, int out, const int32_t *which, int n)
{
    struct eng_tfl_build part = *b;
    struct eng_tensor t = {.type = ENG_I32, .rank = 1, .dim = {n}};
    int rc = eng_tfl_output(&part, b->op->out[out]);
    if (rc < 0)
        return rc;
    t.name = part.n.name;
    t.data = which;
    t.size = (size_t)n * sizeof(*which);
    rc = eng_graph_add_tensor(b->f->g, &t);
    if (rc < 0)
        return eng_tfl_fail(&part, rc, "the graph has too many tensors");
    part.n.n_in = 2;
    part.in[0] = x;
    part.in[1] = rc;
    return eng_tfl_finish(&part);
}

/* Channels from, from + step, ... */
static int range(const struct eng_tfl_build *b, int x, int out, int from, int step, int n)
{
    if (n > ENG_TFL_MAX_CHOSEN - b->f->chosen)
        return eng_tfl_fail(b, ENG_E_LIMIT, "the file chooses among too many channels");
    b->f->chosen += n;
    int32_t *which = eng_graph_alloc_constant(b->f->g, (size_t)n, sizeof(*which));
    if (!which)
        return eng_tfl_fail(b, -ENOMEM, "not enough memory");
    for (int i = 0; i < n; i++)
        which[i] = from + i * step;
    return choose(b, x, out, which, n);
}

/* Length of graph tensor x along *axis, which becomes positive, or a failure. */
static int length_along(const struct eng_tfl_build *b, int x, int64_t *axis)
{
    const struct eng_tensor *t = x < 0 ? NULL : eng_tfl_at(b, x);
    if (!t || t->rank < 1)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    *axis = *axis < 0 ? *axis + t->rank : *axis;
    if (*axis < 0 || *axis >= t->rank)
        return eng_tfl_fail(b, ENG_E_DATA, "its axis is out of range");
    return t->dim[*axis];
}

/* `n` elements along the axis. */
static int add_part(struct eng_tfl_build *b, int x, int out, int64_t axis, int from, int n)
{
    const struct eng_tensor *t = eng_tfl_at(b, x);
    int64_t begin[ENG_MAX_RANK] = {0}, step[ENG_MAX_RANK], count[ENG_MAX_RANK];
    int image = t->rank == 4 && t->dim[0] == 1;
    if (axis == t->rank - 1 && (image || eng_tensor_elements(t) == (size_t)t->dim[t->rank - 1]))
        return range(b, x, out, from, 1, n);
    for (int i = 0; i < t->rank; i++) {
        step[i] = 1;
        count[i] = t->dim[i];
    }
    begin[axis] = from;
    count[axis] = n;
    return eng_tfl_table(b, x, out, begin, step, count);
}

/* ---- parts ---- */

static int add_parts(struct eng_tfl_build *b, int x, int64_t axis, int channels,
                     const int64_t *length)
{
    int from = 0;
    for (int i = 0; i < b->op->n_out; i++) {
        int rc = length[i] > channels - from
                     ? eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input")
                     : add_part(b, x, i, axis, from, (int)length[i]);
        if (rc < 0)
            return rc;
        from += (int)length[i];
    }
    return from == channels ? 0 : eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input");
}

int eng_tfl_split(struct eng_tfl_build *b)
{
    int64_t axis, length[ENG_MAX_INPUTS];
    int rc = eng_tfl_begin(b, ENG_OP_GATHER, 2), n = b->op->n_out;
    if (rc >= 0)
        rc = eng_tfl_integers(b->f, b->op->in[0], &axis, 1);
    if (rc < 0)
        return rc;
    int channels = length_along(b, b->in[1], &axis);
    if (channels < 0)
        return channels;
    if (channels % n != 0)
        return eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input");
    for (int i = 0; i < n; i++)
        length[i] = channels / n;
    return add_parts(b, b->in[1], axis, channels, length);
}

/* One length may be -1: what the others leave. */
static int lengths_of(const struct eng_tfl_build *b, int channels, int64_t *length, int n)
{
    int64_t left = channels;
    int open = -1;
    for (int i = 0; i < n; i++) {
        if (length[i] == -1 && open < 0)
            open = i;
        else if (length[i] < 1 || (left -= length[i]) < 0)
            return eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input");
    }
    if (open >= 0)
        length[open] = left;
    if (open >= 0 ? left < 1 : left != 0)
        return eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input");
    return 0;
}

int eng_tfl_split_v(struct eng_tfl_build *b)
{
    int64_t axis, length[ENG_MAX_INPUTS];
    int rc = eng_tfl_begin(b, ENG_OP_GATHER, 1);
    if (rc < 0)
        return rc;
    if (b->op->n_in < 3)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    int n = eng_tfl_integers(b->f, b->op->in[1], length, ENG_MAX_INPUTS);
    if (n < 0 || (rc = eng_tfl_integers(b->f, b->op->in[2], &axis, 1)) < 0)
        return n < 0 ? n : rc;
    int channels = length_along(b, b->in[0], &axis);
    if (channels < 0)
        return channels;
    if (n != b->op->n_out)
        return eng_tfl_fail(b, ENG_E_DATA, "it has another number of parts than of outputs");
    rc = lengths_of(b, channels, length, n);
    return rc < 0 ? rc : add_parts(b, b->in[0], axis, channels, length);
}

/* ---- slices ---- */

/* Only channels of one image or vector, and its output has all of its axes. */
static int cuts_channels(const struct eng_tfl_build *b, const int64_t *count)
{
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    int image = x->rank == 4 && x->dim[0] == 1;
    size_t channels = (size_t)x->dim[x->rank - 1];
    for (int i = 0; i < x->rank - 1; i++)
        if (count[i] != x->dim[i])
            return 0;
    return (image || eng_tensor_elements(x) == channels) &&
           eng_tfl_at(b, b->n.out)->rank == x->rank;
}

/* begin, end and step of every axis, inside the input. */
static int cut(struct eng_tfl_build *b, const int64_t *begin, const int64_t *end, int64_t *step)
{
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    int64_t count[ENG_MAX_RANK];
    int last = x->rank - 1;
    for (int i = 0; i <= last; i++) {
        if (step[i] < 1 || begin[i] < 0 || begin[i] >= end[i] || end[i] > x->dim[i])
            return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it leaves nothing, or goes backwards");
        step[i] = step[i] > x->dim[i] ? x->dim[i] : step[i];
        count[i] = (end[i] - begin[i] + step[i] - 1) / step[i];
    }
    if (!cuts_channels(b, count))
        return eng_tfl_table(b, b->in[0], 0, begin, step, count);
    return range(b, b->in[0], 0, (int)begin[last], (int)step[last], (int)count[last]);
}

static int begin_cut(struct eng_tfl_build *b, int inputs)
{
    int rc = eng_tfl_begin(b, ENG_OP_GATHER, 1);
    if (rc < 0)
        return rc;
    if (b->op->n_in < inputs || eng_tfl_at(b, b->in[0])->rank < 1)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    return eng_tfl_at(b, b->in[0])->rank;
}

int eng_tfl_slice(struct eng_tfl_build *b)
{
    int64_t begin[ENG_MAX_RANK], size[ENG_MAX_RANK], step[ENG_MAX_RANK];
    int rc = computes_shape(b);
    if (rc != 0)
        return rc < 0 ? rc : eng_tfl_shape_arithmetic(b);
    int rank = begin_cut(b, 3);
    if (rank < 0)
        return rank;
    int n = eng_tfl_integers(b->f, b->op->in[1], begin, ENG_MAX_RANK);
    int m = n < 0 ? n : eng_tfl_integers(b->f, b->op->in[2], size, ENG_MAX_RANK);
    if (m < 0)
        return m;
    if (n != rank || m != rank)
        return eng_tfl_fail(b, ENG_E_DATA, "its ends have another rank than its input");
    for (int i = 0; i < rank; i++) {
        int dim = eng_tfl_at(b, b->in[0])->dim[i];
        if (begin[i] < 0 || begin[i] >= dim || size[i] < -1 || size[i] > dim - begin[i])
            return eng_tfl_fail(b, ENG_E_DATA, "it leaves its input");
        size[i] = size[i] == -1 ? dim : begin[i] + size[i];
        step[i] = 1;
    }
    return cut(b, begin, size, step);
}

/* As TensorFlow counts: from the back if negative, then inside. */
static int64_t inside(int64_t at, int64_t dim)
{
    at = at < 0 ? at + dim : at;
    return at < 0 ? 0 : at > dim ? dim : at;
}

int eng_tfl_strided_slice(struct eng_tfl_build *b)
{
    int64_t v[3][ENG_MAX_RANK];
    int rc = computes_shape(b), n[3];
    if (rc != 0)
        return rc < 0 ? rc : eng_tfl_shape_arithmetic(b);
    int rank = begin_cut(b, 4);
    if (rank < 0)
        return rank;
    for (int i = 0; i < 3; i++)
        if ((n[i] = eng_tfl_integers(b->f, b->op->in[i + 1], v[i], ENG_MAX_RANK)) < 0)
            return n[i];
    if (n[0] > rank || n[1] != n[0] || n[2] != n[0])
        return eng_tfl_fail(b, ENG_E_DATA, "its ends have another rank than its input");
    if (eng_tfl_option(b, 2, 0) || eng_tfl_option(b, 3, 0) || eng_tfl_flag(b, 5))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it makes an axis");
    int one = eng_tfl_option(b, 4, 0); /* places of which one element is taken, and the axis goes */
    int open = eng_tfl_option(b, 0, 0), whole = eng_tfl_option(b, 1, 0);
    for (int i = 0; i < rank; i++) {
        int dim = eng_tfl_at(b, b->in[0])->dim[i];
        v[0][i] = i >= n[0] || open >> i & 1 ? 0 : inside(v[0][i], dim);
        v[1][i] = i >= n[0] || whole >> i & 1 ? dim : inside(v[1][i], dim);
        v[2][i] = i >= n[0] ? 1 : v[2][i];
        if (i < n[0] && one >> i & 1)
            v[1][i] = v[0][i] + 1;
    }
    return cut(b, v[0], v[1], v[2]);
}

/* 1: not a constant choice of channels but of rows, or of what is computed; it is added. */
static int as_pick(struct eng_tfl_build *b)
{
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    int axis = eng_tfl_option(b, 0, 0);
    if (b->in[1] < 0 || eng_tfl_option(b, 1, 0))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its indices come in batches, or not at all");
    const struct eng_tensor *at = eng_tfl_at(b, b->in[1]);
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis == x->rank - 1 && at->data && at->type == ENG_I32 && at->rank == 1)
        return 0;
    b->n.op = ENG_OP_PICK;
    b->n.axis = axis < 0 ? ENG_MAX_RANK : axis;
    int rc = eng_tfl_finish(b);
    return rc < 0 ? rc : 1;
}

int eng_tfl_gather(struct eng_tfl_build *b)
{
    int rc = computes_shape(b);
    if (rc != 0)
        return rc < 0 ? rc : eng_tfl_shape_arithmetic(b);
    rc = eng_tfl_begin(b, ENG_OP_GATHER, 2);
    if (rc < 0)
        return rc;
    rc = as_pick(b);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    const struct eng_tensor *t = eng_tfl_at(b, b->in[1]);
    return choose(b, b->in[0], 0, t->data, t->dim[0]);
}
