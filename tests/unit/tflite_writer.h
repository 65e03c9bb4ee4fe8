/* Writes small TFLite files for tests: what a test wants to break must first exist whole. */
#ifndef TESTS_TFLITE_WRITER_H
#define TESTS_TFLITE_WRITER_H

#include <stddef.h>
#include <stdint.h>

enum { TFW_MAX_TENSORS = 32, TFW_MAX_OPS = 20, TFW_MAX_SCALES = 8, TFW_BYTES = 16384 };

struct tfw_tensor {
    const char *name;
    int type; /* of the schema: 0 f32, 2 i32, 3 u8, 9 i8 */
    int rank;
    int32_t dim[8];
    int n_scale, axis;
    float scale[TFW_MAX_SCALES];
    int64_t zero[TFW_MAX_SCALES];
    const void *data;
    size_t len;
};

/* A scalar of an operator's options: kind 'b' int8, 'i' int32, 'f' float. */
struct tfw_option {
    int id;
    char kind;
    double value;
};

struct tfw_op {
    int code;
    int n_in, in[4], out;
    int n_options;
    struct tfw_option option[8];
    int n_more, more[2]; /* outputs behind the first */
};

struct tfw_model {
    int version, n_subgraphs;
    int n_tensors, n_ops;
    struct tfw_tensor tensor[TFW_MAX_TENSORS];
    struct tfw_op op[TFW_MAX_OPS];
    int n_inputs, input, output;
    int n_more, more[2]; /* outputs in front of it */
};

/* Bytes written into buf (TFW_BYTES long, 64-aligned for the constants' sake). */
size_t tfw_write(const struct tfw_model *m, uint8_t *buf);

/* u8 [1,8,8,3] -> conv 3x3/2 -> depthwise 3x3 -> average pool -> reshape -> fc 3 -> softmax. */
void tfw_sample(struct tfw_model *ret);
/* The same in float. */
void tfw_sample_float(struct tfw_model *ret);

/* Float, one of every other operator that the importer knows, in a row. */
void tfw_sample_zoo(struct tfw_model *ret);

/* Float, [1,4,4,8]: every way to choose channels, joined, then a shuffle of 3 groups of 4. */
void tfw_sample_channels(struct tfw_model *ret);
enum { TFW_OP_SPLIT, TFW_OP_SPLIT_V, TFW_OP_STRIDED, TFW_OP_SLICE, TFW_OP_GATHER, TFW_OP_JOIN };

/* Tensors and operators of the first two samples. */
enum {
    TFW_INPUT,
    TFW_CONV_W,
    TFW_CONV_B,
    TFW_CONV,
    TFW_DW_W,
    TFW_DW_B,
    TFW_DW,
    TFW_POOL,
    TFW_SHAPE,
    TFW_FLAT,
    TFW_FC_W,
    TFW_FC_B,
    TFW_LOGITS,
    TFW_OUTPUT,
};
enum { TFW_OP_CONV, TFW_OP_DW, TFW_OP_POOL, TFW_OP_RESHAPE, TFW_OP_FC, TFW_OP_SOFTMAX };

#endif
