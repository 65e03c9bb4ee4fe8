/* What the parts of the pruner share. Internal to engine/prune*.c. Matrices are square, by rows;
 * index 0 is the constant 1 that the bias belongs to and never goes. */
#ifndef ENG_OPTIMIZE_PRUNE_PARTS_H
#define ENG_OPTIMIZE_PRUNE_PARTS_H

#include "engine/plan/plan.h"

enum { ENG_PRUNE_OUTPUTS = 16 };

/* ---- prune_panel.c: the arithmetic ---- */

/* In place, symmetric and positive definite. 0, or -1: it is not. */
int eng_prune_invert(double *m, size_t n);

/* Takes `count` < n of the inputs of a panel of 16 outputs away, each time the one that costs
 * least, and corrects the weights of those that stay: w [n][16]. inverse [n][n]: of the Gram matrix
 * of the inputs; used up. errors[i], unless NULL: += what the i-th costs. 0, or -ENOMEM. */
int eng_prune_panel(double *w, double *inverse, size_t n, size_t count, double *errors);

/* ---- prune_layer.c: a layer ---- */

struct eng_prune_layer {
    int node, k, n;   /* k: inputs */
    double mult_adds; /* of the dense layer */
    double seen;      /* pixels */
    double *gram;     /* [k+1][k+1] of its inputs; the lower half comes with _measure, _solve */
    double *cross;    /* [k+1][k+1] inputs now x inputs in the whole network; NULL: the same */
    double energy;    /* variance of all outputs; 0: not known, it stays as it is */
    double *cost;     /* [limit]: of the i-th input of all panels */
    int limit, gone;  /* inputs of a panel: that may go, that go */
};

int eng_prune_layer_init(struct eng_prune_layer *l, const struct eng_graph *g, int node,
                         double most_share); /* -ENOMEM */
void eng_prune_layer_finish(struct eng_prune_layer *l);
int eng_prune_layer_clear(struct eng_prune_layer *l); /* both matrices, of nothing; -ENOMEM */
void eng_prune_layer_drop(struct eng_prune_layer *l); /* both matrices */

/* Cost and energy, from `gram`. g: the whole network. */
int eng_prune_layer_measure(struct eng_prune_layer *l, const struct eng_graph *g,
                            struct eng_team *team, char *err, size_t errlen);
/* Weights [n][k] and bias [n] without `gone` of the inputs, from both matrices. */
int eng_prune_layer_solve(struct eng_prune_layer *l, const struct eng_graph *g, float *ret_weights,
                          float *ret_bias, struct eng_team *team, char *err, size_t errlen);

/* ---- prune_learn.c: activations ---- */

/* A network that keeps the inputs of layers. */
struct eng_prune_net {
    const struct eng_graph *g;
    struct eng_plan *plan;
    struct eng_run *run;
};
int eng_prune_net_open(struct eng_prune_net *net, const struct eng_graph *g,
                       const struct eng_prune_layer *layers, int n, int slots, char *err,
                       size_t errlen);
void eng_prune_net_close(struct eng_prune_net *net);
/* Adds the pixels of slots 0 .. n-1 to the layer's matrices. */
void eng_prune_gather(struct eng_prune_layer *l, const struct eng_prune_net *now,
                      const struct eng_prune_net *before, int n, struct eng_team *team);

#endif
