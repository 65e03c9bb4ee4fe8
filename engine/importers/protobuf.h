/* A writer of the protobuf wire format: a buffer that grows. After a failed allocation every call
 * does nothing and `failed` stays set. Messages within messages are written into a buffer of their
 * own first. https://protobuf.dev/programming-guides/encoding/ Internal to engine/. */
#ifndef ENG_IMPORTERS_PROTOBUF_H
#define ENG_IMPORTERS_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

struct eng_pb {
    uint8_t *bytes;
    size_t len, cap;
    int failed;
};

void eng_pb_finish(struct eng_pb *b);
void eng_pb_int(struct eng_pb *b, int field, int64_t v);
void eng_pb_float(struct eng_pb *b, int field, float v);
void eng_pb_bytes(struct eng_pb *b, int field, const void *bytes, size_t len);
void eng_pb_string(struct eng_pb *b, int field, const char *s);
/* The message goes in and is finished. */
void eng_pb_message(struct eng_pb *b, int field, struct eng_pb *message);

#endif
