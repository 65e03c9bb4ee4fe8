/* Walk, then unpack. The walk follows the description, as protobuf-c does: what it does not know it
 * does not enter, and neither does the walk. */
#include "protocol/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/utf8.h"
#include "protocol/wire.h"

static size_t varints(struct proto_span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += (unsigned char)s.s[i] < 0x80;
    return n;
}

/* Elements that one field of the wire becomes. */
static size_t weight(const ProtobufCFieldDescriptor *d, const struct proto_field *f)
{
    if (!d || f->type != PROTO_WIRE_BYTES || d->label != PROTOBUF_C_LABEL_REPEATED)
        return 1;
    switch (d->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 1;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 1 + f->bytes.len / 4;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 1 + f->bytes.len / 8;
    default:
        return 1 + varints(f->bytes);
    }
}

static int walk(const ProtobufCMessageDescriptor *type, struct proto_span of, int depth,
                size_t *left)
{
    struct proto_wire w;
    struct proto_field f;
    int r;
    if (depth > PROTO_UNPACK_DEPTH)
        return -EINVAL;
    proto_wire_init(&w, of);
    while ((r = proto_wire_next(&w, &f)) > 0) {
        const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(type, f.number);
        size_t n = weight(d, &f);
        if (n > *left)
            return -EINVAL;
        *left -= n;
        if (!d || f.type != PROTO_WIRE_BYTES)
            continue;
        if (d->type == PROTOBUF_C_TYPE_STRING &&
            (memchr(f.bytes.s, 0, f.bytes.len) || !proto_utf8_is_valid(f.bytes.s, f.bytes.len)))
            return -EINVAL; /* a NUL would cut it short in C */
        if (d->type == PROTOBUF_C_TYPE_MESSAGE)
            r = walk(d->descriptor, f.bytes, depth + 1, left);
        if (r < 0)
            return r;
    }
    return r;
}

struct block {
    struct block *next;
    size_t size;
    max_align_t data[];
};

static void *take_block(void *arg, size_t size)
{
    struct proto_unpacked *u = arg;
    size_t whole;
    if (__builtin_add_overflow(size, sizeof(struct block), &whole) || whole > u->left) {
        u->failed = 1;
        return NULL;
    }
    struct block *b = malloc(whole);
    if (!b) {
        u->failed = 1;
        return NULL;
    }
    u->left -= whole;
    b->next = u->blocks;
    u->blocks = b;
    return b->data;
}

void *proto_unpack_alloc(struct proto_unpacked *u, size_t size)
{
    void *ret = take_block(u, size);
    return ret ? memset(ret, 0, size) : NULL;
}

/* Everything goes at once, in proto_unpack_finish(). */
static void keep_block(void *arg, void *p)
{
    (void)arg;
    (void)p;
}

void proto_unpack_finish(struct proto_unpacked *u)
{
    while (u->blocks) {
        struct block *b = u->blocks;
        u->blocks = b->next;
        free(b);
    }
}

int proto_unpack(struct proto_unpacked *ret, const ProtobufCMessageDescriptor *type,
                 const void *data, size_t len)
{
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    ProtobufCAllocator allocator = {take_block, keep_block, &u};
    size_t elements = PROTO_UNPACK_ELEMENTS;
    if (walk(type, (struct proto_span){len ? data : "", len}, 1, &elements) < 0)
        return -EINVAL;
    u.message = protobuf_c_message_unpack(type, &allocator, len, data);
    if (u.message) {
        *ret = u;
        return 0;
    }
    proto_unpack_finish(&u);
    return u.failed ? -ENOMEM : -EINVAL; /* -EINVAL: a wire type that does not fit its field */
}

char *proto_pack(const void *message, size_t *ret_len)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    char *ret = malloc(len + 1);
    if (ret)
        *ret_len = protobuf_c_message_pack(message, (uint8_t *)ret);
    return ret;
}
