/* Writes small ONNX files for tests: what a test wants to break must first exist whole. */
#ifndef TESTS_ONNX_WRITER_H
#define TESTS_ONNX_WRITER_H

#include <stddef.h>
#include <stdint.h>

enum { ONW_MAX = 48, ONW_BYTES = 65536 };
enum { ONW_FLOAT = 1, ONW_UINT8 = 2, ONW_INT8 = 3, ONW_INT32 = 6, ONW_INT64 = 7, ONW_HALF = 10 };

struct onw_tensor {
    const char *name;
    int type; /* of the schema */
    int rank;
    int64_t dim[8];
    const void *data; /* raw_data */
    size_t len;
    int external;
};

struct onw_attribute {
    const char *name;
    char kind; /* 'i' int, 'f' float, 's' string, 'I' ints */
    int n;
    int64_t i[8];
    float f;
    const char *s;
};

struct onw_node {
    const char *type, *name, *in[6], *out, *domain;
    int n_attributes;
    struct onw_attribute attribute[8];
};

struct onw_model {
    int opset, input_type;
    int64_t input[4]; /* -1: a name instead of a number */
    int n_inputs;     /* "x", and copies of it named "x2" */
    int n_tensors, n_nodes;
    struct onw_tensor tensor[ONW_MAX];
    struct onw_node node[ONW_MAX];
    const char *output[3]; /* NULL: no more */
};

/* Bytes written into buf, which has ONW_BYTES. */
size_t onw_write(const struct onw_model *m, uint8_t *buf);

/* Empty, operator set 13, one float input x. */
void onw_begin(struct onw_model *m, int c, int h, int w);
/* A constant of floats / int64 / bytes; the data is not copied. dims end with 0. */
void onw_floats(struct onw_model *m, const char *name, const float *v, const int *dims);
void onw_integers(struct onw_model *m, const char *name, const int64_t *v, int n);
void onw_bytes(struct onw_model *m, const char *name, int type, const void *v, const int *dims);
/* A node; inputs end with NULL. */
struct onw_node *onw_add(struct onw_model *m, const char *type, const char *out, const char *in0,
                         const char *in1, const char *in2);
void onw_int(struct onw_node *n, const char *name, int64_t v);
void onw_ints(struct onw_node *n, const char *name, int count, const int64_t *v);
void onw_float(struct onw_node *n, const char *name, float v);
void onw_string(struct onw_node *n, const char *name, const char *v);

/* x [1,3,8,8] -> Conv 3x3/2 -> Relu -> depthwise 3x3 -> GlobalAveragePool -> Flatten -> Gemm 4 ->
 * logits -> Softmax -> probs. */
void onw_sample(struct onw_model *m);
/* The same between QuantizeLinear and DequantizeLinear. */
void onw_sample_qdq(struct onw_model *m);
/* One of every other operator in a row. */
void onw_sample_zoo(struct onw_model *m);

#endif
