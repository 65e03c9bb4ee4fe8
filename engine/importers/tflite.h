/* What the parts of the TFLite importer share. Internal to tflite*.c. */
#ifndef ENG_IMPORTERS_TFLITE_H
#define ENG_IMPORTERS_TFLITE_H

#include "engine/graph/graph.h"
#include "engine/importers/flatbuffer.h"

/* A map that SPACE_TO_BATCH_ND dealt out, and the convolution that waits for BATCH_TO_SPACE_ND. */
struct eng_tfl_space {
    int file; /* file tensor that stands for it now, -1: none */
    int x;    /* graph tensor of the whole map */
    int64_t block[2], pads[4];
    int has_conv;
    struct eng_node conv;
    int in[3];
};

struct eng_tfl {
    struct eng_fb fb;
    struct eng_graph *g;
    struct eng_fb_vector codes, buffers, tensors; /* of the file */
    int *map;                                     /* file tensor -> graph tensor, -1: not yet */
    int chosen;                                   /* channels in the lists of all choices so far */
    struct eng_tfl_space space;
    char *err;
    size_t errlen;
};

enum { ENG_TFL_MAX_CHOSEN = 1 << 24, ENG_TFL_BUILTINS = 153 /* numbers of operators */ };

/* One operator of the file. */
struct eng_tfl_op {
    int index; /* in the file */
    int code;  /* tflite::BuiltinOperator */
    int n_in;
    int in[ENG_MAX_INPUTS];  /* file tensors, -1 = absent */
    int n_out;               /* at least 1 */
    int out[ENG_MAX_INPUTS]; /* file tensors */
    struct eng_fb_table options;
    struct eng_fb_vector custom; /* options of a custom operator, bytes */
    const char *name;            /* of a custom operator */
    size_t name_len;
};

/* A node under construction, with the tensors that its family needs. */
struct eng_tfl_build {
    struct eng_tfl *f;
    const struct eng_tfl_op *op;
    struct eng_node n;
    int in[ENG_MAX_INPUTS];
};

/* ---- tflite_tensor.c ---- */

/* Sentences about the whole file; they return their code. */
int eng_tfl_broken(struct eng_tfl *f);
int eng_tfl_no_memory(struct eng_tfl *f);
/* The graph's tensor for a file tensor, read when first asked for; negative: failure. */
int eng_tfl_tensor(struct eng_tfl *f, int file_index);
/* The integers (int32 or int64) of a constant; how many, or a failure. */
int eng_tfl_integers(struct eng_tfl *f, int file_index, int64_t *ret, int max);
/* Turns a constant into float in place (from fp16, or quantised). */
int eng_tfl_to_float(struct eng_tfl *f, struct eng_tensor *t);
/* ---- tflite_ops.c ---- */

/* Adds what the operator becomes: usually one node, sometimes none, of a SPLIT one for each output.
 */
int eng_tfl_add(struct eng_tfl *f, const struct eng_tfl_op *op);

/* ---- tflite_build.c ---- */

/* "operator 3 (CONV_2D name): sentence"; returns code. */
int eng_tfl_fail(const struct eng_tfl_build *b, int code, const char *what);
struct eng_tensor *eng_tfl_at(const struct eng_tfl_build *b, int index);
/* The first n inputs of the operator become the node's, its first output too, which names it. */
int eng_tfl_begin(struct eng_tfl_build *b, enum eng_op op, int n);
/* Another output for the node. */
int eng_tfl_output(struct eng_tfl_build *b, int file_index);
int eng_tfl_finish(struct eng_tfl_build *b);
/* Of the operator's options: an int32, a bool. */
int eng_tfl_option(const struct eng_tfl_build *b, int field, int otherwise);
int eng_tfl_flag(const struct eng_tfl_build *b, int field);
/* The fused activation, as bounds of the node. */
int eng_tfl_activation(struct eng_tfl_build *b, int field);

/* 1: a graph tensor that no node makes, as it is only on the way to a shape, which the file states.
 */
int eng_tfl_is_shape_only(const struct eng_tfl_build *b, int t);
/* Integers that only lead to a shape: no node. */
int eng_tfl_shape_arithmetic(struct eng_tfl_build *b);

/* ---- tflite_channels.c ---- */

int eng_tfl_split(struct eng_tfl_build *b);
int eng_tfl_split_v(struct eng_tfl_build *b);
int eng_tfl_slice(struct eng_tfl_build *b);
int eng_tfl_strided_slice(struct eng_tfl_build *b);
int eng_tfl_gather(struct eng_tfl_build *b);

/* ---- tflite_math.c ---- */

/* Whether ADD or MUL of the inputs is of the form that the nodes of these names have. */
int eng_tfl_is_binary(const struct eng_tfl_build *b);
int eng_tfl_arith(struct eng_tfl_build *b);
int eng_tfl_add_n(struct eng_tfl_build *b);
int eng_tfl_function(struct eng_tfl_build *b);
int eng_tfl_argmax(struct eng_tfl_build *b);
int eng_tfl_cast(struct eng_tfl_build *b);

/* ---- tflite_tables.c ---- */

/* The node for one output: count[] elements of graph tensor x, from begin[] by step[]. */
int eng_tfl_table(struct eng_tfl_build *b, int x, int out, const int64_t *begin,
                  const int64_t *step, const int64_t *count);
int eng_tfl_pack(struct eng_tfl_build *b);
int eng_tfl_unpack(struct eng_tfl_build *b);
int eng_tfl_gather_nd(struct eng_tfl_build *b);
int eng_tfl_tile(struct eng_tfl_build *b);

/* ---- tflite_space.c ---- */

int eng_tfl_transpose_conv(struct eng_tfl_build *b);
int eng_tfl_transpose_conv_bias(struct eng_tfl_build *b);
int eng_tfl_space_to_batch(struct eng_tfl_build *b);
int eng_tfl_batch_to_space(struct eng_tfl_build *b);
/* 1: the convolution reads a map that is dealt out, and now the whole one, dilated; 0: it does not.
 */
int eng_tfl_dealt(struct eng_tfl_build *b);
/* Such a convolution is complete but for its padding and its output. */
void eng_tfl_wait_for_space(const struct eng_tfl_build *b);

/* ---- tflite_custom.c ---- */

int eng_tfl_custom(struct eng_tfl_build *b);

#endif
