/* A model's layers, as a table has them: of the graph, and what the plan made of each. */
#include "engine/model.h"

#include <errno.h>

#include "engine/graph/graph.h"
#include "engine/inside.h"
#include "engine/plan/plan.h"

int eng_model_layers(const struct eng_model *m)
{
    return eng_plan_graph(eng_model_plan(m))->n_nodes;
}

/* Height, width and channels of what may be an image or a vector. */
static void extent(const struct eng_tensor *t, int *h, int *w, int *c)
{
    int image = t->rank == 4;
    *h = image ? t->dim[1] : 1;
    *w = image ? t->dim[2] : 1;
    *c = t->rank > 0 ? t->dim[t->rank - 1] : 1;
}

int eng_model_layer(const struct eng_model *m, int index, struct eng_layer *ret)
{
    const struct eng_plan *plan = eng_model_plan(m);
    const struct eng_graph *g = eng_plan_graph(plan);
    if (index < 0 || index >= g->n_nodes)
        return -ERANGE;
    const struct eng_node *n = &g->nodes[index];
    struct eng_cost cost = eng_node_cost(g, n);
    struct eng_layer l = {.name = n->name,
                          .kind = eng_node_kind(n),
                          .stride = n->win.sh > 0 ? n->win.sh : 1,
                          .kernel_h = n->win.kh > 0 ? n->win.kh : 1,
                          .kernel_w = n->win.kw > 0 ? n->win.kw : 1,
                          .mult_adds = cost.mult_adds,
                          .parameters = cost.parameters,
                          .kernel = eng_plan_node_kernel(plan, index),
                          .density = eng_plan_node_density(plan, index),
                          .step = eng_plan_node_step(plan, index)};
    extent(&g->tensors[n->in[0]], &l.in_h, &l.in_w, &l.in_c);
    extent(&g->tensors[n->out], &l.out_h, &l.out_w, &l.out_c);
    *ret = l;
    return 0;
}
