/* ONNX bytes -> protobuf-c structs, for files that may be hostile. Internal to engine/.
 *
 * protobuf-c recurses as deep as a file nests and allocates whatever a file counts. So the wire is
 * walked first, without recursion or allocation, and what unpacks it afterwards has a budget. */
#ifndef ENG_IMPORTERS_ONNX_WIRE_H
#define ENG_IMPORTERS_ONNX_WIRE_H

#include "engine/engine.h"

struct Onnx__ModelProto; /* of the generated onnx.pb-c.h */

enum {
    ENG_ONNX_MAX_NESTING = 64,      /* messages in messages */
    ENG_ONNX_MAX_FIELDS = 1 << 20,  /* strings, messages and packed lists together */
    ENG_ONNX_MAX_SCALARS = 1 << 22, /* numbers that are not packed */
};

/* ENG_E_FORMAT (not an ONNX file), ENG_E_DATA (broken or truncated), ENG_E_LIMIT. */
int eng_onnx_scan(const void *bytes, size_t len, char *err, size_t errlen);

struct eng_onnx_budget {
    size_t left, most;
    int exceeded, failed; /* over the budget; no memory */
};

/* Scans, then unpacks. The budget must outlive the model. Adds -ENOMEM to the errors above. */
int eng_onnx_unpack(struct Onnx__ModelProto **ret, struct eng_onnx_budget *budget,
                    const void *bytes, size_t len, char *err, size_t errlen);
void eng_onnx_free(struct Onnx__ModelProto *m, struct eng_onnx_budget *budget);

#endif
