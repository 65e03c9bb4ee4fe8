/* Gives constants back while they are packed. Tensors of a file may share bytes: those wait. */
#include "engine/plan/release.h"

#include <errno.h>
#include <stdlib.h>

struct extent {
    uintptr_t from, to;
    int tensor;
};

static int by_start(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* A constant whose bytes another one has too must not go before the end. */
static int spare_shared(struct eng_release *r)
{
    const struct eng_graph *g = r->g;
    struct extent *all = malloc(((size_t)g->n_tensors + 1) * sizeof(*all));
    int n = 0;
    if (!all)
        return -ENOMEM;
    for (int t = 0; t < g->n_tensors; t++) {
        uintptr_t from = (uintptr_t)g->tensors[t].data;
        if (from)
            all[n++] = (struct extent){from, from + g->tensors[t].size, t};
    }
    qsort(all, (size_t)n, sizeof(*all), by_start);
    for (int i = 1, widest = 0; i < n; i++) {
        if (all[i].from < all[widest].to)
            r->last_reader[all[i].tensor] = r->last_reader[all[widest].tensor] = -1;
        if (all[i].to > all[widest].to)
            widest = i;
    }
    free(all);
    return 0;
}

int eng_release_init(struct eng_release *r, struct eng_graph *g, const struct eng_file *files,
                     int n_files)
{
    *r = (struct eng_release){g, files, n_files, NULL};
    r->last_reader = malloc(((size_t)g->n_tensors + 1) * sizeof(*r->last_reader));
    if (!r->last_reader)
        return -ENOMEM;
    for (int t = 0; t < g->n_tensors; t++)
        r->last_reader[t] = -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                r->last_reader[g->nodes[i].in[k]] = i;
    int rc = spare_shared(r);
    if (rc < 0)
        eng_release_finish(r);
    return rc;
}

void eng_release_finish(struct eng_release *r)
{
    free(r->last_reader);
    r->last_reader = NULL;
}

void eng_release_packed(void *arg, int node)
{
    const struct eng_release *r = arg;
    const struct eng_node *n = &r->g->nodes[node];
    for (int k = 0; k < n->n_in; k++) {
        int t = n->in[k];
        if (t < 0 || r->last_reader[t] != node || !r->g->tensors[t].data)
            continue;
        for (int i = 0; i < r->n_files; i++)
            eng_file_release(&r->files[i], r->g->tensors[t].data, r->g->tensors[t].size);
        eng_graph_drop_constant(r->g, t);
    }
}
