/* protobuf-c's unpack made safe. It recurses and allocates as the bytes say, so these are walked
 * first against the message's description: nesting, number of elements; then it runs on an
 * allocator with a cap. Private to protocol/. Untrusted bytes. */
#ifndef PROTO_UNPACK_H
#define PROTO_UNPACK_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

enum {
    PROTO_UNPACK_DEPTH = 64,
    PROTO_UNPACK_ELEMENTS = 1 << 16, /* fields and elements of arrays, all together */
    PROTO_UNPACK_MEMORY = 16 << 20,
};

struct proto_unpacked {
    void *message; /* of the type that was asked for; all of it lies in blocks */
    void *blocks;
    size_t left;
    int failed;
};

/* 0; -EINVAL: malformed, nested too deep or too many elements, or text that is not UTF-8; -ENOMEM:
 * also more memory than the cap. On success proto_unpack_finish() frees. */
int proto_unpack(struct proto_unpacked *ret, const ProtobufCMessageDescriptor *type,
                 const void *data, size_t len);
void proto_unpack_finish(struct proto_unpacked *u);

/* For messages that are built by hand: zeroed memory that proto_unpack_finish() frees; NULL: out of
 * memory, and `failed` stays set. Begin with {.left = PROTO_UNPACK_MEMORY}. */
void *proto_unpack_alloc(struct proto_unpacked *u, size_t size);

/* Malloc'ed bytes of a message; NULL: out of memory. */
char *proto_pack(const void *message, size_t *ret_len);

#endif
