/* Elements out of a protobuf InferTensorContents message (PROTO_FORM_PACKED). Numbers may come
 * packed, singly, or both in turn. */
#include "protocol/infer_packed.h"

#include <errno.h>
#include <string.h>

#include "protocol/wire.h"

enum { UINT_CONTENTS = 4, FP32_CONTENTS = 6, BYTES_CONTENTS = 8 };

struct out {
    size_t n, max;
    float *floats;
    uint8_t *bytes;
    struct proto_item *items;
};

static int put_floats(struct out *o, struct proto_span s)
{
    size_t n = s.len / 4;
    if (s.len % 4 || n > o->max - o->n)
        return -EINVAL;
    if (n)
        memcpy(o->floats + o->n, s.s, s.len);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < n; i++)
        ((uint32_t *)o->floats)[o->n + i] = __builtin_bswap32(((uint32_t *)o->floats)[o->n + i]);
#endif
    o->n += n;
    return 0;
}

static int put_byte(struct out *o, uint64_t value)
{
    if (o->n == o->max || value > 255)
        return -EINVAL;
    o->bytes[o->n++] = (uint8_t)value;
    return 0;
}

static int put_varints(struct out *o, const struct proto_field *f)
{
    struct proto_wire w;
    uint64_t value;
    if (f->type == PROTO_WIRE_VARINT)
        return put_byte(o, f->value);
    if (f->type != PROTO_WIRE_BYTES)
        return -EINVAL;
    proto_wire_init(&w, f->bytes);
    while (w.p < w.end)
        if (proto_wire_varint(&w, &value) < 0 || put_byte(o, value) < 0)
            return -EINVAL;
    return 0;
}

static int put_item(struct out *o, const struct proto_field *f)
{
    if (f->type != PROTO_WIRE_BYTES)
        return -EINVAL;
    if (o->n == o->max)
        return -E2BIG;
    o->items[o->n++] = (struct proto_item){f->bytes, 0};
    return 0;
}

/* Elements of the one list that fits the datatype; others are refused, as they would be lost. */
static int collect(struct proto_span contents, uint32_t list, struct out *o)
{
    struct proto_wire w;
    struct proto_field f;
    int r;
    proto_wire_init(&w, contents);
    while ((r = proto_wire_next(&w, &f)) > 0) {
        if (f.number != list)
            r = -EINVAL;
        else if (list == FP32_CONTENTS)
            r = f.type == PROTO_WIRE_BYTES || f.type == PROTO_WIRE_32 ? put_floats(o, f.bytes)
                                                                      : -EINVAL;
        else if (list == BYTES_CONTENTS)
            r = put_item(o, &f);
        else
            r = put_varints(o, &f);
        if (r < 0)
            return r;
    }
    return r;
}

int proto_packed_floats(struct proto_span contents, float *ret, size_t elements)
{
    struct out o = {.floats = ret, .max = elements};
    int r = collect(contents, FP32_CONTENTS, &o);
    return r == 0 && o.n != elements ? -EINVAL : r;
}

int proto_packed_bytes(struct proto_span contents, uint8_t *ret, size_t elements)
{
    struct out o = {.bytes = ret, .max = elements};
    int r = collect(contents, UINT_CONTENTS, &o);
    return r == 0 && o.n != elements ? -EINVAL : r;
}

int proto_packed_items(struct proto_span contents, struct proto_item *ret, int max)
{
    struct out o = {.items = ret, .max = (size_t)max};
    int r = collect(contents, BYTES_CONTENTS, &o);
    return r < 0 ? r : (int)o.n;
}
