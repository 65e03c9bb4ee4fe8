/* See plan_pair.h. */
#include "tests/unit/plan_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "engine/plan/plan.h"

enum { BATCH = 3 };

struct world {
    struct eng_plan *plan;
    struct eng_run *run;
};

static void open_world(struct world *w, const struct eng_graph *g, int reference)
{
    char err[256] = "";
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    if (eng_plan_create(&w->plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&w->run, w->plan, BATCH, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void close_world(struct world *w)
{
    eng_run_destroy(w->run);
    eng_plan_destroy(w->plan);
}

static int runs_by(const struct eng_plan *p, const char *kernel)
{
    for (int i = 0; i < eng_plan_graph(p)->n_nodes; i++)
        if (strncmp(eng_plan_node_kernel(p, i), kernel, strlen(kernel)) == 0)
            return 1;
    return 0;
}

static void run(const struct world *w, plan_pair_fill_fn *fill, const void *arg, int first, int n)
{
    for (int i = 0; i < n; i++)
        fill(eng_plan_graph(w->plan), eng_run_input(w->run, i), first + i, arg);
    assert_int_equal(eng_run_exec(w->run, n, NULL), 0);
}

static void assert_equal_output(const struct world *have, int slot, const struct world *want,
                                int image, const char *kernel)
{
    const struct eng_graph *g = eng_plan_graph(want->plan);
    const struct eng_tensor *t = &g->tensors[g->output];
    size_t n = eng_tensor_elements(t), size = eng_type_size(t->type);
    const char *a = eng_run_tensor(have->run, g->output, slot);
    const char *b = eng_run_tensor(want->run, g->output, image);
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i * size, b + i * size, size) != 0)
            fail_msg("%s: image %d differs at element %zu of %zu", kernel, image, i, n);
}

void plan_pair_compare(const struct eng_graph *g, plan_pair_fill_fn *fill, const void *arg,
                       const char *kernel)
{
    struct world ref, fast;
    open_world(&ref, g, 1);
    open_world(&fast, g, 0);
    if (!runs_by(fast.plan, kernel))
        fail_msg("%s runs no node of this graph", kernel);
    run(&ref, fill, arg, 0, BATCH);
    run(&fast, fill, arg, 0, BATCH);
    for (int i = 0; i < BATCH; i++)
        assert_equal_output(&fast, i, &ref, i, kernel);
    for (int i = 0; i < BATCH; i++) {
        run(&fast, fill, arg, i, 1);
        assert_equal_output(&fast, 0, &ref, i, kernel);
    }
    close_world(&fast);
    close_world(&ref);
}
