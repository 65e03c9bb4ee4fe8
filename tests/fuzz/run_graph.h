/* What every importer's target does with a graph that came through: fold, plan, run. */
#ifndef TESTS_FUZZ_RUN_GRAPH_H
#define TESTS_FUZZ_RUN_GRAPH_H

#include <string.h>

#include "engine/plan/plan.h"

/* Only what is quick: a fuzzer needs many tries, and a graph of a gigabyte is not wrong. */
static int is_small(const struct eng_graph *g)
{
    uint64_t work = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct eng_node *n = &g->nodes[i];
        uint64_t window =
            (uint64_t)(n->win.kh > 0 ? n->win.kh : 1) * (uint64_t)(n->win.kw > 0 ? n->win.kw : 1);
        work += eng_node_cost(g, n).mult_adds;
        work += eng_tensor_elements(&g->tensors[n->out]) * window;
        if (work > 1000000)
            return 0;
    }
    return eng_tensor_elements(&g->tensors[g->input]) < 1000000;
}

static void run_plan(const struct eng_graph *g, int reference)
{
    char err[256];
    struct eng_plan *plan;
    struct eng_run *r;
    struct eng_plan_options options = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    if (eng_plan_create(&plan, g, &options, err, sizeof(err)) < 0)
        return;
    if (eng_run_create(&r, plan, 1, 1, err, sizeof(err)) == 0) {
        const struct eng_tensor *in = &g->tensors[g->input];
        memset(eng_run_input(r, 0), 1, eng_tensor_elements(in) * eng_type_size(in->type));
        eng_run_exec(r, 1, NULL);
        eng_run_destroy(r);
    }
    eng_plan_destroy(plan);
}

static inline void run_graph(struct eng_graph *g_take)
{
    char err[256];
    if (is_small(g_take)) {
        run_plan(g_take, 1);
        if (eng_graph_fold(g_take, err, sizeof(err)) == 0)
            run_plan(g_take, 0);
    }
    eng_graph_destroy(g_take);
}

#endif
