/* See protobuf.h. */
#include "engine/importers/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, LENGTH = 2, FIXED32 = 5 };

void eng_pb_finish(struct eng_pb *b)
{
    free(b->bytes);
    memset(b, 0, sizeof(*b));
}

static void append(struct eng_pb *b, const void *bytes, size_t len)
{
    if (b->failed || len == 0)
        return;
    if (len > b->cap - b->len) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len < len && cap < SIZE_MAX / 2)
            cap *= 2;
        uint8_t *grown = cap - b->len < len ? NULL : realloc(b->bytes, cap);
        if (!grown) {
            b->failed = 1;
            return;
        }
        b->bytes = grown;
        b->cap = cap;
    }
    memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
}

static void varint(struct eng_pb *b, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;
    do {
        out[n++] = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
        v >>= 7;
    } while (v);
    append(b, out, n);
}

static void tag(struct eng_pb *b, int field, int type)
{
    varint(b, (uint64_t)field << 3 | (uint64_t)type);
}

void eng_pb_int(struct eng_pb *b, int field, int64_t v)
{
    tag(b, field, VARINT);
    varint(b, (uint64_t)v);
}

void eng_pb_float(struct eng_pb *b, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    uint8_t out[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                      (uint8_t)(bits >> 24)};
    tag(b, field, FIXED32);
    append(b, out, sizeof(out));
}

void eng_pb_bytes(struct eng_pb *b, int field, const void *bytes, size_t len)
{
    tag(b, field, LENGTH);
    varint(b, len);
    append(b, bytes, len);
}

void eng_pb_string(struct eng_pb *b, int field, const char *s)
{
    eng_pb_bytes(b, field, s, strlen(s));
}

void eng_pb_message(struct eng_pb *b, int field, struct eng_pb *message)
{
    if (message->failed)
        b->failed = 1;
    eng_pb_bytes(b, field, message->bytes, message->len);
    eng_pb_finish(message);
}
