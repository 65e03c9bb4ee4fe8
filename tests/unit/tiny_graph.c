/* See tiny_graph.h. */
#include "tests/unit/tiny_graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

unsigned tiny_random(struct tiny *t, unsigned below)
{
    t->seed = t->seed * 1664525u + 1013904223u;
    return (t->seed >> 8) % below;
}

float tiny_unit(struct tiny *t)
{
    return (float)tiny_random(t, 20001) / 10000.0f - 1.0f;
}

int tiny_typed(struct tiny *t, enum eng_type type, float scale, int zero_point)
{
    struct eng_tensor e = {.name = "t", .type = type, .producer = -1};
    if (type != ENG_F32) {
        float *s = eng_graph_alloc(t->g, 1, sizeof(*s));
        int32_t *z = eng_graph_alloc(t->g, 1, sizeof(*z));
        assert_non_null(s);
        assert_non_null(z);
        *s = scale;
        *z = zero_point;
        e.quant = (struct eng_quant){.n = 1, .scale = s, .zero_point = z};
    }
    int index = eng_graph_add_tensor(t->g, &e);
    assert_true(index >= 0);
    return index;
}

int tiny_tensor(struct tiny *t, float scale, int zero_point)
{
    return tiny_typed(t, t->type, scale, zero_point);
}

void tiny_begin(struct tiny *t, enum eng_type type, int h, int w, int c, unsigned seed)
{
    memset(t, 0, sizeof(*t));
    t->seed = seed;
    t->type = type;
    assert_int_equal(eng_graph_create(&t->g), 0);
    t->t = tiny_tensor(
        t, 0.02f, type == ENG_I8 ? (int)tiny_random(t, 60) - 40 : 100 + (int)tiny_random(t, 60));
    struct eng_tensor *in = &t->g->tensors[t->t];
    in->rank = 4;
    in->dim[0] = 1;
    in->dim[1] = t->h = h;
    in->dim[2] = t->w = w;
    in->dim[3] = t->c = c;
    t->g->input = t->t;
}

struct eng_node tiny_op(enum eng_op op)
{
    return (struct eng_node){.name = "n",
                             .op = op,
                             .lo = -INFINITY,
                             .hi = INFINITY,
                             .win = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
                             .groups = 1,
                             .multiplier = 1,
                             .alpha = 0.25f,
                             .beta = 1.0f};
}

int tiny_node(struct tiny *t, struct eng_node n, const int *in, int n_in, int out)
{
    n.in = eng_graph_alloc(t->g, (size_t)n_in, sizeof(*n.in));
    assert_non_null(n.in);
    memcpy(n.in, in, (size_t)n_in * sizeof(*n.in));
    n.n_in = n_in;
    n.out = out;
    assert_true(eng_graph_add_node(t->g, &n) >= 0);
    return t->t = out;
}

int tiny_constant(struct tiny *t, enum eng_type type, int rank, const int *dim, const void *data)
{
    struct eng_tensor e = {.name = "w", .type = type, .rank = rank, .producer = -1};
    size_t n = 1;
    for (int i = 0; i < rank; i++) {
        e.dim[i] = dim[i];
        n *= (size_t)dim[i];
    }
    e.size = n * eng_type_size(type);
    void *copy = eng_graph_alloc_constant(t->g, n, eng_type_size(type));
    assert_non_null(copy);
    memcpy(copy, data, e.size);
    e.data = copy;
    int index = eng_graph_add_tensor(t->g, &e);
    assert_true(index >= 0);
    return index;
}

/* ---- convolutions ---- */

static const struct eng_quant *quant_of(const struct tiny *t, int tensor)
{
    return &t->g->tensors[tensor].quant;
}

/* Weights of the graph's scheme; `channels` on axis. Their scale goes to *ret_scale (a typical
 * one).
 */
static int weights(struct tiny *t, const int dim[4], int rank, int axis, float *ret_scale)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= (size_t)dim[i];
    *ret_scale = 0.01f;
    if (t->type == ENG_F32) {
        float keep_size =
            1.7f / sqrtf((float)(n / (size_t)dim[axis])); /* activations stay near 1 */
        float *w = malloc(n * sizeof(*w));
        assert_non_null(w);
        for (size_t i = 0; i < n; i++)
            w[i] = tiny_unit(t) * keep_size;
        int index = tiny_constant(t, ENG_F32, rank, dim, w);
        free(w);
        return index;
    }
    unsigned char *w = malloc(n);
    assert_non_null(w);
    for (size_t i = 0; i < n; i++)
        w[i] = (unsigned char)tiny_random(t, 256);
    int index = tiny_constant(t, t->type, rank, dim, w);
    free(w);
    int q = t->type == ENG_I8 ? dim[axis] : 1;
    float *scale = eng_graph_alloc(t->g, (size_t)q, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(t->g, (size_t)q, sizeof(*zero));
    assert_non_null(scale);
    assert_non_null(zero);
    for (int i = 0; i < q; i++) {
        /* per channel: some dead channels, with a multiplier below 2^-32 */
        scale[i] = q > 1 && tiny_random(t, 8) == 0 ? 1e-15f : 0.01f * (1.0f + 0.5f * tiny_unit(t));
        zero[i] = t->type == ENG_I8 ? 0
                                    : (int32_t)(tiny_random(t, 2) ? 110 + tiny_random(t, 40)
                                                                  : 40 + tiny_random(t, 180));
    }
    t->g->tensors[index].quant = (struct eng_quant){q, axis, scale, zero};
    return index;
}

static int bias(struct tiny *t, int n)
{
    int32_t *q = malloc((size_t)n * sizeof(*q));
    float *f = malloc((size_t)n * sizeof(*f));
    assert_non_null(q);
    assert_non_null(f);
    for (int i = 0; i < n; i++) {
        q[i] = (int32_t)tiny_random(t, 40001) - 20000;
        f[i] = tiny_unit(t);
    }
    int index = t->type == ENG_F32 ? tiny_constant(t, ENG_F32, 1, &n, f)
                                   : tiny_constant(t, ENG_I32, 1, &n, q);
    free(q);
    free(f);
    return index;
}

/* The output of a layer of `k` products: sums of random terms spread over the range. */
static int output(struct tiny *t, float w_scale, int k)
{
    if (t->type == ENG_F32)
        return tiny_tensor(t, 0, 0);
    float sx = quant_of(t, t->t)->scale[0];
    int zero = t->type == ENG_I8 ? (int)tiny_random(t, 256) - 128 : (int)tiny_random(t, 256);
    return tiny_tensor(t, sx * w_scale * 86.0f * sqrtf((float)k), zero);
}

static void clamp_inside(struct tiny *t, struct eng_node *n, int out, int clamp)
{
    if (!clamp)
        return;
    float s = t->type == ENG_F32 ? 0.05f : quant_of(t, out)->scale[0];
    n->lo = tiny_random(t, 2) ? 0 : -s * (float)(10 + tiny_random(t, 60));
    n->hi = s * (float)(10 + tiny_random(t, 100));
}

/* SAME as TFLite resolves it: the smaller half before. */
static void same(int in, int k, int s, int d, int *ret_out, int *ret_before, int *ret_after)
{
    int reach = (k - 1) * d + 1, out = (in + s - 1) / s;
    int pad = (out - 1) * s + reach - in;
    pad = pad > 0 ? pad : 0;
    *ret_out = out;
    *ret_before = pad / 2;
    *ret_after = pad - pad / 2;
}

static void window(struct tiny *t, struct eng_node *n, int k, int s, int d)
{
    n->win = (struct eng_window){.kh = k, .kw = k, .sh = s, .sw = s, .dh = d, .dw = d};
    same(t->h, k, s, d, &t->h, &n->win.top, &n->win.bottom);
    same(t->w, k, s, d, &t->w, &n->win.left, &n->win.right);
}

int tiny_conv(struct tiny *t, int out_c, int k, int s, int d, int groups, int clamp)
{
    struct eng_node n = tiny_op(ENG_OP_CONV);
    float scale;
    int dim[4] = {out_c, k, k, t->c / groups};
    int w = weights(t, dim, 4, 0, &scale), b = tiny_random(t, 4) ? bias(t, out_c) : -1;
    int out = output(t, scale, k * k * t->c / groups);
    n.groups = groups;
    window(t, &n, k, s, d);
    clamp_inside(t, &n, out, clamp);
    t->c = out_c;
    return tiny_node(t, n, (int[]){t->t, w, b}, 3, out);
}

int tiny_depthwise(struct tiny *t, int k, int s, int multiplier, int clamp)
{
    struct eng_node n = tiny_op(ENG_OP_DEPTHWISE);
    float scale;
    int dim[4] = {1, k, k, t->c * multiplier};
    int w = weights(t, dim, 4, 3, &scale), b = tiny_random(t, 4) ? bias(t, dim[3]) : -1;
    int out = output(t, scale, k * k);
    n.multiplier = multiplier;
    window(t, &n, k, s, 1);
    clamp_inside(t, &n, out, clamp);
    t->c = dim[3];
    return tiny_node(t, n, (int[]){t->t, w, b}, 3, out);
}

int tiny_fc(struct tiny *t, int outputs)
{
    struct eng_node n = tiny_op(ENG_OP_FC);
    float scale;
    int inputs = t->h * t->w * t->c, dim[4] = {outputs, inputs};
    int w = weights(t, dim, 2, 0, &scale), b = bias(t, outputs);
    int out = output(t, scale, inputs);
    t->h = t->w = 1;
    t->c = outputs;
    return tiny_node(t, n, (int[]){t->t, w, b}, 3, out);
}

/* ---- the rest ---- */

static float scale_here(const struct tiny *t)
{
    return t->type == ENG_F32 ? 1.0f : quant_of(t, t->t)->scale[0];
}

static int zero_here(const struct tiny *t)
{
    return t->type == ENG_F32 ? 0 : quant_of(t, t->t)->zero_point[0];
}

static int like_here(struct tiny *t)
{
    return tiny_tensor(t, scale_here(t), zero_here(t));
}

int tiny_pool(struct tiny *t, enum eng_op op, int k, int s)
{
    struct eng_node n = tiny_op(op);
    int out = like_here(t);
    if (op == ENG_OP_MEAN && t->type != ENG_F32)
        out = tiny_tensor(t, scale_here(t) * 0.8f, t->type == ENG_I8 ? -7 : 121);
    if (k == 0) {
        n.win.kh = t->h;
        n.win.kw = t->w;
        t->h = t->w = 1;
    } else {
        window(t, &n, k, s, 1);
    }
    return tiny_node(t, n, &t->t, 1, out);
}

int tiny_add(struct tiny *t, int other)
{
    struct eng_node n = tiny_op(ENG_OP_ADD);
    float s = scale_here(t);
    if (t->type != ENG_F32 && quant_of(t, other)->scale[0] > s)
        s = quant_of(t, other)->scale[0];
    int out = tiny_tensor(t, s * 1.3f, t->type == ENG_I8 ? (int)tiny_random(t, 99) - 50 : 99);
    clamp_inside(t, &n, out, (int)tiny_random(t, 2));
    return tiny_node(t, n, (int[]){t->t, other}, 2, out);
}

int tiny_unary(struct tiny *t, enum eng_unary unary)
{
    struct eng_node n = tiny_op(ENG_OP_UNARY);
    n.unary = unary;
    int out = like_here(t);
    clamp_inside(t, &n, out, unary == ENG_UNARY_CLAMP);
    return tiny_node(t, n, &t->t, 1, out);
}

int tiny_softmax(struct tiny *t)
{
    int out = tiny_tensor(t, 1.0f / 256, t->type == ENG_I8 ? -128 : 0);
    return tiny_node(t, tiny_op(ENG_OP_SOFTMAX), &t->t, 1, out);
}

int tiny_reshape_flat(struct tiny *t)
{
    int out = like_here(t);
    struct eng_tensor *o = &t->g->tensors[out];
    o->rank = 2;
    o->dim[0] = 1;
    o->dim[1] = t->c = t->h * t->w * t->c;
    t->h = t->w = 1;
    return tiny_node(t, tiny_op(ENG_OP_RESHAPE), &t->t, 1, out);
}

int tiny_pad(struct tiny *t, int top, int bottom, int left, int right)
{
    struct eng_node n = tiny_op(ENG_OP_PAD);
    n.win.top = top;
    n.win.bottom = bottom;
    n.win.left = left;
    n.win.right = right;
    t->h += top + bottom;
    t->w += left + right;
    return tiny_node(t, n, &t->t, 1, like_here(t));
}

int tiny_concat(struct tiny *t, int other, int other_c)
{
    struct eng_node n = tiny_op(ENG_OP_CONCAT);
    n.axis = 3;
    t->c += other_c;
    return tiny_node(t, n, (int[]){t->t, other}, 2,
                     tiny_tensor(t, scale_here(t) * 1.1f, zero_here(t)));
}

int tiny_mul_channels(struct tiny *t)
{
    float scale;
    int dim[4] = {1, 1, 1, t->c};
    int w = weights(t, dim, 4, 0, &scale);
    int out = output(t, scale, 2);
    return tiny_node(t, tiny_op(ENG_OP_MUL), (int[]){t->t, w}, 2, out);
}

int tiny_excite(struct tiny *t)
{
    int map = t->t, h = t->h, w = t->w;
    int mean = tiny_pool(t, ENG_OP_MEAN, 0, 1);
    t->h = h;
    t->w = w;
    return tiny_node(t, tiny_op(ENG_OP_MUL), (int[]){map, mean}, 2, output(t, 0.01f, 20));
}

int tiny_channels(struct tiny *t, enum eng_op op)
{
    float *v = eng_graph_alloc(t->g, (size_t)t->c * 2, sizeof(*v));
    int in[3] = {t->t, 0, 0}, dim[4] = {t->c};
    if (!v)
        fail_msg("out of memory");
    for (int i = 0; i < t->c * 2; i++)
        v[i] = tiny_unit(t);
    in[1] = tiny_constant(t, ENG_F32, 1, dim, v);
    in[2] = tiny_constant(t, ENG_F32, 1, dim, v + t->c);
    return tiny_node(t, tiny_op(op), in, op == ENG_OP_BATCHNORM ? 3 : 2, like_here(t));
}

int tiny_gather(struct tiny *t, int n)
{
    int32_t *which = eng_graph_alloc(t->g, (size_t)n, sizeof(*which));
    if (!which)
        fail_msg("out of memory");
    for (int i = 0; i < n; i++)
        which[i] = (int32_t)tiny_random(t, (unsigned)t->c);
    int list = tiny_constant(t, ENG_I32, 1, (int[]){n}, which);
    t->c = n;
    return tiny_node(t, tiny_op(ENG_OP_GATHER), (int[]){t->t, list}, 2, like_here(t));
}

int tiny_resize(struct tiny *t, int h, int w, unsigned mode)
{
    struct eng_node n = tiny_op(ENG_OP_RESIZE);
    int out = like_here(t);
    struct eng_tensor *y = &t->g->tensors[out];
    n.align_corners = mode == 1;
    n.half_pixel = mode == 2;
    n.nearest = mode == 3;
    y->rank = 4;
    y->dim[0] = 1;
    y->dim[1] = t->h = h;
    y->dim[2] = t->w = w;
    y->dim[3] = t->c;
    return tiny_node(t, n, &t->t, 1, out);
}

int tiny_quantize_to(struct tiny *t, enum eng_type type, float scale, int zero_point)
{
    int out = tiny_typed(t, type, scale, zero_point);
    t->type = type;
    return tiny_node(t, tiny_op(ENG_OP_QUANTIZE), &t->t, 1, out);
}

void tiny_end(struct tiny *t)
{
    char err[256] = "";
    t->g->output = t->t;
    if (eng_graph_check(t->g, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}
