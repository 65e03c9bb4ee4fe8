/* ONNX operators that choose among channels (Split, Slice, a channel shuffle), and Resize. */
#include "engine/importers/onnx.h"

#include <math.h>
#include <string.h>

#include "engine/importers/onnx.pb-c.h"

/* ---- choosing channels ---- */

/* The output is channels which[0 .. n-1] of input i, axis 1 of ONNX. */
static int gather(struct eng_onnx_op *op, const int32_t *which, int n)
{
    struct eng_graph *g = op->f->g;
    struct eng_tensor like, t = {.name = op->n.name, .type = ENG_I32, .rank = 1, .dim = {n}};
    enum eng_onnx_order order = op->v[0]->rank == 4 ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN;
    int moved = eng_onnx_moved(op, order, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, order, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    int32_t *data = eng_graph_alloc_constant(g, (size_t)n, sizeof(*data));
    if (!data)
        return eng_onnx_no_memory(op);
    memcpy(data, which, (size_t)n * sizeof(*data));
    t.data = data;
    t.size = (size_t)n * sizeof(*data);
    if ((op->in[1] = eng_graph_add_tensor(g, &t)) < 0)
        return eng_onnx_fail(op, op->in[1], "the graph has too many tensors");
    op->n.op = ENG_OP_GATHER;
    op->n.n_in = 2;
    return eng_onnx_emit(op, order, moved ? &like : NULL);
}

/* Memory for a list of channels; NULL, and *rc says why. */
static int32_t *new_list(struct eng_onnx_op *op, int n, int *rc)
{
    enum { MAX_CHOSEN = 1 << 24 };
    if (n > MAX_CHOSEN - op->f->chosen) {
        *rc = eng_onnx_fail(op, ENG_E_LIMIT, "the file chooses among too many channels");
        return NULL;
    }
    op->f->chosen += n;
    int32_t *which = eng_graph_alloc(op->f->scratch, (size_t)n, sizeof(*which));
    if (!which)
        *rc = eng_onnx_no_memory(op);
    return which;
}

/* Channels from, from + step, ... */
static int range(struct eng_onnx_op *op, int from, int step, int n)
{
    int rc = 0;
    int32_t *which = new_list(op, n, &rc);
    if (!which)
        return rc;
    for (int i = 0; i < n; i++)
        which[i] = from + i * step;
    return gather(op, which, n);
}

/* A computed image or row, cut along its channels; 0 or a failure. */
static int check_channels(const struct eng_onnx_op *op, int64_t axis)
{
    const struct eng_onnx_value *x = op->n_in > 0 ? op->v[0] : NULL;
    if (!x || (x->rank != 4 && x->rank != 2))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is neither one image nor a row");
    if (axis != 1 && axis != 1 - x->rank)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "only channels can be cut");
    return 0;
}

/* Lengths of the parts: said, or as equal as they can be. */
static int parts_of(struct eng_onnx_op *op, int n, int64_t *ret)
{
    int64_t channels = op->v[0]->dim[1], each = (channels + n - 1) / n, sum = 0;
    int said = op->n_in > 1 && op->v[1] ? eng_onnx_list(op, 1, ret, ENG_MAX_INPUTS)
                                        : eng_onnx_ints(op, "split", ret, ENG_MAX_INPUTS);
    if (said < 0)
        return said;
    for (int i = 0; i < n && !said; i++)
        ret[i] = i + 1 < n ? each : channels - each * (n - 1);
    for (int i = 0; i < n; i++) {
        if ((said && said != n) || ret[i] < 1 || ret[i] > channels)
            return eng_onnx_fail(op, ENG_E_DATA, "its parts do not fit its input");
        sum += ret[i];
    }
    return sum == channels ? 0 : eng_onnx_fail(op, ENG_E_DATA, "its parts do not fit its input");
}

int eng_onnx_split(struct eng_onnx_op *op)
{
    int64_t length[ENG_MAX_INPUTS];
    int n = (int)(op->p->n_output < ENG_MAX_INPUTS ? op->p->n_output : ENG_MAX_INPUTS);
    int rc = check_channels(op, eng_onnx_int(op, "axis", 0)), from = 0;
    if (rc >= 0)
        rc = parts_of(op, n, length);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++) {
        const char *name = op->p->output[i];
        struct eng_onnx_op part = *op;
        part.out = name && *name ? eng_onnx_find(op->f, name) : NULL;
        if (part.out && (rc = range(&part, from, 1, (int)length[i])) < 0)
            return rc;
        if (part.out)
            part.out->ready = 1;
        from += (int)length[i];
    }
    return 0;
}

static int one(struct eng_onnx_op *op, int i, const char *name, int64_t otherwise, int64_t *ret)
{
    int n;
    *ret = otherwise;
    if (op->n_in > 1)
        n = eng_onnx_list(op, i, ret, 1);
    else
        n = eng_onnx_ints(op, name, ret, 1);
    return n;
}

int eng_onnx_gather_channels(struct eng_onnx_op *op)
{
    int rc = check_channels(op, eng_onnx_int(op, "axis", 0));
    const struct eng_onnx_value *v = op->n_in > 1 ? op->v[1] : NULL;
    size_t n =
        rc == 0 && v && v->data && v->rank == 1 && v->stored == ENG_I64 ? eng_onnx_elements(v) : 0;
    if (rc < 0)
        return rc;
    if (n < 1 || n > ENG_MAX_DIM)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its indices are not a constant list");
    int32_t *which = new_list(op, (int)n, &rc);
    if (!which)
        return rc;
    for (size_t i = 0; i < n; i++) {
        int64_t at = ((const int64_t *)v->data)[i], c = op->v[0]->dim[1];
        if (at < -c || at >= c)
            return eng_onnx_fail(op, ENG_E_DATA, "its index is %lld", (long long)at);
        which[i] = (int32_t)(at < 0 ? at + c : at);
    }
    return gather(op, which, (int)n);
}

int eng_onnx_cuts_channels(struct eng_onnx_op *op)
{
    int64_t axes[ENG_MAX_RANK];
    const struct eng_onnx_value *x = op->v[0];
    int n = op->n_in > 1 ? eng_onnx_list(op, 3, axes, ENG_MAX_RANK)
                         : eng_onnx_ints(op, "axes", axes, ENG_MAX_RANK);
    return n == 1 && (x->rank == 4 || x->rank == 2) && (axes[0] == 1 || axes[0] == 1 - x->rank);
}

int eng_onnx_slice_channels(struct eng_onnx_op *op)
{
    int64_t start, end, axis, step;
    int rc;
    rc = one(op, 1, "starts", 0, &start);
    if (rc >= 0)
        rc = one(op, 2, "ends", 0, &end);
    if (rc >= 0)
        rc = one(op, 3, "axes", 0, &axis);
    if (rc >= 0)
        rc = one(op, 4, "steps", 1, &step);
    if (rc >= 0)
        rc = check_channels(op, axis);
    if (rc < 0)
        return rc;
    int64_t c = op->v[0]->dim[1];
    start = start < 0 ? start + c : start;
    end = end < 0 ? end + c : end;
    start = start < 0 ? 0 : start;
    end = end > c ? c : end;
    if (step < 1 || step > c || start >= end)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it leaves nothing, or goes backwards");
    return range(op, (int)start, (int)step, (int)((end - start + step - 1) / step));
}

/* The node that makes v, if it is of this type. */
static const Onnx__NodeProto *maker(const struct eng_onnx *f, const struct eng_onnx_value *v,
                                    const char *type)
{
    const Onnx__NodeProto *p = v && v->maker >= 0 ? f->model->graph->node[v->maker] : NULL;
    return p && p->op_type && p->n_input > 0 && strcmp(p->op_type, type) == 0 ? p : NULL;
}

/* Whether a Transpose exchanges groups and channels of a group. */
static int exchanges(const struct eng_onnx_op *op, const Onnx__NodeProto *transpose)
{
    static const int64_t want[5] = {0, 2, 1, 3, 4};
    struct eng_onnx_op at = {.f = op->f, .p = transpose, .index = op->index, .type = "Transpose"};
    int64_t perm[ENG_MAX_RANK];
    return eng_onnx_ints(&at, "perm", perm, ENG_MAX_RANK) == 5 &&
           memcmp(perm, want, sizeof(want)) == 0;
}

/* Reshape to groups, exchange of the two axes, Reshape back: the third is asked. 1: done. */
int eng_onnx_shuffle(struct eng_onnx_op *op, int rank, const int32_t *dim)
{
    const struct eng_onnx_value *turned = op->v[0];
    const Onnx__NodeProto *t = maker(op->f, turned, "Transpose");
    struct eng_onnx_value *split = t ? eng_onnx_find(op->f, t->input[0]) : NULL;
    const Onnx__NodeProto *r = maker(op->f, split, "Reshape");
    struct eng_onnx_value *x = r ? eng_onnx_find(op->f, r->input[0]) : NULL;
    if (!x || x->data || x->rank != 4 || split->rank != 5 || rank != 4 ||
        memcmp(dim, x->dim, sizeof(x->dim[0]) * 4) != 0 || split->dim[3] != x->dim[2] ||
        split->dim[4] != x->dim[3] || split->dim[0] != 1 || turned->dim[1] != split->dim[2] ||
        turned->dim[2] != split->dim[1] || turned->dim[3] != x->dim[2] ||
        turned->dim[4] != x->dim[3] || !exchanges(op, t))
        return 0;
    int groups = split->dim[1], each = split->dim[2], c = x->dim[1], rc = 0;
    int32_t *which = new_list(op, c, &rc);
    if (!which)
        return rc;
    for (int i = 0; i < c; i++)
        which[i] = i % groups * each + i / groups;
    op->v[0] = x;
    rc = gather(op, which, c);
    return rc < 0 ? rc : 1;
}

/* ---- Resize ---- */

/* Height and width of the output, from sizes or scales. */
static int size_of(struct eng_onnx_op *op, int32_t ret[2])
{
    const struct eng_onnx_value *x = op->v[0];
    int64_t sizes[4];
    int at = strcmp(op->type, "Upsample") == 0 ? 1 : 2;
    int n = op->n_in > 3 && op->v[3] ? eng_onnx_list(op, 3, sizes, 4) : 0;
    const struct eng_onnx_value *s = at < op->n_in ? op->v[at] : NULL;
    if (n < 0)
        return n;
    if (n == 0 && (!s || !s->data || s->type != ENG_F32 || eng_onnx_elements(s) != 4))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its scales are not four constant numbers");
    if (n != 0 && n != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its sizes are not four");
    for (int i = 0; i < 4; i++) {
        double size =
            n ? (double)sizes[i] : floor((double)x->dim[i] * (double)eng_onnx_real(s, (size_t)i));
        if (!(size >= 1 && size <= ENG_MAX_DIM) || (i < 2 && (int)size != x->dim[i]))
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "dimension %d would be %g", i, size);
        /* Coordinates go by the scale that the file says, ours by the sizes: the same if exact. */
        if (!n && (double)x->dim[i] * (double)eng_onnx_real(s, (size_t)i) != size)
            return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its scales make no whole pixels");
        if (i >= 2)
            ret[i - 2] = (int32_t)size;
    }
    return 0;
}

/* Ours are the pixel below, and, of half pixels, the one in which the middle lies. */
static int picks_ours(const struct eng_onnx_op *op, const int32_t size[2], int asymmetric, int half)
{
    int whole = size[0] % op->v[0]->dim[2] == 0 && size[1] % op->v[0]->dim[3] == 0;
    int below = strcmp(op->type, "Upsample") == 0 || op->f->opset < 11 ||
                eng_onnx_is(op, "nearest_mode", "floor");
    int rounds = !below && !eng_onnx_is(op, "nearest_mode", "ceil");
    return (asymmetric && below) || (half && rounds && whole);
}

static int mode_of(struct eng_onnx_op *op, const int32_t size[2])
{
    const char *transform = "coordinate_transformation_mode";
    int upsample = strcmp(op->type, "Upsample") == 0 || op->f->opset < 11;
    int asymmetric = upsample || eng_onnx_is(op, transform, "asymmetric");
    int corners = eng_onnx_is(op, transform, "align_corners");
    int pytorch = eng_onnx_is(op, transform, "pytorch_half_pixel");
    int half = !asymmetric && !corners && !pytorch;
    if (eng_onnx_is(op, transform, "tf_crop_and_resize") ||
        eng_onnx_is(op, transform, "half_pixel_symmetric") ||
        (pytorch && (size[0] == 1 || size[1] == 1)))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its coordinate mode is not supported");
    if (eng_onnx_is(op, "mode", "cubic") || eng_onnx_int(op, "antialias", 0) != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it is cubic, or against aliases");
    op->n.align_corners = corners;
    op->n.half_pixel = half || pytorch;
    op->n.nearest = !eng_onnx_is(op, "mode", "linear") && !eng_onnx_is(op, "mode", "bilinear");
    if (op->n.nearest && !picks_ours(op, size, asymmetric, half))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it picks nearest pixels in another way");
    return 0;
}

int eng_onnx_resize(struct eng_onnx_op *op)
{
    struct eng_tensor like;
    int32_t size[2];
    int rc;
    if (op->n_in < 1 || !op->v[0] || op->v[0]->rank != 4)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its input is not one image");
    rc = size_of(op, size);
    if (rc >= 0)
        rc = mode_of(op, size);
    if (rc < 0)
        return rc;
    int moved = eng_onnx_moved(op, ENG_ONNX_IMAGE, &like);
    if (moved < 0 || (op->in[0] = eng_onnx_form(op, 0, ENG_ONNX_IMAGE, !moved)) < 0)
        return moved < 0 ? moved : op->in[0];
    op->shape.rank = 4;
    op->shape.dim[0] = 1;
    op->shape.dim[1] = size[0];
    op->shape.dim[2] = size[1];
    op->shape.dim[3] = op->v[0]->dim[1];
    op->n.op = ENG_OP_RESIZE;
    op->n.n_in = 1;
    return eng_onnx_emit(op, ENG_ONNX_IMAGE, moved ? &like : NULL);
}
