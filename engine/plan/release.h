/* Gives a graph's constants back one by one while the planner packs them, so that loading a model
 * needs little more memory than serving it. Internal to engine/. */
#ifndef ENG_PLAN_RELEASE_H
#define ENG_PLAN_RELEASE_H

#include "engine/base/file.h"
#include "engine/graph/graph.h"

struct eng_release {
    struct eng_graph *g;
    const struct eng_file *files; /* that the graph may point into */
    int n_files;
    int *last_reader; /* by tensor: the node after which it may go; -1: not before the end */
};

int eng_release_init(struct eng_release *r, struct eng_graph *g, const struct eng_file *files,
                     int n_files); /* -ENOMEM */
void eng_release_finish(struct eng_release *r);

/* For eng_plan_options.packed; arg: struct eng_release *. */
void eng_release_packed(void *arg, int node);

#endif
