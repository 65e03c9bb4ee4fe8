/* What the parts of eng_graph_check() share. Internal to check.c, shape.c and
 * arith.c. */
#ifndef ENG_GRAPH_CHECK_H
#define ENG_GRAPH_CHECK_H

#include "engine/graph/graph.h"

struct eng_check {
    struct eng_graph *g;
    const struct eng_node *n; /* the node that is looked at */
    int index;                /* of n */
    char *err;
    size_t errlen;
};

/* "node 12 (name): sentence"; returns code. */
int eng_check_fail(const struct eng_check *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int eng_op_takes(enum eng_op op, int inputs); /* whether so many are right */

/* Input `i` of the node, or NULL if absent. */
const struct eng_tensor *eng_check_in(const struct eng_check *c, int i);
struct eng_tensor *eng_check_out(const struct eng_check *c);

/* Shape of the node's output into ret (rank and dim alone), from checked inputs. */
int eng_check_shape(const struct eng_check *c, struct eng_tensor *ret);

/* Types, quantisation and constants of the node; after its shapes are known. */
int eng_check_arith(const struct eng_check *c);

/* dims a == dims b */
int eng_same_shape(const struct eng_tensor *a, const struct eng_tensor *b);
/* Both unquantised, or both per tensor with one scale and one zero point. */
int eng_same_quant(const struct eng_tensor *a, const struct eng_tensor *b);

#endif
