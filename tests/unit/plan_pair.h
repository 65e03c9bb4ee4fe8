/* The fast plan of a graph beside the reference plan, for inputs that a test chooses. */
#ifndef TESTS_UNIT_PLAN_PAIR_H
#define TESTS_UNIT_PLAN_PAIR_H

#include "engine/graph/graph.h"

/* Writes image number `image` of the graph's input. */
typedef void plan_pair_fill_fn(const struct eng_graph *g, void *to, int image, const void *arg);

/* Three images as one batch and as three: equal in every bit. A kernel whose name begins with
 * `kernel` must run one of the nodes in the fast plan. Fails the test otherwise. */
void plan_pair_compare(const struct eng_graph *g, plan_pair_fill_fn *fill, const void *arg,
                       const char *kernel);

#endif
