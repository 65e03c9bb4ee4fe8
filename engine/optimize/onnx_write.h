/* What the parts of the ONNX writer share. Internal to onnx_write*.c. */
#ifndef ENG_OPTIMIZE_ONNX_WRITE_H
#define ENG_OPTIMIZE_ONNX_WRITE_H

#include "engine/graph/graph.h"
#include "engine/importers/protobuf.h"

enum { ENG_OW_FLOAT = 1, ENG_OW_UINT8 = 2, ENG_OW_INT8 = 3, ENG_OW_INT32 = 6, ENG_OW_INT64 = 7 };
enum { ENG_OW_NAME = 96 };

struct eng_ow {
    const struct eng_graph *g;
    struct eng_pb graph;        /* GraphProto so far */
    struct eng_pb node;         /* NodeProto at hand: its inputs and attributes */
    char (*value)[ENG_OW_NAME]; /* by tensor: the ONNX value that has its float form */
    char *err;
    size_t errlen;
};

int eng_ow_fail(const struct eng_ow *w, const struct eng_node *n, const char *what);
const struct eng_tensor *eng_ow_tensor(const struct eng_ow *w, int index);
/* "conv1/relu:17", unique by its number; suffix tells stages of one tensor apart. */
void eng_ow_name_of(const struct eng_ow *w, int index, const char *suffix, char ret[ENG_OW_NAME]);

void eng_ow_initialiser(struct eng_ow *w, const char *name, int type, const int64_t *dim, int rank,
                        const void *data, size_t bytes);
/* What is added to a constant's integers and zero points where they are stored. */
int eng_ow_offset(const struct eng_tensor *t);
/* NAME.scale and NAME.zero; the zero point of an int32 is left out, as it must be 0. */
void eng_ow_parameters(struct eng_ow *w, const char *name, const struct eng_tensor *t);

/* A node: inputs and attributes first, then emit. */
void eng_ow_attribute_int(struct eng_ow *w, const char *name, int64_t v);
void eng_ow_attribute_float(struct eng_ow *w, const char *name, float v);
void eng_ow_attribute_ints(struct eng_ow *w, const char *name, const int *v, int n);
void eng_ow_input(struct eng_ow *w, const char *name);
void eng_ow_emit(struct eng_ow *w, const char *type, const char *output);
/* The float form of `stored`, by NAME.scale and NAME.zero, as value `made`. */
void eng_ow_quantise(struct eng_ow *w, const char *from, const char *name, const char *made);
void eng_ow_dequantise(struct eng_ow *w, const char *stored, const char *name,
                       const struct eng_tensor *t, const char *made);

/* The node's operator in float; what it makes is named `made`. */
int eng_ow_operator(struct eng_ow *w, const struct eng_node *n, const char *made);
void eng_ow_clamp(struct eng_ow *w, const char *x, int index, float lo, float hi, const char *made);
int eng_ow_type(enum eng_type t);

#endif
