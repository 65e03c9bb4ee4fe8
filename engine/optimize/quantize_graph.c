/* Float graph + ranges -> the same graph in u8 activations and i8 weights.
 *
 * Every tensor that is computed gets a u8 twin; what only exists in float (the final softmax, batch
 * norms that nothing absorbed, PRELU) runs between DEQUANTIZE and QUANTIZE. Ranges of layers that
 * clamp start at their bound, so that the clamp is the type's own saturation. */
#include "engine/optimize/quantize_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

struct builder {
    const struct eng_quantize_job *job;
    const struct eng_graph *g;
    struct eng_graph *out;
    int *u8, *f32; /* tensor of g -> its twin of that type in out, -1: not there */
};

void eng_quantize_input_init(struct eng_quantize_input *in, const struct eng_preprocess *p)
{
    float lo = 0, hi = 0;
    int same = 1;
    for (int c = 0; c < 3; c++) {
        float a = (0 - p->mean[c]) * p->scale[c], b = (255 - p->mean[c]) * p->scale[c];
        lo = fminf(lo, fminf(a, b));
        hi = fmaxf(hi, fmaxf(a, b));
        same &= p->mean[c] == p->mean[0] && p->scale[c] == p->scale[0];
    }
    float up = ceilf(p->mean[0]);
    *in = (struct eng_quantize_input){.scale = (hi - lo) / 255};
    in->zero_point = (int32_t)lrintf(-lo / in->scale);
    if (!same || !(p->scale[0] > 0) || p->mean[0] < 0 || up > 255)
        return;
    in->scale = p->scale[0];
    in->zero_point = (int32_t)up;
    in->shift = (p->mean[0] - up) * p->scale[0];
}

static int no_memory(const struct builder *b)
{
    return eng_fail(b->job->err, b->job->errlen, -ENOMEM, "not enough memory for the model");
}

static const struct eng_tensor *tensor(const struct builder *b, int index)
{
    return &b->g->tensors[index];
}

static int quant(struct builder *b, struct eng_quant *ret, int n, int axis, float **ret_scale,
                 int32_t **ret_zero)
{
    float *scale = eng_graph_alloc(b->out, (size_t)n, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(b->out, (size_t)n, sizeof(*zero));
    if (!scale || !zero)
        return no_memory(b);
    *ret = (struct eng_quant){n, axis, scale, zero};
    *ret_scale = scale;
    *ret_zero = zero;
    return 0;
}

static int add_tensor(struct builder *b, struct eng_tensor *t, const char *name)
{
    t->name = eng_graph_strdup(b->out, name, strlen(name));
    int rc = t->name ? eng_graph_add_tensor(b->out, t) : -ENOMEM;
    return rc < 0 ? no_memory(b) : rc;
}

static int add_node(struct builder *b, const struct eng_node *like, const int *in, int out)
{
    struct eng_node n = *like;
    n.out = out;
    n.name = eng_graph_strdup(b->out, like->name, strlen(like->name));
    n.in = eng_graph_alloc(b->out, (size_t)n.n_in + 1, sizeof(*n.in));
    if (!n.name || !n.in)
        return no_memory(b);
    memcpy(n.in, in, (size_t)n.n_in * sizeof(*in));
    return eng_graph_add_node(b->out, &n) < 0 ? no_memory(b) : 0;
}

/* ---- twins ---- */

static int add_f32(struct builder *b, int t)
{
    struct eng_tensor f = *tensor(b, t);
    if (b->f32[t] >= 0)
        return b->f32[t];
    f.quant = (struct eng_quant){0};
    f.data = NULL;
    f.size = 0;
    return b->f32[t] = add_tensor(b, &f, tensor(b, t)->name);
}

static int add_u8(struct builder *b, int t, float scale, int32_t zero)
{
    float *s = NULL;
    int32_t *z = NULL;
    struct eng_tensor q = *tensor(b, t);
    q.type = ENG_U8;
    q.data = NULL;
    q.size = 0;
    int rc = quant(b, &q.quant, 1, 0, &s, &z);
    if (rc < 0)
        return rc;
    *s = scale;
    *z = zero;
    return b->u8[t] = add_tensor(b, &q, q.name);
}

/* The range of what a node makes, as a scale and a zero point. */
static int add_ranged(struct builder *b, const struct eng_node *n)
{
    struct eng_quantize_options o = *b->job->opts;
    float lo, hi;
    if (n->out == b->g->logits) /* the answer is at its end */
        o.method = ENG_QUANTIZE_MINMAX;
    eng_qstat_range(&b->job->stats[n->out], &o, &lo, &hi);
    lo = fminf(fmaxf(lo, n->lo), 0);
    hi = fmaxf(fminf(hi, n->hi), 0);
    float scale = (hi - lo) / 255;
    if (!isnormal(scale))
        scale = 1.0f / 255;
    int32_t zero = (int32_t)lrintf(-lo / scale);
    return add_u8(b, n->out, scale, zero < 0 ? 0 : zero > 255 ? 255 : zero);
}

static const struct eng_node dequantize = {
    .op = ENG_OP_DEQUANTIZE, .n_in = 1, .lo = -INFINITY, .hi = INFINITY, .name = ""};
static const struct eng_node quantize = {
    .op = ENG_OP_QUANTIZE, .n_in = 1, .lo = -INFINITY, .hi = INFINITY, .name = ""};

static int want_f32(struct builder *b, int t)
{
    if (b->f32[t] >= 0)
        return b->f32[t];
    if (b->u8[t] < 0)
        return eng_fail(b->job->err, b->job->errlen, ENG_E_DATA, "tensor %.80s is not computed",
                        tensor(b, t)->name);
    struct eng_node n = dequantize;
    n.name = tensor(b, t)->name;
    int f = add_f32(b, t), rc = f < 0 ? f : add_node(b, &n, &b->u8[t], f);
    return rc < 0 ? rc : f;
}

/* A constant operand of an addition or a product, over its own range. */
static int constant_u8(struct builder *b, int t)
{
    const struct eng_tensor *from = tensor(b, t);
    const float *v = from->data;
    size_t n = eng_tensor_elements(from);
    float lo = 0, hi = 0;
    uint8_t *data = eng_graph_alloc_constant(b->out, n, 1);
    for (size_t i = 0; i < n; i++) {
        lo = fminf(lo, v[i]);
        hi = fmaxf(hi, v[i]);
    }
    float scale = isnormal((hi - lo) / 255) ? (hi - lo) / 255 : 1.0f / 255;
    int32_t zero = (int32_t)lrintf(-lo / scale);
    int index = data ? add_u8(b, t, scale, zero) : no_memory(b);
    if (index < 0)
        return index;
    for (size_t i = 0; i < n; i++) {
        long q = lrintf(v[i] / scale) + zero;
        data[i] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
    }
    b->out->tensors[index].data = data;
    b->out->tensors[index].size = n;
    return index;
}

/* ---- convolutions ---- */

struct layer {
    const struct eng_tensor *w;
    const float *data;
    int depthwise, outputs, per_output;
};

static size_t at(const struct layer *l, int o, int k)
{
    return l->depthwise ? (size_t)k * (size_t)l->outputs + (size_t)o
                        : (size_t)o * (size_t)l->per_output + (size_t)k;
}

/* The scale of one output's weights with the least squared error, symmetric. */
static float weight_scale(const struct layer *l, int o)
{
    float most = 0, best_scale = 0;
    double best = INFINITY;
    for (int k = 0; k < l->per_output; k++)
        most = fmaxf(most, fabsf(l->data[at(l, o, k)]));
    for (int step = 20; step >= 12 && most > 0; step--) {
        float scale = most * (float)step / 20 / 127;
        double error = 0;
        for (int k = 0; k < l->per_output; k++) {
            float v = l->data[at(l, o, k)], q = fminf(fmaxf(rintf(v / scale), -127), 127);
            error += (double)(v - q * scale) * (double)(v - q * scale);
        }
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

/* Mean of the input value that weight k of output o meets. */
static double mean_input(const struct builder *b, const struct eng_node *n, const struct layer *l,
                         int o, int k)
{
    const struct eng_qstat *s = &b->job->stats[n->in[0]];
    int c = l->depthwise ? o / n->multiplier : k % l->w->dim[l->w->rank - 1];
    if (n->op == ENG_OP_CONV && n->groups > 1)
        c += o / (l->outputs / n->groups) * l->w->dim[3];
    return s->pixels > 0 ? s->sum[c % s->channels] / s->pixels : 0;
}

/* One output: its weights rounded, its bias with what rounding did to the mean taken off. */
static void one_output(const struct builder *b, const struct eng_node *n, const struct layer *l,
                       int o, float sx, float *scale, int8_t *w, int32_t *bias)
{
    const struct eng_tensor *t = n->n_in > 2 && n->in[2] >= 0 ? tensor(b, n->in[2]) : NULL;
    double value = t ? (double)((const float *)t->data)[o] : 0, drift = 0, sum = 0;
    float s = weight_scale(l, o);
    if (!(s * sx > 0x1p-100f)) /* a dead channel: any scale will do that its bias fits */
        s = 0x1p-20f / sx;
    for (int k = 0; k < l->per_output; k++)
        sum += (double)l->data[at(l, o, k)];
    if (n->in[0] == b->g->input)
        value -= (double)b->job->input.shift * sum;
    while (fabs(value) / ((double)s * (double)sx) > 0x1p28)
        s *= 2;
    for (int k = 0; k < l->per_output; k++) {
        float v = l->data[at(l, o, k)], q = fminf(fmaxf(rintf(v / s), -127), 127);
        w[at(l, o, k)] = (int8_t)q;
        drift += ((double)(q * s) - (double)v) * mean_input(b, n, l, o, k);
    }
    if (b->job->opts->correct_bias && isfinite(drift))
        value -= drift;
    *scale = s;
    *bias = (int32_t)lrint(value / ((double)s * (double)sx));
}

static int add_weights(struct builder *b, const struct eng_node *n, int x, int *ret_w, int *ret_b)
{
    const struct eng_tensor *w = tensor(b, n->in[1]);
    struct layer l = {.w = w, .data = w->data, .depthwise = n->op == ENG_OP_DEPTHWISE};
    l.outputs = w->dim[l.depthwise ? 3 : 0];
    l.per_output = (int)(eng_tensor_elements(w) / (size_t)l.outputs);
    float *ws = NULL, *bs = NULL, sx = b->out->tensors[x].quant.scale[0];
    int32_t *wz = NULL, *bz = NULL;
    struct eng_tensor q = *w, bias = {.type = ENG_I32, .rank = 1, .dim = {l.outputs}};
    int8_t *data = eng_graph_alloc_constant(b->out, eng_tensor_elements(w), 1);
    int32_t *biases = eng_graph_alloc_constant(b->out, (size_t)l.outputs, sizeof(*biases));
    q.type = ENG_I8;
    if (!data || !biases || quant(b, &q.quant, l.outputs, l.depthwise ? 3 : 0, &ws, &wz) < 0 ||
        quant(b, &bias.quant, l.outputs, 0, &bs, &bz) < 0)
        return no_memory(b);
    for (int o = 0; o < l.outputs; o++) {
        one_output(b, n, &l, o, sx, &ws[o], data, &biases[o]);
        bs[o] = sx * ws[o];
    }
    q.data = data;
    q.size = eng_tensor_elements(w);
    bias.data = biases;
    bias.size = (size_t)l.outputs * sizeof(*biases);
    *ret_w = add_tensor(b, &q, w->name);
    *ret_b = *ret_w < 0 ? *ret_w : add_tensor(b, &bias, n->name);
    return *ret_b < 0 ? *ret_b : 0;
}

/* ---- nodes ---- */

static int add_conv(struct builder *b, const struct eng_node *n)
{
    struct eng_node like = *n;
    int in[3] = {b->u8[n->in[0]], -1, -1};
    if (in[0] < 0)
        return eng_fail(b->job->err, b->job->errlen, ENG_E_UNSUPPORTED,
                        "layer %.80s has an input that cannot be quantised", n->name);
    int out = add_ranged(b, n), rc = out < 0 ? out : add_weights(b, n, in[0], &in[1], &in[2]);
    like.n_in = 3;
    return rc < 0 ? rc : add_node(b, &like, in, out);
}

/* What only moves values keeps its input's quantisation. */
static int moves(enum eng_op op)
{
    return op == ENG_OP_AVGPOOL || op == ENG_OP_MAXPOOL || op == ENG_OP_PAD ||
           op == ENG_OP_RESHAPE || op == ENG_OP_TRANSPOSE || op == ENG_OP_RESIZE ||
           op == ENG_OP_GATHER;
}

static int stays_float(const struct builder *b, const struct eng_node *n)
{
    return n->op == ENG_OP_BATCHNORM || n->op == ENG_OP_PRELU ||
           (n->op == ENG_OP_SOFTMAX && n->out == b->g->output);
}

static int add_float(struct builder *b, const struct eng_node *n)
{
    int in[ENG_MAX_INPUTS], out;
    for (int i = 0; i < n->n_in; i++) {
        const struct eng_tensor *t = tensor(b, n->in[i]);
        struct eng_tensor copy = *t;
        in[i] = t->data ? add_tensor(b, &copy, t->name) : want_f32(b, n->in[i]);
        if (in[i] < 0)
            return in[i];
    }
    if ((out = add_f32(b, n->out)) < 0)
        return out;
    int rc = add_node(b, n, in, out);
    if (rc < 0 || n->out == b->g->output)
        return rc;
    struct eng_node like = quantize;
    like.name = n->name;
    int u8 = add_ranged(b, n);
    return u8 < 0 ? u8 : add_node(b, &like, &out, u8);
}

/* A mean that drops its 1x1 does so in a step of its own: runtimes know the pool alone. */
static int add_flat_mean(struct builder *b, const struct eng_node *n, int x)
{
    struct eng_node like = {
        .op = ENG_OP_RESHAPE, .n_in = 1, .lo = -INFINITY, .hi = INFINITY, .name = n->name};
    int flat = add_ranged(b, n);
    struct eng_tensor image = flat < 0 ? (struct eng_tensor){0} : b->out->tensors[flat];
    image.rank = 4;
    image.dim[3] = image.dim[1];
    image.dim[1] = image.dim[2] = 1;
    int mid = flat < 0 ? flat : add_tensor(b, &image, n->name);
    int rc = mid < 0 ? mid : add_node(b, n, &x, mid);
    return rc < 0 ? rc : add_node(b, &like, &mid, flat);
}

static int add_other(struct builder *b, const struct eng_node *n)
{
    int in[ENG_MAX_INPUTS], out;
    for (int i = 0; i < n->n_in; i++) {
        struct eng_tensor list = *tensor(b, n->in[i]);
        in[i] = list.type == ENG_I32 ? add_tensor(b, &list, list.name) : b->u8[n->in[i]];
        if (in[i] < 0 && tensor(b, n->in[i])->data)
            in[i] = constant_u8(b, n->in[i]);
        if (in[i] < 0)
            return eng_fail(b->job->err, b->job->errlen, ENG_E_UNSUPPORTED,
                            "layer %.80s has an input that cannot be quantised", n->name);
    }
    if (n->op == ENG_OP_MEAN && tensor(b, n->out)->rank == 2)
        return add_flat_mean(b, n, in[0]);
    if (moves(n->op)) {
        const struct eng_quant *q = &b->out->tensors[in[0]].quant;
        out = add_u8(b, n->out, q->scale[0], q->zero_point[0]);
    } else {
        out = add_ranged(b, n);
    }
    return out < 0 ? out : add_node(b, n, in, out);
}

static int add_all(struct builder *b)
{
    const struct eng_quantize_input *input = &b->job->input;
    struct eng_node first = quantize;
    int in = add_f32(b, b->g->input), rc;
    b->out->input = in;
    first.name = tensor(b, b->g->input)->name;
    int q = in < 0 ? in : add_u8(b, b->g->input, input->scale, input->zero_point);
    if (q < 0 || (rc = add_node(b, &first, &in, q)) < 0)
        return q < 0 ? q : rc;
    b->f32[b->g->input] = -1; /* whoever wants floats wants those that the network sees */
    for (int i = 0; i < b->g->n_nodes; i++) {
        const struct eng_node *n = &b->g->nodes[i];
        if (n->op == ENG_OP_CONV || n->op == ENG_OP_DEPTHWISE || n->op == ENG_OP_FC)
            rc = add_conv(b, n);
        else
            rc = stays_float(b, n) ? add_float(b, n) : add_other(b, n);
        if (rc < 0)
            return rc;
    }
    return b->out->output = want_f32(b, b->g->output);
}

int eng_quantize_graph(struct eng_graph **ret, int *ret_map, const struct eng_quantize_job *job)
{
    struct builder b = {.job = job, .g = job->g, .u8 = ret_map};
    if (eng_graph_create(&b.out) < 0)
        return no_memory(&b);
    b.f32 = malloc((size_t)b.g->n_tensors * sizeof(*b.f32));
    if (!b.f32) {
        eng_graph_destroy(b.out);
        return no_memory(&b);
    }
    for (int i = 0; i < b.g->n_tensors; i++)
        b.f32[i] = b.u8[i] = -1;
    int rc = add_all(&b);
    free(b.f32);
    if (rc >= 0)
        rc = eng_graph_check(b.out, job->err, job->errlen);
    if (rc < 0) {
        eng_graph_destroy(b.out);
        return rc;
    }
    *ret = b.out;
    return 0;
}
