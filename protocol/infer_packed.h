/* Elements of a PROTO_FORM_PACKED input, for the accessors of infer.h. Private to protocol/. */
#ifndef PROTO_INFER_PACKED_H
#define PROTO_INFER_PACKED_H

#include "protocol/infer.h"

/* contents: an InferTensorContents message. 0; -EINVAL: malformed, another list than the
 * datatype's, or another number of elements. */
int proto_packed_floats(struct proto_span contents, float *ret, size_t elements);
int proto_packed_bytes(struct proto_span contents, uint8_t *ret, size_t elements);
/* Their number; -EINVAL as above; -E2BIG: more than max. */
int proto_packed_items(struct proto_span contents, struct proto_item *ret, int max);

#endif
