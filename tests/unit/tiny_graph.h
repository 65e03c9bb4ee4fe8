/* Small graphs with random weights for tests of the plan and of the reference operators. */
#ifndef TESTS_TINY_GRAPH_H
#define TESTS_TINY_GRAPH_H

#include "engine/graph/graph.h"

struct tiny {
    struct eng_graph *g;
    unsigned seed;
    enum eng_type
        type;    /* of activations: F32, U8 (per tensor, weight zero points), I8 (per channel) */
    int t;       /* tensor that the next node reads */
    int h, w, c; /* its shape */
};

unsigned tiny_random(struct tiny *t, unsigned below);
float tiny_unit(struct tiny *t); /* -1 .. 1 */

/* Every function fails the test if it cannot do its work. All return the new current tensor. */
void tiny_begin(struct tiny *t, enum eng_type type, int h, int w, int c, unsigned seed);
/* An activation of the type of the graph: scale and zero point if it is quantised. */
int tiny_tensor(struct tiny *t, float scale, int zero_point);
int tiny_typed(struct tiny *t, enum eng_type type, float scale, int zero_point);
/* A node of one output whose constants are already tensors. */
int tiny_node(struct tiny *t, struct eng_node n, const int *in, int n_in, int out);
struct eng_node tiny_op(enum eng_op op); /* no clamp, window 1x1, groups and multiplier 1 */
int tiny_constant(struct tiny *t, enum eng_type type, int rank, const int *dim, const void *data);

/* Random weights, a bias, an output scale that spreads the sums over the range; clamp: 0 none, 1
 * inside the range. k x k, stride s, SAME padding as TFLite's, dilation d. */
int tiny_conv(struct tiny *t, int out_c, int k, int s, int d, int groups, int clamp);
int tiny_depthwise(struct tiny *t, int k, int s, int multiplier, int clamp);
int tiny_fc(struct tiny *t, int outputs);
int tiny_pool(struct tiny *t, enum eng_op op, int k, int s); /* k 0: the whole map */
int tiny_add(struct tiny *t, int other);                     /* of the current shape */
int tiny_unary(struct tiny *t, enum eng_unary unary);
int tiny_softmax(struct tiny *t);
int tiny_reshape_flat(struct tiny *t);
int tiny_pad(struct tiny *t, int top, int bottom, int left, int right);
int tiny_concat(struct tiny *t, int other, int other_c); /* along channels */
int tiny_mul_channels(struct tiny *t);                   /* by a constant a channel */
/* By one computed value a channel: the map's own average. */
int tiny_excite(struct tiny *t);
/* op: ENG_OP_BATCHNORM or ENG_OP_PRELU, with constants; a float graph. */
int tiny_channels(struct tiny *t, enum eng_op op);
/* n channels of the map, by chance. */
int tiny_gather(struct tiny *t, int n);
/* mode: 0, corners aligned, half pixels, nearest */
int tiny_resize(struct tiny *t, int h, int w, unsigned mode);
int tiny_quantize_to(struct tiny *t, enum eng_type type, float scale, int zero_point);

/* Ends the graph here and checks it. */
void tiny_end(struct tiny *t);

#endif
