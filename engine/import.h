/* Importers: untrusted bytes -> a checked graph. Internal to engine/.
 *
 * The graph may point into `bytes`: they must outlive it, or eng_graph_drop_constants(). Errors:
 * ENG_E_FORMAT (not such a file), ENG_E_DATA, ENG_E_LIMIT, ENG_E_UNSUPPORTED (the operator or the
 * type is named, with its node), -ENOMEM. */
#ifndef ENG_IMPORT_H
#define ENG_IMPORT_H

#include "engine/graph.h"

/* TensorFlow Lite: float, uint8 per tensor, int8 per channel; one subgraph, one input, one output.
 * Schema: tensorflow/lite/schema/schema.fbs, version 3. */
int eng_import_tflite(struct eng_graph **ret, const void *bytes, size_t len, char *err,
                      size_t errlen);

#endif
