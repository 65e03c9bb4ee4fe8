/* A cursor over protobuf fields. */
#include "protocol/wire.h"

#include <errno.h>
#include <stddef.h>

void proto_wire_init(struct proto_wire *w, struct proto_span of)
{
    w->p = (const unsigned char *)of.s;
    w->end = w->p + of.len;
}

int proto_wire_varint(struct proto_wire *w, uint64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (w->p == w->end)
            return -EINVAL;
        unsigned char byte = *w->p++;
        v |= (uint64_t)(byte & 0x7f) << shift; /* the tenth byte loses what does not fit, as
                                                  everybody reads it */
        if (byte < 0x80) {
            *ret = v;
            return 1;
        }
    }
    return -EINVAL;
}

static int take_bytes(struct proto_wire *w, uint64_t n, struct proto_span *ret)
{
    if (n > (uint64_t)(w->end - w->p))
        return -EINVAL;
    *ret = (struct proto_span){(const char *)w->p, (size_t)n};
    w->p += n;
    return 1;
}

int proto_wire_next(struct proto_wire *w, struct proto_field *ret)
{
    uint64_t tag, n;
    if (w->p == w->end)
        return 0;
    if (proto_wire_varint(w, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return -EINVAL;
    ret->number = (uint32_t)(tag >> 3);
    ret->type = (int)(tag & 7);
    switch (ret->type) {
    case PROTO_WIRE_VARINT:
        return proto_wire_varint(w, &ret->value);
    case PROTO_WIRE_64:
        return take_bytes(w, 8, &ret->bytes);
    case PROTO_WIRE_BYTES:
        return proto_wire_varint(w, &n) < 0 ? -EINVAL : take_bytes(w, n, &ret->bytes);
    case PROTO_WIRE_32:
        return take_bytes(w, 4, &ret->bytes);
    default:
        return -EINVAL;
    }
}
