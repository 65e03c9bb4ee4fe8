/* TFLite operators that enlarge maps or deal them out: transposed convolutions, SPACE_TO_BATCH_ND
 * and BATCH_TO_SPACE_ND. Both become an ordinary convolution.
 *
 * A transposed convolution is one with its kernel turned round, over the input with zeros between
 * its pixels (Dumoulin, Visin: A guide to convolution arithmetic, section 4). Dealing a map out to
 * several images, convolving each and collecting it again is a dilated convolution (that is what
 * TensorFlow writes it as). */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/graph/check.h"

/* ---- transposed convolution ---- */

/* Weights [O,KH,KW,I] with rows and columns backwards, as a constant of its own. */
static int turned(struct eng_tfl_build *b, int t)
{
    struct eng_tensor w = *eng_tfl_at(b, t);
    int small = w.type == ENG_F16 || w.type == ENG_I8 || w.type == ENG_U8;
    int as_float = eng_tfl_at(b, b->in[0])->type == ENG_F32;
    if (!w.data || w.rank != 4)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its weights are not a constant of four axes");
    int rc = as_float && small ? eng_tfl_to_float(b->f, &w) : 0;
    if (rc < 0)
        return rc;
    size_t pixel = (size_t)w.dim[3] * eng_type_size(w.type);
    size_t taps = (size_t)w.dim[1] * (size_t)w.dim[2];
    char *to = eng_graph_alloc_constant(b->f->g, (size_t)w.dim[0] * taps, pixel);
    if (!to)
        return eng_tfl_no_memory(b->f);
    const char *from = w.data;
    for (size_t o = 0; o < (size_t)w.dim[0]; o++)
        for (size_t k = 0; k < taps; k++)
            memcpy(to + (o * taps + k) * pixel, from + (o * taps + taps - 1 - k) * pixel, pixel);
    w.data = to;
    rc = eng_graph_add_tensor(b->f->g, &w);
    return rc < 0 ? eng_tfl_fail(b, rc, "the graph has too many tensors") : rc;
}

/* Zeros between the pixels; the tensor, or a failure. */
static int spread(const struct eng_tfl_build *b, int x, int sh, int sw)
{
    struct eng_tfl_build s = {.f = b->f, .op = b->op};
    struct eng_tensor t = *eng_tfl_at(b, x);
    if (sh == 1 && sw == 1)
        return x;
    int64_t h = ((int64_t)t.dim[1] - 1) * sh + 1, w = ((int64_t)t.dim[2] - 1) * sw + 1;
    if (h > ENG_MAX_DIM || w > ENG_MAX_DIM)
        return eng_tfl_fail(b, ENG_E_LIMIT, "its output is too large");
    t.dim[1] = (int32_t)h;
    t.dim[2] = (int32_t)w;
    t.data = NULL;
    s.n = (struct eng_node){.op = ENG_OP_SPREAD, .n_in = 1, .name = b->n.name};
    s.n.lo = -INFINITY;
    s.n.hi = INFINITY;
    s.n.win.sh = sh;
    s.n.win.sw = sw;
    s.in[0] = x;
    if ((s.n.out = eng_graph_add_tensor(b->f->g, &t)) < 0)
        return eng_tfl_fail(b, s.n.out, "the graph has too many tensors");
    int rc = eng_tfl_finish(&s);
    return rc < 0 ? rc : s.n.out;
}

/* Padding of the convolution along an axis; 0, or -1: the output is of no size that this makes. */
static int pads_of(int in, int out, int k, int stride, int same, int *before, int *after)
{
    int64_t wide = ((int64_t)in - 1) * stride + 1, cut = wide + k - 1 - out;
    int64_t front = same && cut > 0 ? cut / 2 : 0;
    int64_t behind = out - wide - (k - 1 - front) + k - 1;
    if (front > k - 1 || behind < 0 || behind > k - 1 + stride - 1 || behind > ENG_MAX_WINDOW)
        return -1;
    *before = (int)(k - 1 - front);
    *after = (int)behind;
    return 0;
}

/* x, weights and bias are in b->in; the output has its shape in the file. */
static int add_transposed(struct eng_tfl_build *b, int same, int sh, int sw)
{
    struct eng_tensor x = *eng_tfl_at(b, b->in[0]), y = *eng_tfl_at(b, b->n.out);
    if (b->in[1] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it has no weights");
    int w = turned(b, b->in[1]);
    if (w < 0)
        return w;
    struct eng_window *win = &b->n.win;
    *win = (struct eng_window){.kh = eng_tfl_at(b, w)->dim[1],
                               .kw = eng_tfl_at(b, w)->dim[2],
                               .sh = 1,
                               .sw = 1,
                               .dh = 1,
                               .dw = 1};
    if (x.rank != 4 || y.rank != 4 || sh < 1 || sw < 1 || sh > ENG_MAX_WINDOW ||
        sw > ENG_MAX_WINDOW || win->kh > ENG_MAX_WINDOW || win->kw > ENG_MAX_WINDOW)
        return eng_tfl_fail(b, ENG_E_DATA, "its window or stride is out of range");
    if (pads_of(x.dim[1], y.dim[1], win->kh, sh, same, &win->top, &win->bottom) < 0 ||
        pads_of(x.dim[2], y.dim[2], win->kw, sw, same, &win->left, &win->right) < 0)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its output has a size that it does not make");
    int from = spread(b, b->in[0], sh, sw);
    if (from < 0)
        return from;
    b->in[0] = from;
    b->in[1] = w;
    b->n.op = ENG_OP_CONV;
    b->n.groups = 1;
    b->n.n_in = 3;
    return eng_tfl_finish(b);
}

/* Output shape, weights, input, bias or none. */
int eng_tfl_transpose_conv(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_CONV, 0);
    if (rc < 0)
        return rc;
    static const int places[3] = {2, 1, 3};
    for (int i = 0; i < 3; i++) {
        b->in[i] = -1;
        if (places[i] < b->op->n_in && b->op->in[places[i]] != -1 &&
            (b->in[i] = eng_tfl_tensor(b->f, b->op->in[places[i]])) < 0)
            return b->in[i];
    }
    if (b->in[0] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    int8_t scheme = eng_fb_i8(&b->f->fb, &b->op->options, 0, 0);
    if (scheme != 0 && scheme != 1)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "unknown padding scheme");
    if (b->op->n_in > 3 && (rc = eng_tfl_activation(b, 3)) < 0)
        return rc;
    return add_transposed(b, scheme == 0, eng_tfl_option(b, 2, 0), eng_tfl_option(b, 1, 0));
}

/* MediaPipe's: input, weights, bias. Its options are TfLiteTransposeConvParams as it lies in
 * memory: padding (1 same, 2 valid), stride along the width, along the height. */
int eng_tfl_transpose_conv_bias(struct eng_tfl_build *b)
{
    int32_t v[3];
    int rc = eng_tfl_begin(b, ENG_OP_CONV, 3);
    if (rc < 0)
        return rc;
    if (b->op->custom.n < sizeof(v))
        return eng_tfl_fail(b, ENG_E_DATA, "its options are too short");
    memcpy(v, b->f->fb.bytes + b->op->custom.at, sizeof(v));
    struct eng_tensor *bias = b->in[2] < 0 ? NULL : eng_tfl_at(b, b->in[2]);
    if (bias && bias->data && bias->type == ENG_F16 && (rc = eng_tfl_to_float(b->f, bias)) < 0)
        return rc;
    if (v[0] != 1 && v[0] != 2)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "unknown padding scheme");
    return add_transposed(b, v[0] == 1, v[2], v[1]);
}

/* ---- space to batch and back ---- */

static int four_or_fewer(struct eng_tfl_build *b, int input, int64_t *ret, int n)
{
    int have = b->op->n_in > input ? eng_tfl_integers(b->f, b->op->in[input], ret, n) : 0;
    if (have < 0)
        return have;
    for (int i = 0; i < have; i++)
        if (ret[i] < 0 || ret[i] > ENG_MAX_WINDOW)
            return eng_tfl_fail(b, ENG_E_DATA, "its blocks or its padding are out of range");
    return have == n ? 0
                     : eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it does not deal out height and width");
}

int eng_tfl_space_to_batch(struct eng_tfl_build *b)
{
    struct eng_tfl_space *s = &b->f->space;
    int rc = eng_tfl_begin(b, ENG_OP_CONV, 1);
    if (rc < 0 || (rc = four_or_fewer(b, 1, s->block, 2)) < 0 ||
        (rc = four_or_fewer(b, 2, s->pads, 4)) < 0)
        return rc;
    if (s->block[0] < 1 || s->block[1] < 1)
        return eng_tfl_fail(b, ENG_E_DATA, "its blocks or its padding are out of range");
    s->x = b->in[0];
    s->file = b->op->out[0];
    s->has_conv = 0;
    return 0;
}

int eng_tfl_dealt(struct eng_tfl_build *b)
{
    struct eng_tfl_space *s = &b->f->space;
    struct eng_window *w = &b->n.win;
    if (b->op->n_in < 1 || s->file < 0 || b->op->in[0] != s->file || s->has_conv)
        return 0;
    if (w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1 ||
        eng_fb_i8(&b->f->fb, &b->op->options, 0, 0) != 1)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED,
                            "of images dealt out, only steps of 1 without padding are supported");
    b->in[0] = s->x;
    w->dh = (int)s->block[0];
    w->dw = (int)s->block[1];
    return 1;
}

void eng_tfl_wait_for_space(const struct eng_tfl_build *b)
{
    b->f->space.conv = b->n;
    memcpy(b->f->space.in, b->in, sizeof(b->f->space.in));
    b->f->space.file = b->op->out[0];
    b->f->space.has_conv = 1;
}

int eng_tfl_batch_to_space(struct eng_tfl_build *b)
{
    struct eng_tfl_space *s = &b->f->space;
    int64_t block[2], crops[4];
    int rc = eng_tfl_begin(b, ENG_OP_CONV, 1);
    if (rc < 0 || (rc = four_or_fewer(b, 1, block, 2)) < 0 ||
        (rc = four_or_fewer(b, 2, crops, 4)) < 0)
        return rc;
    if (!s->has_conv || b->op->in[0] != s->file || block[0] != s->block[0] ||
        block[1] != s->block[1])
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED,
                            "only the result of one convolution of images dealt out is collected");
    const struct eng_tensor *made = eng_tfl_at(b, s->conv.out), *y = eng_tfl_at(b, b->n.out);
    if (made->type != y->type || !eng_same_quant(made, y))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its input and output differ in scale");
    for (int i = 0; i < 4; i++)
        if (crops[i] > s->pads[i])
            return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it cuts off more than was padded");
    struct eng_tfl_build conv = *b;
    conv.n = s->conv;
    conv.n.out = b->n.out;
    memcpy(conv.in, s->in, sizeof(s->in));
    conv.n.win.top = (int)(s->pads[0] - crops[0]);
    conv.n.win.bottom = (int)(s->pads[1] - crops[1]);
    conv.n.win.left = (int)(s->pads[2] - crops[2]);
    conv.n.win.right = (int)(s->pads[3] - crops[3]);
    s->file = -1;
    s->has_conv = 0;
    return eng_tfl_finish(&conv);
}
