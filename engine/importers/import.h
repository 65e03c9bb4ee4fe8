/* Importers: untrusted bytes -> a checked graph. Internal to engine/.
 *
 * The graph may point into `bytes`: they must outlive it, or eng_graph_drop_constants(). Errors:
 * ENG_E_FORMAT (not such a file), ENG_E_DATA, ENG_E_LIMIT, ENG_E_UNSUPPORTED (the operator or the
 * type is named, with its node), -ENOMEM. */
#ifndef ENG_IMPORTERS_IMPORT_H
#define ENG_IMPORTERS_IMPORT_H

#include "engine/graph/graph.h"

/* What stands for a height and a width that a file leaves open; 0: nothing does, and it is refused
 * (ENG_E_UNSUPPORTED). What a file states, it keeps. */
struct eng_open_size {
    int height, width;
};

/* TensorFlow Lite: float, uint8 per tensor, int8 per channel; one subgraph, one input, one output.
 * Schema: tensorflow/lite/schema/schema.fbs, version 3. */
int eng_import_tflite(struct eng_graph **ret, const void *bytes, size_t len, char *err,
                      size_t errlen);

/* ONNX, operator sets 7 to 22: float, or QuantizeLinear/DequantizeLinear around the operators,
 * which then become quantised. One input; of several outputs the last, if the others lead to it.
 * Copies all that it needs: the graph does not point into `bytes`. Schema: onnx.proto. */
int eng_import_onnx(struct eng_graph **ret, const void *bytes, size_t len,
                    struct eng_open_size open, char *err, size_t errlen);

/* One of several files that make one model; `name` as other files call it. */
struct eng_part {
    const char *name;
    const void *bytes;
    size_t len;
};

/* TensorFlow.js: files[0] is its model.json, a layers model (Keras) or a graph model; the others
 * are the shards that its weightsManifest names, in any order. float32 weights, or stored as
 * uint8, uint16 or float16. The graph keeps no pointer into the files. */
int eng_import_tfjs(struct eng_graph **ret, const struct eng_part *files, int n_files,
                    struct eng_open_size open, char *err, size_t errlen);

#endif
