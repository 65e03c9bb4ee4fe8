/* See codebook.h. In one dimension the clusters are intervals of the sorted weights, so that a step
 * of Lloyd's algorithm needs no pass over them: their ends by bisection, their means by sums over
 * all that is smaller. */
#include "engine/optimize/codebook.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 64, STEPS = 500, MANY = 8 /* weights for each value of the codebook */ };

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* How many of the sorted are less than v. */
static size_t below(const float *sorted, size_t count, double v)
{
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if ((double)sorted[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Whether any value moved. An interval that holds nothing keeps its value. */
static int step(double *value, int n, const float *sorted, const double *sum, size_t count)
{
    int moved = 0;
    size_t begin = 0;
    double next[256];
    for (int i = 0; i < n; i++) {
        size_t end = i + 1 < n ? below(sorted, count, (value[i] + value[i + 1]) / 2) : count;
        next[i] = end > begin ? (sum[end] - sum[begin]) / (double)(end - begin) : value[i];
        moved |= next[i] < value[i] || next[i] > value[i];
        begin = end;
    }
    memcpy(value, next, (size_t)n * sizeof(*value));
    return moved;
}

/* Where to begin: as densely as the cube root of the weights' density, which is where the least
 * squared error ends for many values (Panter and Dite 1951). */
static void spread(double *value, int n, const float *sorted, size_t count)
{
    double lo = (double)sorted[0], width = ((double)sorted[count - 1] - lo) / BINS;
    double all = 0, so_far = 0, dense[BINS];
    size_t begin = 0;
    for (int b = 0; b < BINS; b++) {
        size_t end = b + 1 < BINS ? below(sorted, count, lo + width * (b + 1)) : count;
        dense[b] = cbrt((double)(end - begin));
        all += dense[b];
        begin = end;
    }
    for (int b = 0, i = 0; b < BINS && i < n; b++) {
        double due = all * (i + 0.5) / n;
        for (; i < n && (due <= so_far + dense[b] || b == BINS - 1); due = all * (i + 0.5) / n) {
            double part = dense[b] > 0 ? (due - so_far) / dense[b] : 0;
            value[i++] = lo + width * (b + part);
        }
        so_far += dense[b];
    }
}

static void fit(double *value, int n, const float *sorted, double *sum, size_t count)
{
    sum[0] = 0;
    for (size_t i = 0; i < count; i++)
        sum[i + 1] = sum[i] + (double)sorted[i];
    spread(value, n, sorted, count);
    for (int i = 0; i < STEPS && step(value, n, sorted, sum, count); i++)
        ;
}

int eng_codebook_fit(float *ret_values, int n, const float *weights, size_t count)
{
    double value[256];
    float *sorted = malloc(count * sizeof(*sorted));
    double *sum = malloc((count + 1) * sizeof(*sum));
    int made = 0;
    if (sorted && sum) {
        memcpy(sorted, weights, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), ascending);
        fit(value, n, sorted, sum, count);
        for (int i = 0; i < n; i++)
            if (made == 0 || (float)value[i] > ret_values[made - 1])
                ret_values[made++] = (float)value[i];
    }
    free(sorted);
    free(sum);
    return made ? made : -ENOMEM;
}

float eng_codebook_nearest(const float *values, int n, float weight)
{
    size_t at = below(values, (size_t)n, (double)weight);
    if (at == (size_t)n)
        return values[n - 1];
    if (at > 0 && (double)weight - (double)values[at - 1] < (double)values[at] - (double)weight)
        at--;
    return values[at];
}

/* ---- layers ---- */

/* Root mean square of `n` weights, or 1 if they are all 0. */
static float size_of(const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)w[i];
    return sum > 0 ? (float)sqrt(sum / (double)n) : 1;
}

/* New weights for `outputs` rows: each over its scale, then from the codebook. */
static int replace(struct eng_graph *g, struct eng_tensor *t, int n, const float *scale,
                   size_t outputs)
{
    float values[256];
    size_t count = eng_tensor_elements(t), row = count / outputs;
    const float *from = t->data;
    float *to = eng_graph_alloc(g, count, sizeof(*to));
    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] / scale[i / row];
    int made = eng_codebook_fit(values, n, to, count);
    for (size_t i = 0; made > 0 && i < count; i++)
        to[i] = eng_codebook_nearest(values, made, to[i]);
    if (made < 0)
        return made;
    t->data = to;
    return 0;
}

/* Room in the list of nodes behind `node`. */
static int insert_behind(struct eng_graph *g, int node, const struct eng_node *n)
{
    int rc = eng_graph_add_node(g, n);
    if (rc < 0)
        return rc;
    memmove(&g->nodes[node + 2], &g->nodes[node + 1],
            (size_t)(g->n_nodes - node - 2) * sizeof(*g->nodes));
    g->nodes[node + 1] = *n;
    return 0;
}

/* A batch norm behind a convolution: its scale, and the bias that the convolution had. */
static int scale_behind(struct eng_graph *g, int node, const float *scale, int outputs)
{
    struct eng_node *conv = &g->nodes[node];
    struct eng_tensor sums = g->tensors[conv->out];
    struct eng_tensor vector = {.name = conv->name,
                                .type = ENG_F32,
                                .rank = 1,
                                .dim = {outputs},
                                .data = scale,
                                .size = (size_t)outputs * sizeof(*scale)};
    struct eng_node norm = {.name = conv->name,
                            .op = ENG_OP_BATCHNORM,
                            .n_in = 3,
                            .in = eng_graph_alloc(g, 3, sizeof(*norm.in)),
                            .out = conv->out,
                            .lo = conv->lo,
                            .hi = conv->hi};
    if (!norm.in || (norm.in[0] = eng_graph_add_tensor(g, &sums)) < 0 ||
        (norm.in[1] = eng_graph_add_tensor(g, &vector)) < 0)
        return -ENOMEM;
    norm.in[2] = conv->n_in > 2 ? conv->in[2] : -1;
    if (norm.in[2] < 0) {
        vector.data = eng_graph_alloc(g, (size_t)outputs, sizeof(*scale));
        if (!vector.data || (norm.in[2] = eng_graph_add_tensor(g, &vector)) < 0)
            return -ENOMEM;
    }
    conv->out = norm.in[0];
    conv->n_in = 2;
    conv->lo = -INFINITY;
    conv->hi = INFINITY;
    return insert_behind(g, node, &norm);
}

static int treat(struct eng_graph *g, int node, int n)
{
    const struct eng_node *layer = &g->nodes[node];
    struct eng_tensor *t = &g->tensors[layer->in[1]];
    int scaled = layer->op == ENG_OP_CONV && g->tensors[layer->out].rank == 4;
    size_t outputs = (size_t)t->dim[0], row = eng_tensor_elements(t) / outputs;
    float *scale = eng_graph_alloc(g, outputs, sizeof(*scale));
    if (!scale)
        return -ENOMEM;
    for (size_t o = 0; o < outputs; o++)
        scale[o] = scaled ? size_of((const float *)t->data + o * row, row) : 1;
    int rc = replace(g, t, n, scale, outputs);
    return rc == 0 && scaled ? scale_behind(g, node, scale, (int)outputs) : rc;
}

int eng_codebook_graph(struct eng_graph *g, int n)
{
    int rc = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (rc < 0)
            break;
        const struct eng_node *node = &g->nodes[i];
        if (node->op != ENG_OP_CONV && node->op != ENG_OP_FC)
            continue;
        const struct eng_tensor *t = &g->tensors[node->in[1]];
        if (t->type == ENG_F32 && t->data && eng_tensor_elements(t) >= (size_t)n * MANY)
            rc = treat(g, i, n);
    }
    return rc;
}
