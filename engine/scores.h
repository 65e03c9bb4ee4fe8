/* Whether a model is a classifier, and how its logits become scores. Internal to engine/. */
#ifndef ENG_SCORES_H
#define ENG_SCORES_H

#include "engine/graph/graph.h"
#include "engine/model.h"

/* Fills activation and no_classes of `info`, which has outputs, embeds and end of the checked graph
 * already. said: what the manifest says (enum eng_activation), -1: nothing. The text lies in the
 * graph's pool. ENG_E_DATA: the manifest says what cannot be; -ENOMEM. */
int eng_scores_settle(struct eng_graph *g, int said, struct eng_model_info *info, char *err,
                      size_t errlen);

/* Fills n_outputs and output of `info`, as the files have them: before the graph is folded, which
 * may leave out dimensions of 1. The list lies in the graph's pool. -ENOMEM. */
int eng_scores_outputs(struct eng_graph *g, struct eng_model_info *info, char *err, size_t errlen);

#endif
