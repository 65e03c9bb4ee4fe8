/* protobuf's wire format, read in place: one field after the other, nothing copied, nothing
 * recursive. Private to protocol/. Untrusted bytes. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdint.h>

#include "protocol/span.h"

enum { PROTO_WIRE_VARINT = 0, PROTO_WIRE_64 = 1, PROTO_WIRE_BYTES = 2, PROTO_WIRE_32 = 5 };

struct proto_wire {
    const unsigned char *p, *end;
};

struct proto_field {
    uint32_t number;
    int type;
    uint64_t value;          /* of a varint */
    struct proto_span bytes; /* BYTES: what is inside; 32, 64: the four or eight bytes */
};

void proto_wire_init(struct proto_wire *w, struct proto_span of);
/* 1: a field; 0: the end; -EINVAL: a varint of more than ten bytes, a length past the end, a group,
 * field number 0. */
int proto_wire_next(struct proto_wire *w, struct proto_field *ret);
/* 1, or -EINVAL as above. */
int proto_wire_varint(struct proto_wire *w, uint64_t *ret);

#endif
