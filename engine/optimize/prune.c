/* See prune.h. Gram matrices of the inputs of every pointwise layer first; then a step a layer for
 * what each further input costs; then, as all layers together settled how many go, one a layer that
 * takes them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/importers/compressed_parts.h"
#include "engine/inside.h"
#include "engine/optimize/compressed_write.h"
#include "engine/optimize/prune_parts.h"
#include "engine/prune.h"

enum {
    LEAST = 32,      /* inputs and outputs of a layer that is worth it */
    MOST = 2048,     /* inputs: a matrix of 32 MB */
    LEAST_SHARE = 8, /* a layer that loses less than 1/8 of its inputs is not run sparse (pack.c) */
};
static const double MOST_SHARE = 0.9;

struct eng_pruner {
    struct eng_model *whole; /* the reference form, whose constants the graphs point to */
    struct eng_graph *before, *g;
    struct eng_prune_net net; /* of `before` */
    char dir[4096];
    double share;
    int slots, fed, n;
    struct eng_prune_layer *layers;
    float **pictures; /* [fed] */
    size_t values;    /* of a picture */
};

static int no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory to prune the model");
}

/* ---- beginning and end ---- */

void eng_pruner_destroy(struct eng_pruner *p)
{
    if (!p)
        return;
    eng_prune_net_close(&p->net);
    for (int i = 0; i < p->n; i++)
        eng_prune_layer_finish(&p->layers[i]);
    for (int i = 0; p->pictures && i < ENG_PRUNE_PICTURES; i++)
        free(p->pictures[i]);
    free(p->pictures);
    free(p->layers);
    eng_graph_destroy(p->g);
    eng_graph_destroy(p->before);
    eng_model_unref(p->whole);
    free(p);
}

static int is_target(const struct eng_graph *g, const struct eng_node *n)
{
    const struct eng_window *w = &n->win;
    if (n->op != ENG_OP_CONV || n->groups != 1 || w->kh != 1 || w->kw != 1 || w->sh != 1 ||
        w->sw != 1 || w->top || w->bottom || w->left || w->right)
        return 0;
    const struct eng_tensor *t = &g->tensors[n->in[1]];
    return t->type == ENG_F32 && t->data && t->dim[0] >= LEAST && t->dim[3] >= LEAST &&
           t->dim[3] <= MOST;
}

static int find_layers(struct eng_pruner *p, char *err, size_t errlen)
{
    p->layers = calloc((size_t)p->g->n_nodes, sizeof(*p->layers));
    for (int i = 0; p->layers && i < p->g->n_nodes; i++)
        if (is_target(p->g, &p->g->nodes[i]) &&
            eng_prune_layer_init(&p->layers[p->n++], p->before, i, MOST_SHARE) < 0)
            return no_memory(err, errlen);
    if (!p->layers)
        return no_memory(err, errlen);
    return p->n ? 0
                : eng_fail(err, errlen, -EINVAL,
                           "the model has no pointwise layer of %d inputs and outputs or more",
                           LEAST);
}

/* The folded graph, and a copy whose weights will change. */
static int make_graphs(struct eng_pruner *p, char *err, size_t errlen)
{
    if (eng_graph_clone(&p->before, eng_plan_graph(eng_model_plan(p->whole))) < 0)
        return no_memory(err, errlen);
    int rc = eng_graph_check(p->before, err, errlen);
    if (rc == 0)
        rc = eng_graph_fold(p->before, err, errlen);
    if (rc == 0 && eng_graph_clone(&p->g, p->before) < 0)
        rc = no_memory(err, errlen);
    return rc == 0 ? eng_graph_check(p->g, err, errlen) : rc;
}

static int load(struct eng_pruner *p, char *err, size_t errlen)
{
    struct eng_model_options o = {.reference = 1};
    int rc = eng_model_load(&p->whole, p->dir, &o, err, errlen);
    if (rc < 0)
        return rc;
    if (strcmp(eng_model_info(p->whole)->precision, "fp32") != 0)
        return eng_fail(err, errlen, -EINVAL, "the model is %s: only a float model is pruned",
                        eng_model_info(p->whole)->precision);
    if (eng_model_info(p->whole)->open)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the model has %d outputs: only one with a main output is pruned",
                        eng_model_info(p->whole)->n_outputs);
    rc = make_graphs(p, err, errlen);
    if (rc >= 0)
        rc = find_layers(p, err, errlen);
    if (rc < 0)
        return rc;
    p->values = eng_tensor_elements(&p->g->tensors[p->g->input]);
    p->pictures = calloc(ENG_PRUNE_PICTURES, sizeof(*p->pictures));
    if (!p->pictures)
        return no_memory(err, errlen);
    return eng_prune_net_open(&p->net, p->before, p->layers, p->n, p->slots, err, errlen);
}

int eng_pruner_create(struct eng_pruner **ret, const char *dir, double share, int slots, char *err,
                      size_t errlen)
{
    struct eng_pruner *p = calloc(1, sizeof(*p));
    if (!p)
        return no_memory(err, errlen);
    p->share = share;
    p->slots = slots;
    int rc = snprintf(p->dir, sizeof(p->dir), "%s", dir) < (int)sizeof(p->dir) ? 0 : -ENAMETOOLONG;
    if (rc < 0)
        eng_fail(err, errlen, rc, "%.80s: the path is too long", dir);
    if (rc == 0)
        rc = load(p, err, errlen);
    if (rc < 0)
        eng_pruner_destroy(p);
    else
        *ret = p;
    return rc;
}

const struct eng_model_info *eng_pruner_info(const struct eng_pruner *p)
{
    return eng_model_info(p->whole);
}

void *eng_pruner_input(struct eng_pruner *p, int slot)
{
    return eng_run_input(p->net.run, slot);
}

/* ---- pictures ---- */

static int keep_picture(struct eng_pruner *p, int slot)
{
    float *copy = malloc(p->values * sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, eng_run_input(p->net.run, slot), p->values * sizeof(*copy));
    p->pictures[p->fed++] = copy;
    return 0;
}

int eng_pruner_feed(struct eng_pruner *p, int n, struct eng_team *team)
{
    if (n < 1 || n > p->slots)
        return -EINVAL;
    if (n > ENG_PRUNE_PICTURES - p->fed)
        n = ENG_PRUNE_PICTURES - p->fed;
    if (n == 0)
        return 0;
    for (int slot = 0; slot < n; slot++)
        if (keep_picture(p, slot) < 0)
            return -ENOMEM;
    int rc = eng_run_exec(p->net.run, n, team);
    if (rc < 0)
        return rc;
    for (int i = 0; i < p->n; i++)
        eng_prune_gather(&p->layers[i], &p->net, &p->net, n, team);
    return 0;
}

/* ---- all layers together ---- */

/* How many inputs of a panel go if each may cost `price` a multiply-add. */
static int affordable(const struct eng_prune_layer *l, double price)
{
    double each = l->mult_adds / l->k, most = 0;
    int i = 0;
    for (; i < l->limit; i++) {
        most = fmax(most, l->cost[i]);
        if (!(most / l->energy / each <= price))
            break;
    }
    return i * LEAST_SHARE < l->k ? 0 : i;
}

/* Multiply-adds that go at that price. */
static double settle(struct eng_pruner *p, double price)
{
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        struct eng_prune_layer *l = &p->layers[i];
        l->gone = l->energy > 0 ? affordable(l, price) : 0;
        sum += l->mult_adds * l->gone / l->k;
    }
    return sum;
}

/* The price by bisection, of its exponent. */
static void allocate(struct eng_pruner *p)
{
    double lo = -120, hi = 20, all = 0;
    for (int i = 0; i < p->n; i++)
        all += p->layers[i].mult_adds;
    for (int i = 0; i < 60; i++) {
        double mid = (lo + hi) / 2;
        if (settle(p, exp2(mid)) < all * p->share)
            lo = mid;
        else
            hi = mid;
    }
    settle(p, exp2(hi));
}

/* New weights, and a bias that the layer may not have had. */
static int apply(struct eng_pruner *p, struct eng_prune_layer *l, struct eng_team *team, char *err,
                 size_t errlen)
{
    struct eng_node *n = &p->g->nodes[l->node];
    struct eng_tensor w = p->g->tensors[n->in[1]];
    float *weights = eng_graph_alloc(p->g, eng_tensor_elements(&w), sizeof(*weights));
    float *bias = eng_graph_alloc(p->g, (size_t)l->n, sizeof(*bias));
    int *in = eng_graph_alloc(p->g, 3, sizeof(*in));
    if (!weights || !bias || !in)
        return no_memory(err, errlen);
    int rc = eng_prune_layer_solve(l, p->before, weights, bias, team, err, errlen);
    if (rc < 0)
        return rc;
    struct eng_tensor b = {.name = n->name,
                           .type = ENG_F32,
                           .rank = 1,
                           .dim = {l->n},
                           .data = bias,
                           .size = (size_t)l->n * sizeof(*bias),
                           .producer = -1};
    w.data = weights;
    in[0] = n->in[0];
    in[1] = eng_graph_add_tensor(p->g, &w);
    in[2] = eng_graph_add_tensor(p->g, &b);
    if (in[1] < 0 || in[2] < 0)
        return no_memory(err, errlen);
    n->in = in;
    n->n_in = 3;
    return eng_graph_check(p->g, err, errlen);
}

/* Both networks over all pictures again, for one layer. */
static int look_again(struct eng_pruner *p, struct eng_prune_layer *l, struct eng_team *team,
                      char *err, size_t errlen)
{
    struct eng_prune_net now = {0};
    int rc = eng_prune_net_open(&now, p->g, l, 1, p->slots, err, errlen);
    for (int at = 0; at < p->fed; at += p->slots) {
        if (rc < 0)
            break;
        int n = p->fed - at < p->slots ? p->fed - at : p->slots;
        for (int slot = 0; slot < n; slot++) {
            size_t bytes = p->values * sizeof(float);
            memcpy(eng_run_input(p->net.run, slot), p->pictures[at + slot], bytes);
            memcpy(eng_run_input(now.run, slot), p->pictures[at + slot], bytes);
        }
        rc = eng_run_exec(p->net.run, n, team);
        if (rc == 0)
            rc = eng_run_exec(now.run, n, team);
        if (rc == 0)
            eng_prune_gather(l, &now, &p->net, n, team);
    }
    eng_prune_net_close(&now);
    return rc;
}

static int solve(struct eng_pruner *p, struct eng_prune_layer *l, struct eng_team *team, char *err,
                 size_t errlen)
{
    if (l->energy <= 0)
        return 0;
    if (eng_prune_layer_clear(l) < 0)
        return no_memory(err, errlen);
    int rc = look_again(p, l, team, err, errlen);
    if (rc == 0)
        rc = apply(p, l, team, err, errlen);
    eng_prune_layer_drop(l);
    return rc;
}

int eng_pruner_steps(const struct eng_pruner *p)
{
    return 2 * p->n;
}

int eng_pruner_step(struct eng_pruner *p, int step, struct eng_team *team, char *err, size_t errlen)
{
    if (p->fed == 0)
        return eng_fail(err, errlen, ENG_E_DATA, "there are no pictures to prune with");
    if (step < p->n) {
        struct eng_prune_layer *l = &p->layers[step];
        int rc = l->seen < l->k ? 0 : eng_prune_layer_measure(l, p->before, team, err, errlen);
        eng_prune_layer_drop(l);
        return rc;
    }
    if (step == p->n)
        allocate(p);
    return solve(p, &p->layers[step - p->n], team, err, errlen);
}

/* ---- what became of it ---- */

int eng_pruner_save(struct eng_compress_sizes *ret, const struct eng_pruner *p, const char *to,
                    char *err, size_t errlen)
{
    char source[400];
    double gone = 0, all = 0;
    for (int i = 0; i < p->n; i++) {
        const struct eng_prune_layer *l = &p->layers[i];
        all += l->mult_adds;
        gone += l->mult_adds * l->gone / l->k;
    }
    snprintf(source, sizeof(source),
             "%.200s, without %.0f %% of its pointwise multiply-adds by mobilenetd",
             eng_pruner_info(p)->name, 100 * gone / all);
    return eng_compress_network(ret, p->dir, to, p->whole, p->g, source, err, errlen);
}

int eng_pruner_layers(const struct eng_pruner *p)
{
    return p->n;
}

void eng_pruner_layer(const struct eng_pruner *p, int index, struct eng_pruned_layer *ret)
{
    const struct eng_prune_layer *l = &p->layers[index];
    *ret = (struct eng_pruned_layer){.name = p->g->nodes[l->node].name,
                                     .inputs = l->k,
                                     .outputs = l->n,
                                     .kept = l->k - l->gone,
                                     .mult_adds = l->mult_adds};
    for (int i = 0; i < l->gone; i++)
        ret->error += l->cost[i] / l->energy;
}
