/* Shape inference: what each operator makes of its inputs' shapes. All sums in 64 bits, every
 * window bounded before it is used. */
#include "engine/graph/check.h"
#include "engine/postprocess.h"

static int shape4(struct eng_tensor *ret, int64_t h, int64_t w, int64_t ch)
{
    ret->rank = 4;
    ret->dim[0] = 1;
    ret->dim[1] = (int32_t)h;
    ret->dim[2] = (int32_t)w;
    ret->dim[3] = (int32_t)ch;
    return 0;
}

static void copy_shape(struct eng_tensor *ret, const struct eng_tensor *t)
{
    ret->rank = t->rank;
    for (int i = 0; i < t->rank; i++)
        ret->dim[i] = t->dim[i];
}

static int is_image(const struct eng_tensor *t)
{
    return t->rank == 4 && t->dim[0] == 1;
}

static int in_range(int v, int lo)
{
    return v >= lo && v <= ENG_MAX_WINDOW;
}

static int check_window(const struct eng_check *c)
{
    const struct eng_window *w = &c->n->win;
    if (!in_range(w->kh, 1) || !in_range(w->kw, 1) || !in_range(w->sh, 1) || !in_range(w->sw, 1) ||
        !in_range(w->dh, 1) || !in_range(w->dw, 1) || !in_range(w->top, 0) ||
        !in_range(w->bottom, 0) || !in_range(w->left, 0) || !in_range(w->right, 0))
        return eng_check_fail(c, ENG_E_DATA, "window %dx%d, stride %d,%d or padding out of range",
                              w->kh, w->kw, w->sh, w->sw);
    return 0;
}

int eng_same_padding(int in, int k, int stride, int dilation, int *ret_before, int *ret_after)
{
    int64_t reach = (int64_t)(k - 1) * dilation + 1, out = ((int64_t)in + stride - 1) / stride;
    int64_t all = (out - 1) * stride + reach - in;
    if (all < 0)
        all = 0;
    if (all > 2 * ENG_MAX_WINDOW)
        return ENG_E_LIMIT;
    *ret_before = (int)(all / 2);
    *ret_after = (int)(all - all / 2);
    return 0;
}

static int64_t slide(int64_t in, int before, int after, int k, int stride, int dilation)
{
    int64_t reach = (int64_t)(k - 1) * dilation + 1, all = in + before + after;
    return all < reach ? 0 : (all - reach) / stride + 1;
}

static int windowed(const struct eng_check *c, const struct eng_tensor *x, int64_t channels,
                    struct eng_tensor *ret)
{
    const struct eng_window *w = &c->n->win;
    int rc = check_window(c);
    if (rc < 0)
        return rc;
    if (!is_image(x))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its input %.80s is not one image", x->name);
    int64_t h = slide(x->dim[1], w->top, w->bottom, w->kh, w->sh, w->dh);
    int64_t wd = slide(x->dim[2], w->left, w->right, w->kw, w->sw, w->dw);
    if (h < 1 || wd < 1)
        return eng_check_fail(c, ENG_E_DATA, "its window %dx%d is larger than the image %dx%d",
                              w->kh, w->kw, x->dim[1], x->dim[2]);
    return shape4(ret, h, wd, channels);
}

static int conv_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *w = eng_check_in(c, 1);
    const struct eng_node *n = c->n;
    if (w->rank != 4 || w->dim[1] != n->win.kh || w->dim[2] != n->win.kw)
        return eng_check_fail(c, ENG_E_DATA, "its weights %.80s have another shape", w->name);
    if (x->rank != 4 || n->groups < 1 || n->groups > w->dim[0] || w->dim[0] % n->groups != 0 ||
        (int64_t)w->dim[3] * n->groups != x->dim[3])
        return eng_check_fail(c, ENG_E_DATA, "its weights %.80s do not fit the input's channels",
                              w->name);
    return windowed(c, x, w->dim[0], ret);
}

static int depthwise_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *w = eng_check_in(c, 1);
    const struct eng_node *n = c->n;
    if (w->rank != 4 || w->dim[0] != 1 || w->dim[1] != n->win.kh || w->dim[2] != n->win.kw)
        return eng_check_fail(c, ENG_E_DATA, "its weights %.80s have another shape", w->name);
    if (x->rank != 4 || n->multiplier < 1 || (int64_t)x->dim[3] * n->multiplier != w->dim[3])
        return eng_check_fail(c, ENG_E_DATA, "its weights %.80s do not fit the input's channels",
                              w->name);
    return windowed(c, x, w->dim[3], ret);
}

/* A file may keep leading dimensions of 1 in what a fully connected layer makes. */
static int fc_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *w = eng_check_in(c, 1);
    const struct eng_tensor *out = eng_check_out(c);
    if (w->rank != 2 || (size_t)w->dim[1] != eng_tensor_elements(x))
        return eng_check_fail(c, ENG_E_DATA, "its weights %.80s do not fit the input", w->name);
    if (out->rank > 2 && out->dim[out->rank - 1] == w->dim[0] &&
        eng_tensor_elements(out) == (size_t)w->dim[0]) {
        copy_shape(ret, out);
        return 0;
    }
    ret->rank = 2;
    ret->dim[0] = 1;
    ret->dim[1] = w->dim[0];
    return 0;
}

static int pool_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    const struct eng_window *w = &c->n->win;
    if (w->top >= w->kh || w->bottom >= w->kh || w->left >= w->kw || w->right >= w->kw)
        return eng_check_fail(c, ENG_E_DATA, "its padding is as large as its window");
    return windowed(c, x, x->rank == 4 ? x->dim[3] : 0, ret);
}

static int mean_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *out = eng_check_out(c);
    if (!is_image(x))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its input %.80s is not one image", x->name);
    if (out->rank != 2)
        return shape4(ret, 1, 1, x->dim[3]);
    ret->rank = 2;
    ret->dim[0] = 1;
    ret->dim[1] = x->dim[3];
    return 0;
}

/* The second operand has the first's shape, one value a channel, or one value. */
static int binary_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *a = eng_check_in(c, 0), *b = eng_check_in(c, 1);
    size_t n = eng_tensor_elements(b);
    int per_channel = a->rank > 0 && b->rank > 0 && b->rank <= a->rank &&
                      n == (size_t)a->dim[a->rank - 1] && b->dim[b->rank - 1] == (int32_t)n;
    if (!eng_same_shape(a, b) && !per_channel && n != 1)
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "the shapes of %.80s and %.80s do not fit",
                              a->name, b->name);
    copy_shape(ret, a);
    return 0;
}

static int concat_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *first = eng_check_in(c, 0);
    int axis = c->n->axis;
    if (axis < 0 || axis >= first->rank)
        return eng_check_fail(c, ENG_E_DATA, "its axis is %d", axis);
    int64_t sum = 0;
    for (int i = 0; i < c->n->n_in; i++) {
        const struct eng_tensor *t = eng_check_in(c, i);
        if (t->rank != first->rank)
            return eng_check_fail(c, ENG_E_DATA, "its inputs have shapes that do not fit");
        for (int d = 0; d < t->rank; d++)
            if (d != axis && t->dim[d] != first->dim[d])
                return eng_check_fail(c, ENG_E_DATA, "its inputs have shapes that do not fit");
        sum += t->dim[axis];
    }
    if (sum > ENG_MAX_DIM || (axis == 0 && sum != 1))
        return eng_check_fail(c, ENG_E_LIMIT, "its output is too large");
    copy_shape(ret, first);
    ret->dim[axis] = (int32_t)sum;
    return 0;
}

static int pad_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    const struct eng_window *w = &c->n->win;
    if (!is_image(x))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its input %.80s is not one image", x->name);
    const int pads[] = {w->top, w->bottom, w->left, w->right, w->front, w->back};
    for (size_t i = 0; i < sizeof(pads) / sizeof(*pads); i++)
        if (!in_range(pads[i], 0))
            return eng_check_fail(c, ENG_E_DATA, "its padding is out of range");
    return shape4(ret, (int64_t)x->dim[1] + w->top + w->bottom,
                  (int64_t)x->dim[2] + w->left + w->right, (int64_t)x->dim[3] + w->front + w->back);
}

/* The importer resolved the wanted shape into the output. */
static int reshape_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *out = eng_check_out(c);
    if (out->rank == 0 || eng_tensor_elements(out) != eng_tensor_elements(x))
        return eng_check_fail(c, ENG_E_DATA, "%.80s does not have as many elements as its input",
                              out->name);
    copy_shape(ret, out);
    return 0;
}

static int transpose_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    unsigned seen = 0;
    ret->rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        int p = c->n->perm[i];
        if (p < 0 || p >= x->rank || (seen & 1u << p))
            return eng_check_fail(c, ENG_E_DATA, "its permutation is none");
        seen |= 1u << p;
        ret->dim[i] = x->dim[p];
    }
    return 0;
}

static int resize_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *out = eng_check_out(c);
    if (!is_image(x) || !is_image(out) || x->dim[3] != out->dim[3])
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "it does not make one image of one image");
    copy_shape(ret, out);
    return 0;
}

static int gather_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *which = eng_check_in(c, 1);
    if (x->rank < 1 || which->rank != 1)
        return eng_check_fail(c, ENG_E_DATA, "its input has no channels, or its indices no list");
    copy_shape(ret, x);
    ret->dim[x->rank - 1] = which->dim[0];
    return 0;
}

/* An axis of 1 repeats, and so does one that the other operand has in front. */
static int arith_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *a = eng_check_in(c, 0), *b = eng_check_in(c, 1);
    ret->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= ret->rank; i++) {
        int da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1)
            return eng_check_fail(c, ENG_E_UNSUPPORTED, "the shapes of %.80s and %.80s do not fit",
                                  a->name, b->name);
        ret->dim[ret->rank - i] = da > db ? da : db;
    }
    return 0;
}

static int argmax_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    if (c->n->axis < 0 || c->n->axis >= x->rank)
        return eng_check_fail(c, ENG_E_DATA, "its axis is %d", c->n->axis);
    ret->rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != c->n->axis)
            ret->dim[ret->rank++] = x->dim[i];
    return 0;
}

static int slice_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    const struct eng_node *n = c->n;
    ret->rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        int64_t last = n->begin[i] + (int64_t)n->step[i] * (n->count[i] - 1);
        if (n->count[i] < 1 || n->begin[i] < 0 || n->begin[i] >= x->dim[i] || last < 0 ||
            last >= x->dim[i])
            return eng_check_fail(c, ENG_E_DATA, "it leaves its input along axis %d", i);
        ret->dim[i] = n->count[i];
    }
    return 0;
}

static int pick_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *at = eng_check_in(c, 1);
    int axis = c->n->axis, depth = 1, rank = at->rank;
    if (axis == -1) {
        depth = at->rank > 0 ? at->dim[--rank] : 0;
        axis = 0;
    }
    if (axis < 0 || depth < 1 || axis + depth > x->rank || rank + x->rank - depth > ENG_MAX_RANK)
        return eng_check_fail(c, ENG_E_DATA, "its indices do not fit its input");
    ret->rank = 0;
    for (int i = 0; i < axis; i++)
        ret->dim[ret->rank++] = x->dim[i];
    for (int i = 0; i < rank; i++)
        ret->dim[ret->rank++] = at->dim[i];
    for (int i = axis + depth; i < x->rank; i++)
        ret->dim[ret->rank++] = x->dim[i];
    return 0;
}

/* The importer resolved how often into the output. */
static int tile_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *out = eng_check_out(c);
    int more = out->rank - x->rank;
    if (out->rank == 0 || more < 0)
        return eng_check_fail(c, ENG_E_DATA, "its output has too few dimensions");
    for (int i = 0; i < x->rank; i++)
        if (out->dim[i + more] % x->dim[i] != 0)
            return eng_check_fail(c, ENG_E_DATA, "axis %d is not repeated in whole", i);
    copy_shape(ret, out);
    return 0;
}

static int spread_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    const struct eng_window *w = &c->n->win;
    if (!is_image(x))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its input %.80s is not one image", x->name);
    if (!in_range(w->sh, 1) || !in_range(w->sw, 1))
        return eng_check_fail(c, ENG_E_DATA, "its stride is out of range");
    int64_t h = ((int64_t)x->dim[1] - 1) * w->sh + 1, wide = ((int64_t)x->dim[2] - 1) * w->sw + 1;
    if (h > ENG_MAX_DIM || wide > ENG_MAX_DIM)
        return eng_check_fail(c, ENG_E_LIMIT, "its output is too large");
    return shape4(ret, h, wide, x->dim[3]);
}

static int detections_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *boxes = eng_check_in(c, 0), *scores = eng_check_in(c, 1);
    const struct eng_detect_options *o = c->n->detect;
    size_t n = eng_tensor_elements(boxes) / 4;
    if (boxes->rank < 1 || boxes->dim[boxes->rank - 1] != 4 || scores->rank < 1 ||
        eng_tensor_elements(scores) / (size_t)scores->dim[scores->rank - 1] != n)
        return eng_check_fail(c, ENG_E_DATA, "%.80s does not have a row for each box of %.80s",
                              scores->name, boxes->name);
    if (eng_tensor_elements(eng_check_in(c, 2)) != 4 * n)
        return eng_check_fail(c, ENG_E_DATA, "there are %zu boxes and %zu anchors", n,
                              eng_tensor_elements(eng_check_in(c, 2)) / 4);
    const char *wrong =
        o ? eng_detect_wrong(o, n, scores->dim[scores->rank - 1]) : "it has no options";
    if (wrong)
        return eng_check_fail(c, ENG_E_DATA, "%s", wrong);
    ret->rank = 2;
    ret->dim[0] = 1;
    ret->dim[1] = 6 * eng_detect_rows(o) + 1;
    return 0;
}

static int same_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    copy_shape(ret, eng_check_in(c, 0));
    return 0;
}

static int per_channel_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    const struct eng_tensor *x = eng_check_in(c, 0);
    if (x->rank < 1)
        return eng_check_fail(c, ENG_E_DATA, "its input has no channels");
    for (int i = 1; i < c->n->n_in; i++) {
        const struct eng_tensor *t = eng_check_in(c, i);
        if (eng_tensor_elements(t) != (size_t)x->dim[x->rank - 1] || t->rank < 1 ||
            t->dim[t->rank - 1] != x->dim[x->rank - 1])
            return eng_check_fail(c, ENG_E_DATA, "%.80s does not have one value a channel",
                                  t->name);
    }
    return same_shape(c, ret);
}

int eng_check_shape(const struct eng_check *c, struct eng_tensor *ret)
{
    static int (*const rules[ENG_OP_COUNT])(const struct eng_check *, struct eng_tensor *) = {
#define OP(id, name, kind, least, most, shape, ...) [ENG_OP_##id] = shape,
#include "engine/graph/ops.def"
    };
    return rules[c->n->op](c, ret);
}
