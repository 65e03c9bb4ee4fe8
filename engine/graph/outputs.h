/* The outputs of a graph: names, and the main one. Internal to engine/.
 *
 * The main output is the one that is made last. Where all others are on the way to it (logits in
 * front of probabilities, a map in front of them), it alone says what the network is: logits, end
 * and embedding are found from it. Else the graph is open: no output says more than another. */
#ifndef ENG_GRAPH_OUTPUTS_H
#define ENG_GRAPH_OUTPUTS_H

#include "engine/graph/graph.h"

/* Appends an output, before the first check; the name is copied. The latest stands for the main one
 * until the check finds it. ENG_E_LIMIT, -ENOMEM, ENG_E_UNSUPPORTED: two of one name. */
int eng_graph_add_output(struct eng_graph *g, const char *name, int tensor, char *err,
                         size_t errlen);
int eng_graph_is_output(const struct eng_graph *g, int tensor);

/* Makes the named one the main output of a checked graph, which is to be checked again. ENG_E_DATA:
 * there is none of that name. */
int eng_graph_choose_output(struct eng_graph *g, const char *name, char *err, size_t errlen);

/* For eng_graph_check(). Before the nodes: all are tensors; a graph of which only `output` was set
 * gets its list. Behind the nodes: all are made by one, and the main one is found. */
int eng_graph_name_outputs(struct eng_graph *g, char *err, size_t errlen);
int eng_graph_check_outputs(struct eng_graph *g, char *err, size_t errlen);

#endif
