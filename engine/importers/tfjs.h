/* What the parts of the TF.js importer share. Internal to tfjs*.c.
 *
 * weights: the manifest's names over the bytes of the shards. net: names of layers or graph nodes
 * in the order in which they can be computed. build: one node of our graph each, used by both
 * front ends (layers: Keras; graph: TensorFlow). */
#ifndef ENG_IMPORTERS_TFJS_H
#define ENG_IMPORTERS_TFJS_H

#include <jansson.h>

#include "engine/graph/graph.h"
#include "engine/importers/import.h"

struct eng_tfj_weights;

struct eng_tfj {
    struct eng_graph *g;
    struct eng_tfj_weights *weights;
    struct eng_open_size open_size;
    const char *what, *kind; /* the layer or node at hand and its class, for messages */
    char *err;
    size_t errlen;
};

/* ---- tfjs_json.c ---- */

/* "layer conv1 (Conv2D): sentence"; returns code. */
int eng_tfj_fail(const struct eng_tfj *f, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int eng_tfj_no_memory(const struct eng_tfj *f);

/* Member of an object as a terminated string without NULs; "" if it is none. */
const char *eng_tfj_string(const json_t *object, const char *key);
/* `n` integers from an array, or one for all; `otherwise` where the key is absent or null. */
int eng_tfj_ints(const struct eng_tfj *f, const json_t *object, const char *key, int n,
                 int otherwise, int *ret);
int eng_tfj_number(const struct eng_tfj *f, const json_t *object, const char *key, double otherwise,
                   double *ret);
int eng_tfj_true(const json_t *object, const char *key, int otherwise);

/* ---- weights ---- */

struct eng_tfj_weight {
    const char *name;
    enum eng_type stored; /* in the shards: F32, F16, U8, I32, BOOL; uint16 has `wide` */
    int is_integer;       /* int32 or bool, else float32 */
    int wide;             /* stored as uint16 */
    int quantised;        /* value = min + scale * stored */
    double min, scale;
    int rank;
    int32_t dim[ENG_MAX_RANK];
    size_t elements;
    int group;
    size_t at; /* in the group's bytes */
};

int eng_tfj_weights_read(struct eng_tfj *f, const json_t *manifest, const struct eng_part *files,
                         int n_files);
void eng_tfj_weights_destroy(struct eng_tfj_weights *w);
const struct eng_tfj_weight *eng_tfj_weight(const struct eng_tfj *f, const char *name);
/* Weight `name` of a Keras layer: "layer/name", or the one weight whose path has both. NULL. */
const struct eng_tfj_weight *eng_tfj_layer_weight(const struct eng_tfj *f, const char *layer,
                                                  const char *name);
/* All values, in the file's order, in memory of the graph's constants. */
int eng_tfj_floats(struct eng_tfj *f, const struct eng_tfj_weight *w, float **ret);
/* The values of a small integer tensor; how many, or a failure. */
int eng_tfj_integers(struct eng_tfj *f, const struct eng_tfj_weight *w, int64_t *ret, int max);

/* ---- order ---- */

struct eng_tfj_item {
    const char *name;
    const json_t *json;
    int first, n_in; /* its inputs: net.links[first ...], item indices */
    int state;
};

struct eng_tfj_net {
    struct eng_tfj_item *items;
    int n, *by_name, *links, n_links, cap_links;
    int *order, n_order; /* what the wanted items need, inputs first, and they themselves */
};

/* Items get their names and JSON from the caller, then: */
int eng_tfj_net_create(struct eng_tfj *f, struct eng_tfj_net *net, size_t n);
int eng_tfj_net_index(struct eng_tfj *f, struct eng_tfj_net *net);     /* names must differ */
int eng_tfj_net_find(const struct eng_tfj_net *net, const char *name); /* -1 */
int eng_tfj_net_link(struct eng_tfj *f, struct eng_tfj_net *net, int item, const char *input);
int eng_tfj_net_sort(struct eng_tfj *f, struct eng_tfj_net *net, int wanted);
void eng_tfj_net_finish(struct eng_tfj_net *net);

/* ---- build: each returns the index of the tensor that it makes, or a failure ---- */

struct eng_tfj_window {
    int k[2], stride[2], dilation[2]; /* height, width */
    int same;                         /* else VALID, or the explicit padding below */
    int pads[4];                      /* top, bottom, left, right */
};

const struct eng_tensor *eng_tfj_tensor(const struct eng_tfj *f, int index);
int eng_tfj_input(struct eng_tfj *f, const json_t *shape);
int eng_tfj_constant(struct eng_tfj *f, int rank, const int32_t *dim, const float *data);
/* Kernel as the file has it: [KH,KW,I/groups,O]; depthwise [KH,KW,C,multiplier]. bias may be
 * NULL. */
int eng_tfj_conv(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
                 const struct eng_tfj_weight *bias, const struct eng_tfj_window *w);
int eng_tfj_depthwise(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
                      const struct eng_tfj_weight *bias, const struct eng_tfj_window *w);
/* Kernel [I,O], or [O,I] if transposed. */
int eng_tfj_fc(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
               const struct eng_tfj_weight *bias, int transposed);
/* gamma and beta may be NULL. */
int eng_tfj_batchnorm(struct eng_tfj *f, int x, const struct eng_tfj_weight *const four[4],
                      double epsilon); /* gamma, beta, mean, variance */
int eng_tfj_pool(struct eng_tfj *f, int x, enum eng_op op, const struct eng_tfj_window *w);
int eng_tfj_mean(struct eng_tfj *f, int x, int keep_dims);
int eng_tfj_reshape(struct eng_tfj *f, int x, const int64_t *dim, int rank); /* one may be -1 */
int eng_tfj_pad(struct eng_tfj *f, int x, const int pads[4]);
int eng_tfj_clamp(struct eng_tfj *f, int x, float lo, float hi);
int eng_tfj_unary(struct eng_tfj *f, int x, enum eng_unary unary, float alpha, float beta);
int eng_tfj_softmax(struct eng_tfj *f, int x);
int eng_tfj_prelu(struct eng_tfj *f, int x, const struct eng_tfj_weight *slope);
int eng_tfj_concat(struct eng_tfj *f, const int *in, int n, int64_t axis);
int eng_tfj_binary(struct eng_tfj *f, enum eng_op op, int a, int b);
int eng_tfj_resize(struct eng_tfj *f, int x, int64_t h, int64_t w, const struct eng_node *how);
/* x * scale + offset with one number each. */
int eng_tfj_affine(struct eng_tfj *f, int x, double scale, double offset);
/* By Keras's name; "" and "linear" give x itself. */
int eng_tfj_activation(struct eng_tfj *f, int x, const char *name);

/* ---- front ends: the topology's member of model.json ---- */

int eng_tfj_import_layers(struct eng_tfj *f, const json_t *model_config);
/* 0 or a failure; adds its outputs itself, for it may have several. */
int eng_tfj_import_graph(struct eng_tfj *f, const json_t *topology, const json_t *signature);

#endif
