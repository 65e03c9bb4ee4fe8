/* Weights from a small set of values: k-means in one dimension, a codebook for each layer (Han et
 * al. 2016, section 3; Wu et al. 2016 do it with vectors). Internal to engine/. */
#ifndef ENG_OPTIMIZE_CODEBOOK_H
#define ENG_OPTIMIZE_CODEBOOK_H

#include "engine/graph/graph.h"

/* At most `n` (1 .. 256) values, ascending, for the `count` finite weights; how many, or -ENOMEM.
 */
int eng_codebook_fit(float *ret_values, int n, const float *weights, size_t count);
/* The nearest of n ascending values. */
float eng_codebook_nearest(const float *values, int n, float weight);

/* Convolutions and fully connected layers of a float graph whose weights are many against the
 * codebook get new weights; depthwise ones stay: they are few, and each channel has its own range.
 * Channels of one convolution differ too, by factors of 100: their weights are put over the root
 * of their mean square first, which goes into a batch norm behind the layer (folded at load). The
 * graph is to be checked again. 0, -ENOMEM, or ENG_E_LIMIT: too many nodes. */
int eng_codebook_graph(struct eng_graph *g, int n);

#endif
