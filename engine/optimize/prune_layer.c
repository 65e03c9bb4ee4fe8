/* See prune_parts.h. Damping keeps weights near what they were where the pictures say little: the
 * more, the fewer pixels there are for each input. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/optimize/prune_parts.h"

enum { OUTPUTS = ENG_PRUNE_OUTPUTS };
static const double DAMPING = 0.01, DAMPING_FEW = 0.1;

static size_t size_of(const struct eng_prune_layer *l)
{
    return (size_t)l->k + 1;
}

static int panels_of(const struct eng_prune_layer *l)
{
    return (l->n + OUTPUTS - 1) / OUTPUTS;
}

static int no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory to prune the model");
}

int eng_prune_layer_init(struct eng_prune_layer *l, const struct eng_graph *g, int node,
                         double most_share)
{
    const struct eng_tensor *w = &g->tensors[g->nodes[node].in[1]];
    *l = (struct eng_prune_layer){.node = node, .k = w->dim[3], .n = w->dim[0]};
    l->limit = (int)(l->k * most_share);
    l->mult_adds = (double)eng_node_cost(g, &g->nodes[node]).mult_adds;
    l->gram = calloc(size_of(l) * size_of(l), sizeof(*l->gram));
    l->cost = calloc((size_t)l->limit, sizeof(*l->cost));
    return l->gram && l->cost ? 0 : -ENOMEM;
}

void eng_prune_layer_drop(struct eng_prune_layer *l)
{
    free(l->gram);
    free(l->cross);
    l->gram = l->cross = NULL;
}

void eng_prune_layer_finish(struct eng_prune_layer *l)
{
    eng_prune_layer_drop(l);
    free(l->cost);
}

int eng_prune_layer_clear(struct eng_prune_layer *l)
{
    eng_prune_layer_drop(l);
    l->seen = 0;
    l->gram = calloc(size_of(l) * size_of(l), sizeof(*l->gram));
    l->cross = calloc(size_of(l) * size_of(l), sizeof(*l->cross));
    return l->gram && l->cross ? 0 : -ENOMEM;
}

/* [k+1][16]: bias first; outputs that do not exist are 0. */
static void panel_weights(const struct eng_prune_layer *l, const struct eng_graph *g, int panel,
                          double *w)
{
    const struct eng_node *n = &g->nodes[l->node];
    const float *from = g->tensors[n->in[1]].data;
    const float *bias = n->n_in > 2 && n->in[2] >= 0 ? g->tensors[n->in[2]].data : NULL;
    size_t k = (size_t)l->k;
    memset(w, 0, size_of(l) * OUTPUTS * sizeof(*w));
    for (int o = 0; o < OUTPUTS && panel * OUTPUTS + o < l->n; o++) {
        size_t row = (size_t)(panel * OUTPUTS + o);
        w[o] = bias ? (double)bias[row] : 0;
        for (size_t i = 0; i < k; i++)
            w[(i + 1) * OUTPUTS + (size_t)o] = (double)from[row * k + i];
    }
}

/* Means in place of sums, and the lower half. */
static void complete(struct eng_prune_layer *l)
{
    size_t size = size_of(l);
    for (size_t r = 0; r < size; r++)
        for (size_t c = r; c < size; c++)
            l->gram[c * size + r] = l->gram[r * size + c] /= l->seen;
    for (size_t i = 0; l->cross && i < size * size; i++)
        l->cross[i] /= l->seen;
}

/* Variance of the outputs: w (G - m m') w', summed. */
static double energy_of(const struct eng_prune_layer *l, const struct eng_graph *g, double *w)
{
    size_t size = size_of(l);
    double sum = 0;
    for (int q = 0; q < panels_of(l); q++) {
        panel_weights(l, g, q, w);
        for (size_t r = 1; r < size; r++)
            for (size_t c = 1; c < size; c++) {
                double cov = l->gram[r * size + c] - l->gram[r] * l->gram[c], dot = 0;
                for (size_t o = 0; o < OUTPUTS; o++)
                    dot += w[r * OUTPUTS + o] * w[c * OUTPUTS + o];
                sum += cov * dot;
            }
    }
    return sum;
}

/* Adds to the diagonal but for the bias; how much, or < 0: cannot be inverted. */
static double invert(struct eng_prune_layer *l)
{
    size_t size = size_of(l);
    double trace = 0, few = DAMPING_FEW * l->k / l->seen;
    for (size_t i = 1; i < size; i++)
        trace += l->gram[i * size + i];
    double damping = (few > DAMPING ? few : DAMPING) * trace / l->k + 1e-12;
    for (size_t i = 1; i < size; i++)
        l->gram[i * size + i] += damping;
    return eng_prune_invert(l->gram, size) < 0 ? -1 : damping;
}

struct panels {
    struct eng_prune_layer *l;
    const struct eng_graph *g;
    float *weights, *bias; /* NULL: only the cost is asked for */
    double damping, *cost; /* cost: [panels][limit] */
    atomic_int failed;
};

static void store(const struct panels *a, int panel, const double *w)
{
    size_t k = (size_t)a->l->k;
    for (int o = 0; o < OUTPUTS && panel * OUTPUTS + o < a->l->n; o++) {
        size_t row = (size_t)(panel * OUTPUTS + o);
        a->bias[row] = (float)w[o];
        for (size_t i = 0; i < k; i++)
            a->weights[row * k + i] = (float)w[(i + 1) * OUTPUTS + (size_t)o];
    }
}

/* to[r] = sum over c of m[r][c] * w[c], for 16 outputs. */
static void multiply(const double *m, const double *w, size_t size, double *to)
{
    memset(to, 0, size * OUTPUTS * sizeof(*to));
    for (size_t r = 0; r < size; r++)
        for (size_t c = 0; c < size; c++)
            for (size_t o = 0; o < OUTPUTS; o++)
                to[r * OUTPUTS + o] += m[r * size + c] * w[c * OUTPUTS + o];
}

/* The best weights with all inputs: (cross w + damping w) over the damped Gram matrix. */
static void refit(const struct panels *a, double *w, double *right)
{
    size_t size = size_of(a->l);
    multiply(a->l->cross, w, size, right);
    for (size_t i = OUTPUTS; i < size * OUTPUTS; i++)
        right[i] += a->damping * w[i];
    multiply(a->l->gram, right, size, w);
}

static int run_panel(struct panels *a, int q, double *inverse, double *w, double *right)
{
    struct eng_prune_layer *l = a->l;
    size_t size = size_of(l);
    memcpy(inverse, l->gram, size * size * sizeof(*inverse));
    panel_weights(l, a->g, q, w);
    if (!a->weights)
        return eng_prune_panel(w, inverse, size, (size_t)l->limit,
                               a->cost + (size_t)q * (size_t)l->limit);
    refit(a, w, right);
    int rc = eng_prune_panel(w, inverse, size, (size_t)l->gone, NULL);
    if (rc == 0)
        store(a, q, w);
    return rc;
}

static void run_panels(void *arg, int begin, int end, int member)
{
    struct panels *a = arg;
    size_t size = size_of(a->l);
    (void)member;
    double *inverse = malloc(size * size * sizeof(*inverse));
    double *w = malloc(size * OUTPUTS * sizeof(*w)), *right = malloc(size * OUTPUTS * sizeof(*w));
    for (int q = begin; q < end; q++)
        if (!inverse || !w || !right || run_panel(a, q, inverse, w, right) < 0)
            atomic_store(&a->failed, 1);
    free(inverse);
    free(w);
    free(right);
}

static int run_all(struct panels *a, struct eng_team *team, char *err, size_t errlen)
{
    if (a->damping < 0)
        return eng_fail(err, errlen, ENG_E_DATA, "%.100s: its inputs cannot be solved for",
                        a->g->nodes[a->l->node].name);
    eng_team_for(team, panels_of(a->l), run_panels, a);
    return atomic_load(&a->failed) ? no_memory(err, errlen) : 0;
}

static void add_costs(struct eng_prune_layer *l, const double *cost)
{
    for (int q = 0; q < panels_of(l); q++)
        for (int i = 0; i < l->limit; i++)
            l->cost[i] += cost[(size_t)q * (size_t)l->limit + (size_t)i];
}

int eng_prune_layer_measure(struct eng_prune_layer *l, const struct eng_graph *g,
                            struct eng_team *team, char *err, size_t errlen)
{
    struct panels a = {.l = l, .g = g};
    double *w = malloc(size_of(l) * OUTPUTS * sizeof(*w));
    a.cost = calloc((size_t)panels_of(l) * (size_t)l->limit, sizeof(*a.cost));
    int rc = w && a.cost ? 0 : no_memory(err, errlen);
    if (rc == 0) {
        complete(l);
        l->energy = energy_of(l, g, w);
        a.damping = invert(l);
        rc = run_all(&a, team, err, errlen);
    }
    if (rc == 0)
        add_costs(l, a.cost);
    free(w);
    free(a.cost);
    return rc;
}

int eng_prune_layer_solve(struct eng_prune_layer *l, const struct eng_graph *g, float *ret_weights,
                          float *ret_bias, struct eng_team *team, char *err, size_t errlen)
{
    struct panels a = {.l = l, .g = g, .weights = ret_weights, .bias = ret_bias};
    complete(l);
    a.damping = invert(l);
    return run_all(&a, team, err, errlen);
}
