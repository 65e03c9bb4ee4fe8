/* See onnx_wire.h. The walk knows from the generated descriptors which fields are messages. */
#include "engine/importers/onnx_wire.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/fail.h"
#include "engine/importers/onnx.pb-c.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct walk {
    const uint8_t *bytes;
    size_t at, fields, scalars;
    int depth;
    struct {
        const ProtobufCMessageDescriptor *type;
        size_t end;
    } open[ENG_ONNX_MAX_NESTING];
};

/* 1: read; 0: it does not end before `end`, or is longer than 64 bits. */
static int varint(struct walk *w, size_t end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && w->at < end; shift += 7) {
        uint8_t byte = w->bytes[w->at++];
        v |= (uint64_t)(byte & 127) << (shift < 64 ? shift : 63);
        if (byte < 128) {
            *ret = v;
            return 1;
        }
    }
    return 0;
}

/* The value behind a tag; what is a message is opened instead of passed. */
static int value(struct walk *w, uint64_t tag)
{
    size_t end = w->open[w->depth - 1].end;
    uint64_t n = 0;
    if (tag % 8 == VARINT)
        return varint(w, end, &n) ? 0 : ENG_E_DATA;
    if (tag % 8 == FIXED64 || tag % 8 == FIXED32)
        n = tag % 8 == FIXED64 ? 8 : 4;
    else if (tag % 8 != BYTES || !varint(w, end, &n))
        return ENG_E_DATA;
    if (n > end - w->at)
        return ENG_E_DATA;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(w->open[w->depth - 1].type, (unsigned)(tag >> 3));
    if (tag % 8 != BYTES || !field || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        w->at += (size_t)n;
        return 0;
    }
    if (w->depth == ENG_ONNX_MAX_NESTING)
        return ENG_E_LIMIT;
    w->open[w->depth].type = field->descriptor;
    w->open[w->depth++].end = w->at + (size_t)n;
    return 0;
}

static int field(struct walk *w)
{
    uint64_t tag;
    if (!varint(w, w->open[w->depth - 1].end, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return ENG_E_DATA;
    size_t *count = tag % 8 == BYTES ? &w->fields : &w->scalars;
    size_t most = tag % 8 == BYTES ? ENG_ONNX_MAX_FIELDS : ENG_ONNX_MAX_SCALARS;
    if (++*count > most)
        return ENG_E_LIMIT;
    return value(w, tag);
}

int eng_onnx_scan(const void *bytes, size_t len, char *err, size_t errlen)
{
    struct walk w = {.bytes = bytes, .depth = 1};
    /* There is no magic; every writer starts with the IR version, field 1. */
    if (len < 2 || w.bytes[0] != (1 << 3 | VARINT))
        return eng_fail(err, errlen, ENG_E_FORMAT, "not an ONNX file");
    w.open[0].type = &onnx__model_proto__descriptor;
    w.open[0].end = len;
    while (w.depth > 0) {
        if (w.at == w.open[w.depth - 1].end) {
            w.depth--;
            continue;
        }
        int rc = field(&w);
        if (rc == ENG_E_LIMIT)
            return eng_fail(err, errlen, rc,
                            "the file has more fields, or nests deeper, than any model needs");
        if (rc < 0)
            return eng_fail(err, errlen, rc, "the file is broken or truncated near byte %zu", w.at);
    }
    return 0;
}

/* ---- the budget ---- */

enum { HEADER = 16 }; /* keeps malloc's alignment */

static void *take(void *data, size_t size)
{
    struct eng_onnx_budget *b = data;
    if (size > b->left || b->left - size < HEADER) {
        b->exceeded = 1;
        return NULL;
    }
    size_t *p = malloc(HEADER + size);
    if (!p) {
        b->failed = 1;
        return NULL;
    }
    *p = HEADER + size;
    b->left -= *p;
    return (char *)p + HEADER;
}

static void give(void *data, void *at)
{
    struct eng_onnx_budget *b = data;
    if (!at)
        return;
    size_t *p = (size_t *)(void *)((char *)at - HEADER);
    b->left += *p;
    free(p);
}

int eng_onnx_unpack(struct Onnx__ModelProto **ret, struct eng_onnx_budget *budget,
                    const void *bytes, size_t len, char *err, size_t errlen)
{
    int rc = eng_onnx_scan(bytes, len, err, errlen);
    if (rc < 0)
        return rc;
    /* Numbers that are written short take up to eight times their bytes. */
    *budget = (struct eng_onnx_budget){.most = ((size_t)64 << 20) + 8 * len};
    budget->left = budget->most;
    ProtobufCAllocator a = {.alloc = take, .free = give, .allocator_data = budget};
    Onnx__ModelProto *m = onnx__model_proto__unpack(&a, len, bytes);
    if (m) {
        *ret = m;
        return 0;
    }
    if (budget->failed)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
    if (budget->exceeded)
        return eng_fail(err, errlen, ENG_E_LIMIT,
                        "the file would take more than %zu MiB of memory to read",
                        budget->most >> 20);
    return eng_fail(err, errlen, ENG_E_DATA, "the file is broken: it is no ONNX model");
}

void eng_onnx_free(struct Onnx__ModelProto *m, struct eng_onnx_budget *budget)
{
    ProtobufCAllocator a = {.alloc = take, .free = give, .allocator_data = budget};
    if (m)
        onnx__model_proto__free_unpacked(m, &a);
}
