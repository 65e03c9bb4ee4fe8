/* MobileNets from their hyper-parameters, with seeded weights: for speed and cost, not for answers.
 * Internal to engine/. Sources: Howard et al. 2017 (V1, tables 1, 4, 5), Sandler et al. 2018 (V2,
 * table 2). */
#ifndef ENG_GRAPH_MOBILENET_H
#define ENG_GRAPH_MOBILENET_H

#include "engine/graph/graph.h"
#include "engine/model.h"

/* A checked graph of FP32, INT8 (int8 activations, per-channel weights) or UINT8 (per tensor,
 * weight zero points). -EINVAL with a sentence for a spec out of range. */
int eng_mobilenet_build(struct eng_graph **ret, const struct eng_mobilenet_spec *spec,
                        enum eng_precision precision, char *err, size_t errlen);
/* "mobilenet_v1_1.0_224", "mobilenet_v1_0.75_192_full", ... */
void eng_mobilenet_name(const struct eng_mobilenet_spec *spec, char *ret, size_t len);

#endif
