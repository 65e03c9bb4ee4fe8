/* MobileNet V1 and V2 graphs with seeded weights.
 *
 * Weights are He-initialised for ReLU6, so that the second moment of the activations (tracked as
 * `moment`) stays near 1 from layer to layer; quantised networks take the scales that this implies.
 * Nothing saturates and nothing dies out, as in a trained network: the arithmetic meets plausible
 * numbers, the answers mean nothing. */
#include "engine/graph/mobilenet.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"

struct builder {
    struct eng_graph *g;
    enum eng_precision precision;
    uint64_t random;
    int at, h, w, c; /* the tensor that the next layer reads */
    float moment;    /* its expected square */
    int layer;       /* for names */
    int rc;          /* first failure; later calls do nothing */
};

static uint64_t next_random(struct builder *b)
{
    /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = b->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Near enough to a normal deviate: the sum of four uniform bytes, scaled to a variance of 1. */
static float next_normal(struct builder *b)
{
    uint64_t r = next_random(b);
    int sum = (int)(r & 255) + (int)(r >> 8 & 255) + (int)(r >> 16 & 255) + (int)(r >> 24 & 255);
    return ((float)sum - 510.0f) / 147.8f;
}

/* Notes a failure; what it was given, or the first failure. */
static int check(struct builder *b, int rc)
{
    if (rc < 0 && b->rc == 0)
        b->rc = rc;
    return b->rc < 0 ? b->rc : rc;
}

static void *allocate(struct builder *b, size_t n, size_t size, int constant)
{
    void *p = constant ? eng_graph_alloc_constant(b->g, n, size) : eng_graph_alloc(b->g, n, size);
    if (!p)
        check(b, -ENOMEM);
    return p;
}

static const char *label(struct builder *b, const char *what)
{
    char text[40];
    int n = b->layer >= 0 ? snprintf(text, sizeof(text), "%s_%d", what, b->layer)
                          : snprintf(text, sizeof(text), "%s", what);
    const char *copy = eng_graph_strdup(b->g, text, (size_t)n);
    if (!copy)
        check(b, -ENOMEM);
    return copy;
}

static enum eng_type activation_type(const struct builder *b)
{
    return b->precision == ENG_PRECISION_INT8    ? ENG_I8
           : b->precision == ENG_PRECISION_UINT8 ? ENG_U8
                                                 : ENG_F32;
}

/* zero: 0 .. 255, as of a u8 tensor; an i8 tensor has 128 less. */
static int add_tensor(struct builder *b, const char *name, int rank, const int32_t *dim,
                      float scale, int zero)
{
    struct eng_tensor t = {.name = name, .type = activation_type(b), .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof(*dim));
    if (t.type != ENG_F32) {
        float *s = allocate(b, 1, sizeof(*s), 0);
        int32_t *z = allocate(b, 1, sizeof(*z), 0);
        if (b->rc < 0)
            return b->rc;
        *s = scale;
        *z = t.type == ENG_I8 ? zero - 128 : zero;
        t.quant = (struct eng_quant){1, 0, s, z};
    }
    return check(b, b->rc < 0 ? b->rc : eng_graph_add_tensor(b->g, &t));
}

static int add_node(struct builder *b, struct eng_node *n, const char *name, const int *in,
                    int n_in)
{
    n->name = name;
    n->n_in = n_in;
    n->in = allocate(b, (size_t)n_in, sizeof(*in), 0);
    if (b->rc < 0)
        return b->rc;
    memcpy(n->in, in, (size_t)n_in * sizeof(*in));
    return check(b, eng_graph_add_node(b->g, n));
}

/* ---- weights ---- */

struct weights {
    int rank;
    int32_t dim[4];
    int axis; /* of the output channels */
    int outputs;
    float deviation; /* of the real weights */
};

/* Quantised weights spread over about +-3 deviations of `steps` quanta. */
static const float steps = 36.0f;

static int add_quantised_weights(struct builder *b, const struct weights *w, const char *name,
                                 struct eng_tensor *t)
{
    size_t n = eng_tensor_elements(t);
    int per_channel = b->precision == ENG_PRECISION_INT8;
    int scales = per_channel ? w->outputs : 1;
    float *scale = allocate(b, (size_t)scales, sizeof(*scale), 0);
    int32_t *zero = allocate(b, (size_t)scales, sizeof(*zero), 0);
    uint8_t *data = allocate(b, n, 1, 1);
    if (b->rc < 0)
        return b->rc;
    for (int i = 0; i < scales; i++) {
        float spread = per_channel ? 0.75f + (float)(next_random(b) % 1024) / 2048.0f : 1.0f;
        scale[i] = w->deviation / steps * spread;
        zero[i] = per_channel ? 0 : 112 + (int)(next_random(b) % 32);
    }
    for (size_t i = 0; i < n; i++) {
        int q = (int)lrintf(next_normal(b) * steps) + zero[0];
        int lo = per_channel ? -127 : 0, hi = per_channel ? 127 : 255;
        data[i] = (uint8_t)(q < lo ? lo : q > hi ? hi : q);
    }
    t->type = per_channel ? ENG_I8 : ENG_U8;
    t->quant = (struct eng_quant){scales, per_channel ? w->axis : 0, scale, zero};
    t->data = data;
    t->size = n;
    t->name = name;
    return eng_graph_add_tensor(b->g, t);
}

static int add_weights(struct builder *b, const struct weights *w, const char *name)
{
    struct eng_tensor t = {.name = name, .type = ENG_F32, .rank = w->rank};
    memcpy(t.dim, w->dim, sizeof(w->dim));
    if (activation_type(b) != ENG_F32)
        return check(b, add_quantised_weights(b, w, name, &t));
    size_t n = eng_tensor_elements(&t);
    float *data = allocate(b, n, sizeof(*data), 1);
    if (!data)
        return b->rc;
    for (size_t i = 0; i < n; i++)
        data[i] = next_normal(b) * w->deviation;
    t.data = data;
    t.size = n * sizeof(*data);
    return check(b, eng_graph_add_tensor(b->g, &t));
}

/* A tenth of a deviation of the activations, in the units of the layer's sums. */
static int add_bias(struct builder *b, const char *name, int outputs, int weights)
{
    struct eng_tensor t = {.name = name, .type = ENG_F32, .rank = 1, .dim = {outputs}};
    t.size = (size_t)outputs * 4;
    void *data = allocate(b, (size_t)outputs, 4, 1);
    if (b->rc < 0)
        return b->rc;
    t.data = data;
    const struct eng_quant *qw = &b->g->tensors[weights].quant;
    const struct eng_quant *qx = &b->g->tensors[b->at].quant;
    for (int i = 0; i < outputs; i++) {
        float v = next_normal(b) * 0.1f;
        if (qw->n == 0)
            ((float *)data)[i] = v;
        else
            ((int32_t *)data)[i] =
                (int32_t)lrintf(v / (qx->scale[0] * qw->scale[qw->n > 1 ? i : 0]));
    }
    if (qw->n > 0)
        t.type = ENG_I32;
    return check(b, eng_graph_add_tensor(b->g, &t));
}

/* ---- layers ---- */

static void same_padding(int in, int k, int stride, int *before, int *after)
{
    int out = (in + stride - 1) / stride, all = (out - 1) * stride + k - in;
    *before = all > 0 ? all / 2 : 0;
    *after = all > 0 ? all - all / 2 : 0;
}

/* Convolution or depthwise, SAME, with ReLU6 or linear. */
static void convolve(struct builder *b, enum eng_op op, const char *what, int k, int stride,
                     int outputs, int linear)
{
    if (b->rc < 0)
        return;
    int depthwise = op == ENG_OP_DEPTHWISE, fan_in = depthwise ? k * k : k * k * b->c;
    struct weights w = {4, {outputs, k, k, b->c}, 0, outputs, 0};
    if (depthwise)
        w = (struct weights){4, {1, k, k, outputs}, 3, outputs, 0};
    w.deviation = sqrtf((linear ? 1.0f : 2.0f) / ((float)fan_in * b->moment));
    struct eng_node n = {.op = op,
                         .groups = 1,
                         .multiplier = 1,
                         .lo = linear ? -INFINITY : 0,
                         .hi = linear ? INFINITY : 6};
    n.win = (struct eng_window){.kh = k, .kw = k, .sh = stride, .sw = stride, .dh = 1, .dw = 1};
    same_padding(b->h, k, stride, &n.win.top, &n.win.bottom);
    same_padding(b->w, k, stride, &n.win.left, &n.win.right);
    b->h = (b->h + stride - 1) / stride;
    b->w = (b->w + stride - 1) / stride;
    b->c = outputs;
    const char *name = label(b, what);
    int in[3] = {b->at, add_weights(b, &w, name), -1};
    if (b->rc < 0)
        return;
    in[2] = add_bias(b, name, outputs, in[1]);
    float scale = linear ? 8.0f / 255 : 6.0f / 255;
    n.out = add_tensor(b, name, 4, (int32_t[]){1, b->h, b->w, outputs}, scale, linear ? 128 : 0);
    if (b->rc < 0)
        return;
    add_node(b, &n, name, in, 3);
    b->at = n.out;
    b->moment = 1;
}

/* One of the paper's depthwise separable layers, or the full convolution that it replaces. */
static void separable(struct builder *b, enum eng_form form, int stride, int outputs)
{
    b->layer++;
    if (form == ENG_FORM_FULL) {
        convolve(b, ENG_OP_CONV, "conv", 3, stride, outputs, 0);
        return;
    }
    convolve(b, ENG_OP_DEPTHWISE, "dw", 3, stride, b->c, 0);
    convolve(b, ENG_OP_CONV, "pw", 1, 1, outputs, 0);
}

/* y = x + t; the moments add up, and the scale follows. */
static void residual(struct builder *b, int shortcut, float moment)
{
    if (b->rc < 0)
        return;
    struct eng_node n = {.op = ENG_OP_ADD, .lo = -INFINITY, .hi = INFINITY};
    const char *name = label(b, "add");
    float sum = moment + b->moment;
    n.out = add_tensor(b, name, 4, (int32_t[]){1, b->h, b->w, b->c}, 8.0f * sqrtf(sum) / 255, 128);
    if (b->rc < 0)
        return;
    add_node(b, &n, name, (int[]){shortcut, b->at}, 2);
    b->at = n.out;
    b->moment = sum;
}

/* Sandler et al. 2018, table 1. */
static void bottleneck(struct builder *b, int expand, int stride, int outputs)
{
    int shortcut = b->at, inputs = b->c;
    float moment = b->moment;
    b->layer++;
    if (expand > 1)
        convolve(b, ENG_OP_CONV, "expand", 1, 1, inputs * expand, 0);
    convolve(b, ENG_OP_DEPTHWISE, "dw", 3, stride, b->c, 0);
    convolve(b, ENG_OP_CONV, "project", 1, 1, outputs, 1);
    if (stride == 1 && inputs == outputs)
        residual(b, shortcut, moment);
}

static void add_input(struct builder *b, int side)
{
    b->at = add_tensor(b, "input", 4, (int32_t[]){1, side, side, 3}, 1.0f / 128, 128);
    b->g->input = b->at;
    b->h = b->w = side;
    b->c = 3;
    b->moment = 1.0f / 3; /* pixels, uniform in -1 .. 1 */
}

static void pool(struct builder *b)
{
    if (b->rc < 0)
        return;
    struct eng_node n = {.op = ENG_OP_AVGPOOL, .lo = -INFINITY, .hi = INFINITY};
    n.win = (struct eng_window){.kh = b->h, .kw = b->w, .sh = 1, .sw = 1, .dh = 1, .dw = 1};
    n.out = add_tensor(b, "pool", 4, (int32_t[]){1, 1, 1, b->c}, 6.0f / 255, 0);
    if (b->rc < 0)
        return;
    add_node(b, &n, "pool", &b->at, 1);
    b->at = n.out;
}

static void head(struct builder *b, int classes)
{
    if (b->rc < 0)
        return;
    struct eng_node fc = {.op = ENG_OP_FC, .lo = -INFINITY, .hi = INFINITY};
    struct eng_node softmax = {.op = ENG_OP_SOFTMAX, .lo = -INFINITY, .hi = INFINITY, .beta = 1};
    /* Averages of ReLU6 outputs have a square of about a third; logits get a deviation of 2. */
    struct weights w = {2, {classes, b->c}, 0, classes, sqrtf(4.0f / ((float)b->c * 0.33f))};
    int in[3] = {b->at, add_weights(b, &w, "fc"), -1};
    if (b->rc < 0)
        return;
    in[2] = add_bias(b, "fc", classes, in[1]);
    fc.out = add_tensor(b, "logits", 2, (int32_t[]){1, classes}, 16.0f / 255, 128);
    if (b->rc < 0 || add_node(b, &fc, "fc", in, 3) < 0)
        return;
    softmax.out = add_tensor(b, "probabilities", 2, (int32_t[]){1, classes}, 1.0f / 256, 0);
    if (b->rc < 0)
        return;
    add_node(b, &softmax, "softmax", &fc.out, 1);
    b->g->output = softmax.out;
}

/* ---- networks ---- */

static int thin(double alpha, int channels)
{
    int n = (int)(alpha * channels);
    return n < 8 ? 8 : n;
}

/* To the nearest multiple of 8, never more than a tenth below. */
static int round8(double channels)
{
    int n = (int)(channels + 4) / 8 * 8;
    if (n < 8)
        n = 8;
    return n < 0.9 * channels ? n + 8 : n;
}

static void build_v1(struct builder *b, const struct eng_mobilenet_spec *s)
{
    static const struct {
        int stride, outputs;
        int deep; /* one of the five that the shallow form lacks */
    } rows[] = {
        {1, 64, 0},  {2, 128, 0}, {1, 128, 0}, {2, 256, 0}, {1, 256, 0},  {2, 512, 0},  {1, 512, 1},
        {1, 512, 1}, {1, 512, 1}, {1, 512, 1}, {1, 512, 1}, {2, 1024, 0}, {1, 1024, 0},
    };
    convolve(b, ENG_OP_CONV, "conv", 3, 2, thin(s->alpha, 32), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (!(rows[i].deep && s->form == ENG_FORM_SHALLOW))
            separable(b, s->form, rows[i].stride, thin(s->alpha, rows[i].outputs));
    pool(b);
    head(b, s->classes);
}

static void build_v2(struct builder *b, const struct eng_mobilenet_spec *s)
{
    static const struct {
        int expand, outputs, repeat, stride;
    } rows[] = {
        {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2},  {6, 64, 4, 2},
        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
    };
    convolve(b, ENG_OP_CONV, "conv", 3, 2, round8(32 * s->alpha), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int k = 0; k < rows[i].repeat; k++)
            bottleneck(b, rows[i].expand, k == 0 ? rows[i].stride : 1,
                       round8(rows[i].outputs * s->alpha));
    b->layer++;
    convolve(b, ENG_OP_CONV, "conv", 1, 1, s->alpha > 1 ? round8(1280 * s->alpha) : 1280, 0);
    pool(b);
    head(b, s->classes);
}

static int check_spec(const struct eng_mobilenet_spec *s, enum eng_precision precision, char *err,
                      size_t errlen)
{
    if (s->generation != 1 && s->generation != 2)
        return eng_fail(err, errlen, -EINVAL, "there is no MobileNet generation %d here",
                        s->generation);
    if (!(s->alpha >= 0.05 && s->alpha <= 2))
        return eng_fail(err, errlen, -EINVAL, "alpha %g is not within 0.05 to 2", s->alpha);
    if (s->rho < 32 || s->rho > 1024)
        return eng_fail(err, errlen, -EINVAL, "rho %d is not within 32 to 1024 pixels", s->rho);
    if (s->classes < 1 || s->classes > 100000)
        return eng_fail(err, errlen, -EINVAL, "%d classes are not within 1 to 100000", s->classes);
    if ((unsigned)s->form > ENG_FORM_SHALLOW || (s->form && s->generation != 1))
        return eng_fail(err, errlen, -EINVAL, "only generation 1 has full and shallow forms");
    if (precision != ENG_PRECISION_FP32 && precision != ENG_PRECISION_INT8 &&
        precision != ENG_PRECISION_UINT8)
        return eng_fail(err, errlen, -EINVAL, "a graph is built in fp32, int8 or uint8");
    return 0;
}

int eng_mobilenet_build(struct eng_graph **ret, const struct eng_mobilenet_spec *spec,
                        enum eng_precision precision, char *err, size_t errlen)
{
    struct builder b = {.precision = precision, .random = spec->seed};
    int rc = check_spec(spec, precision, err, errlen);
    if (rc < 0)
        return rc;
    if (eng_graph_create(&b.g) < 0)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the network");
    add_input(&b, spec->rho);
    if (spec->generation == 1)
        build_v1(&b, spec);
    else
        build_v2(&b, spec);
    rc = b.rc < 0 ? eng_fail(err, errlen, b.rc, "not enough memory for the network")
                  : eng_graph_check(b.g, err, errlen);
    if (rc < 0) {
        eng_graph_destroy(b.g);
        return rc;
    }
    *ret = b.g;
    return 0;
}

void eng_mobilenet_name(const struct eng_mobilenet_spec *spec, char *ret, size_t len)
{
    static const char *const forms[] = {"", "_full", "_shallow"};
    char alpha[24];
    snprintf(alpha, sizeof(alpha), "%g", spec->alpha);
    snprintf(ret, len, "mobilenet_v%d_%s%s_%d%s", spec->generation, alpha,
             strchr(alpha, '.') ? "" : ".0", spec->rho, forms[spec->form]);
}
