/* Small ONNX networks of one idea each, and what ONNX Runtime 1.30 (no optimisation) makes of them.
 *
 * Input x: [1,6,5,7], element i of it (ONNX's order) is ((i * 37) % 97 - 48) / 48. Every output is
 * flattened in ONNX's order. */
#ifndef TESTS_ONNX_NETS_H
#define TESTS_ONNX_NETS_H

#include "tests/unit/onnx_writer.h"

enum { ONN_C = 6, ONN_H = 5, ONN_W = 7, ONN_CHECKED = 6 };

struct onn_net {
    const char *name;
    void (*build)(struct onw_model *m);
    int elements;
    /* Elements i * (elements - 1) / (ONN_CHECKED - 1) of the output. */
    float answer[ONN_CHECKED];
    float most; /* difference */
};

extern const struct onn_net onn_nets[];
extern const int onn_n_nets;

#endif
