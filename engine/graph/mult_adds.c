/* The paper's cost of a node: Howard et al. 2017, equations 2 to 5. */
#include "engine/graph/graph.h"

size_t eng_tensor_elements(const struct eng_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

struct eng_cost eng_node_cost(const struct eng_graph *g, const struct eng_node *n)
{
    struct eng_cost cost = {0, 0};
    const struct eng_tensor *out = &g->tensors[n->out];
    switch (n->op) {
    case ENG_OP_CONV:
    case ENG_OP_DEPTHWISE:
    case ENG_OP_FC:
        break;
    case ENG_OP_BATCHNORM:
        cost.parameters = 2 * eng_tensor_elements(&g->tensors[n->in[1]]);
        return cost;
    case ENG_OP_PRELU:
        cost.parameters = eng_tensor_elements(&g->tensors[n->in[1]]);
        return cost;
    default:
        return cost;
    }
    const struct eng_tensor *w = &g->tensors[n->in[1]];
    size_t outputs = (size_t)w->dim[n->op == ENG_OP_DEPTHWISE ? w->rank - 1 : 0];
    size_t per_output = eng_tensor_elements(w) / outputs;
    cost.parameters = eng_tensor_elements(w);
    if (n->n_in > 2 && n->in[2] >= 0)
        cost.parameters += eng_tensor_elements(&g->tensors[n->in[2]]);
    cost.mult_adds = (uint64_t)eng_tensor_elements(out) * per_output;
    return cost;
}
