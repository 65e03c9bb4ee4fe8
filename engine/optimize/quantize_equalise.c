/* Cross-layer equalisation: a channel between two layers may be divided by s in the first and
 * multiplied by s in the second without changing what the network computes, as long as the
 * activation between scales along: ReLU does, and so does ReLU6 for a channel that never reaches
 * 6. Channels with a small range then use more of the tensor's one scale.
 *
 * The first layer's weights have a scale a channel, so that dividing them costs nothing; what is
 * balanced is the activation against the second layer's weights. Against a depthwise layer, whose
 * channels have scales of their own too, the activation alone decides. */
#include "engine/optimize/quantize_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/outputs.h"

static const float MARGIN = 1.25f; /* for pictures that were not seen */
static const float LEAST = 1.0f / 64, MOST = 4;

static int convolves(const struct eng_node *n)
{
    return n->op == ENG_OP_CONV || n->op == ENG_OP_DEPTHWISE || n->op == ENG_OP_FC;
}

struct pair {
    struct eng_graph *g;
    struct eng_node *a, *b;
    int channels;
    float *scale, *reach; /* [channels]; reach: of the second layer's weights, largest 1 */
};

/* The weight's channel of the tensor between: of a's output, or of b's input. */
static size_t channel_of(const struct pair *p, const struct eng_node *n, size_t i)
{
    const struct eng_tensor *w = &p->g->tensors[n->in[1]];
    size_t channels = (size_t)p->channels;
    if (n == p->a)
        return n->op == ENG_OP_DEPTHWISE ? i % channels
                                         : i / (eng_tensor_elements(w) / (size_t)w->dim[0]);
    if (n->op == ENG_OP_DEPTHWISE)
        return i % (size_t)w->dim[3] / (size_t)n->multiplier;
    return i % channels; /* of FC too: its input is HWC */
}

/* Largest weight of each input channel, relative to the largest of its output. */
static void reaches(struct pair *p)
{
    const struct eng_tensor *w = &p->g->tensors[p->b->in[1]];
    const float *v = w->data;
    size_t n = eng_tensor_elements(w);
    if (p->b->op == ENG_OP_DEPTHWISE)
        return;
    size_t per_output = n / (size_t)w->dim[0];
    memset(p->reach, 0, (size_t)p->channels * sizeof(*p->reach));
    for (size_t o = 0; o < n; o += per_output) {
        float most = 1e-30f;
        for (size_t i = 0; i < per_output; i++)
            most = fmaxf(most, fabsf(v[o + i]));
        for (size_t i = 0; i < per_output; i++) {
            float *r = &p->reach[channel_of(p, p->b, i)];
            *r = fmaxf(*r, fabsf(v[o + i]) / most);
        }
    }
}

static void choose(struct pair *p, const struct eng_qstat *stat)
{
    float hi = p->a->hi, most = 0, balance = 0;
    for (int c = 0; c < p->channels; c++)
        most = fmaxf(most, stat->peak[c] * MARGIN);
    if (isfinite(hi))
        most = hi;
    for (int c = 0; c < p->channels; c++) {
        p->scale[c] = fminf(stat->peak[c] * MARGIN, most);
        balance = fmaxf(balance, sqrtf(p->scale[c] * p->reach[c]));
    }
    for (int c = 0; c < p->channels; c++) {
        float m = p->scale[c], s = m / most;
        if (p->b->op != ENG_OP_DEPTHWISE && p->reach[c] > 0)
            s = fmaxf(s, sqrtf(m / p->reach[c]) * balance / most);
        int full = isfinite(hi) && stat->peak[c] >= hi * 0.9999f;
        s = fminf(fmaxf(s, LEAST), MOST);
        p->scale[c] = full || m <= 0 || !isfinite(s) ? 1 : s;
    }
}

/* A copy of the constant with channel c multiplied by scale[c], or divided. */
static int rescale(struct pair *p, const struct eng_node *n, int input, int divide)
{
    struct eng_tensor *t = &p->g->tensors[n->in[input]];
    size_t count = eng_tensor_elements(t);
    const float *from = t->data;
    float *to = eng_graph_alloc_constant(p->g, count, sizeof(*to));
    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        float s = p->scale[input == 2 ? i : channel_of(p, n, i)];
        to[i] = divide ? from[i] / s : from[i] * s;
    }
    t->data = to;
    return 0;
}

static int apply(struct pair *p)
{
    int rc = rescale(p, p->a, 1, 1);
    if (rc == 0 && p->a->n_in > 2 && p->a->in[2] >= 0)
        rc = rescale(p, p->a, 2, 1);
    return rc < 0 ? rc : rescale(p, p->b, 1, 0);
}

static int equalise(struct pair *p, const struct eng_qstat *stat)
{
    p->scale = calloc((size_t)p->channels, sizeof(*p->scale));
    p->reach = calloc((size_t)p->channels, sizeof(*p->reach));
    int rc = p->scale && p->reach ? 0 : -ENOMEM;
    if (rc == 0) {
        for (int c = 0; c < p->channels; c++)
            p->reach[c] = 1;
        reaches(p);
        choose(p, stat);
        rc = apply(p);
    }
    free(p->scale);
    free(p->reach);
    return rc;
}

/* The one node that reads the tensor, if it does so once and alone. */
static struct eng_node *sole_reader(struct eng_graph *g, int tensor)
{
    struct eng_node *found = NULL;
    if (eng_graph_is_output(g, tensor))
        return NULL;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] == tensor) {
                if (found)
                    return NULL;
                found = &g->nodes[i];
            }
    return found;
}

/* Weights that two layers share cannot follow one of them. */
static int owns_weights(const struct eng_graph *g, const struct eng_node *n)
{
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 1; k < g->nodes[i].n_in && &g->nodes[i] != n; k++)
            for (int c = 1; c < n->n_in; c++)
                if (n->in[c] >= 0 && g->nodes[i].in[k] == n->in[c])
                    return 0;
    return 1;
}

int eng_quantize_equalise(struct eng_graph *g, const struct eng_qstat *stats)
{
    int pairs = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        struct eng_node *a = &g->nodes[i];
        int scales = (a->lo == 0 || a->lo == -INFINITY) && (a->lo == 0 || a->hi == INFINITY);
        if (!convolves(a) || !scales || !stats[a->out].peak)
            continue;
        struct eng_node *b = sole_reader(g, a->out);
        if (!b || !convolves(b) || b->in[0] != a->out || (b->op == ENG_OP_CONV && b->groups != 1) ||
            !owns_weights(g, a) || !owns_weights(g, b))
            continue;
        struct pair p = {.g = g, .a = a, .b = b, .channels = stats[a->out].channels};
        int rc = equalise(&p, &stats[a->out]);
        if (rc < 0)
            return rc;
        pairs++;
    }
    return pairs;
}
