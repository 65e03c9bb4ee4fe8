/* TFLite operators that choose among channels, the last axis: SPLIT, SPLIT_V, STRIDED_SLICE, SLICE
 * and GATHER, each a list of channels. Of integers they compute shapes, which the file states. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <string.h>

/* Converters compute the argument of a reshape at run time; the file states its result. */
int eng_tfl_shape_arithmetic(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_RESHAPE, 0);
    if (rc < 0)
        return rc;
    const struct eng_tensor *out = eng_tfl_at(b, b->n.out);
    if (out->type != ENG_I32 && out->type != ENG_I64)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it is supported for shapes alone");
    return 0;
}

/* 1: its output is a list of integers; 0 or a failure. */
static int computes_shape(struct eng_tfl_build *b)
{
    int t = eng_tfl_tensor(b->f, b->op->out[0]);
    if (t < 0)
        return t;
    enum eng_type type = b->f->g->tensors[t].type;
    return type == ENG_I32 || type == ENG_I64;
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
    if ((rc = eng_graph_add_tensor(b->f->g, &t)) < 0)
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

/* Channels of graph tensor x if `axis` counts them, or a failure. */
static int channels_of(const struct eng_tfl_build *b, int x, int64_t axis)
{
    const struct eng_tensor *t = x < 0 ? NULL : eng_tfl_at(b, x);
    if (!t || t->rank < 1)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    if (axis != t->rank - 1 && axis != -1)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "only channels can be cut");
    return t->dim[t->rank - 1];
}

/* ---- parts ---- */

static int add_parts(const struct eng_tfl_build *b, int x, int channels, const int64_t *length)
{
    int from = 0;
    for (int i = 0; i < b->op->n_out; i++) {
        int rc = range(b, x, i, from, 1, (int)length[i]);
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
    if (rc < 0 || (rc = eng_tfl_integers(b->f, b->op->in[0], &axis, 1)) < 0)
        return rc;
    int channels = channels_of(b, b->in[1], axis);
    if (channels < 0)
        return channels;
    if (channels % n != 0)
        return eng_tfl_fail(b, ENG_E_DATA, "its parts do not fit its input");
    for (int i = 0; i < n; i++)
        length[i] = channels / n;
    return add_parts(b, b->in[1], channels, length);
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
    int channels = channels_of(b, b->in[0], axis);
    if (channels < 0)
        return channels;
    if (n != b->op->n_out)
        return eng_tfl_fail(b, ENG_E_DATA, "it has another number of parts than of outputs");
    rc = lengths_of(b, channels, length, n);
    return rc < 0 ? rc : add_parts(b, b->in[0], channels, length);
}

/* ---- slices ---- */

/* begin, end and step of every axis, inside the input: all but the last must be whole. */
static int cut(const struct eng_tfl_build *b, const int64_t *begin, const int64_t *end,
               const int64_t *step)
{
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    int last = x->rank - 1;
    for (int i = 0; i < last; i++)
        if (begin[i] != 0 || end[i] != x->dim[i] || (step[i] != 1 && x->dim[i] != 1))
            return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "only channels can be cut");
    if (step[last] < 1 || step[last] > x->dim[last] || begin[last] < 0 ||
        begin[last] >= end[last] || end[last] > x->dim[last])
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it leaves nothing, or goes backwards");
    int n = (int)((end[last] - begin[last] + step[last] - 1) / step[last]);
    return range(b, b->in[0], 0, (int)begin[last], (int)step[last], n);
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
    if (eng_tfl_option(b, 2, 0) || eng_tfl_option(b, 3, 0) || eng_tfl_option(b, 4, 0) ||
        eng_tfl_flag(b, 5))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it makes or drops an axis");
    int open = eng_tfl_option(b, 0, 0), whole = eng_tfl_option(b, 1, 0);
    for (int i = 0; i < rank; i++) {
        int dim = eng_tfl_at(b, b->in[0])->dim[i];
        v[0][i] = i >= n[0] || open >> i & 1 ? 0 : inside(v[0][i], dim);
        v[1][i] = i >= n[0] || whole >> i & 1 ? dim : inside(v[1][i], dim);
        v[2][i] = i >= n[0] ? 1 : v[2][i];
    }
    return cut(b, v[0], v[1], v[2]);
}

int eng_tfl_gather(struct eng_tfl_build *b)
{
    int rc = computes_shape(b);
    if (rc != 0)
        return rc < 0 ? rc : eng_tfl_shape_arithmetic(b);
    if ((rc = eng_tfl_begin(b, ENG_OP_GATHER, 2)) < 0)
        return rc;
    int channels = channels_of(b, b->in[0], eng_tfl_option(b, 0, 0));
    if (channels < 0)
        return channels;
    const struct eng_tensor *t = b->in[1] < 0 ? NULL : eng_tfl_at(b, b->in[1]);
    if (!t || !t->data || t->type != ENG_I32 || t->rank != 1 || eng_tfl_option(b, 1, 0))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its indices are not a constant list");
    return choose(b, b->in[0], 0, t->data, t->dim[0]);
}
