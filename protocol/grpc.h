/* gRPC over HTTP/2, what stands above the frames: the 5-byte message prefix, grpc-message,
 * grpc-timeout. No I/O. Untrusted bytes. */
#ifndef PROTO_GRPC_H
#define PROTO_GRPC_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/room.h"

enum { PROTO_GRPC_PREFIX = 5 };

/* Cuts a stream of DATA into messages, whatever pieces it comes in. */
struct proto_grpc_stream {
    unsigned char prefix[PROTO_GRPC_PREFIX];
    size_t prefix_len; /* bytes of the prefix that are there */
    unsigned char *message;
    size_t len, used; /* announced, received */
    size_t cap;       /* of the block; what is charged to the room */
    size_t max;       /* longest message that is taken */
    const struct proto_room *room;
};
/* room: the owner's, outlives the stream; NULL: nobody counts. */
void proto_grpc_init(struct proto_grpc_stream *s, size_t max, const struct proto_room *room);
void proto_grpc_finish(struct proto_grpc_stream *s);

/* Takes bytes from data up to the end of one message. *ret_used: how many were taken. 1: a message
 * is complete, and malloc'ed *ret_take (NUL behind it) is the caller's; call again for the rest. 0:
 * all was taken and more is needed. -EMSGSIZE (RESOURCE_EXHAUSTED): longer than max; -EPROTO
 * (INTERNAL): the flag is neither 0 nor 1; -ENOMEM; -EDQUOT: the room says no. Of a complete
 * message *ret_len bytes stay charged, from now on to the caller. The message grows with what
 * arrives, not with what is announced. */
int proto_grpc_feed(struct proto_grpc_stream *s, const void *data, size_t len, size_t *ret_used,
                    void **ret_take, size_t *ret_len, int *ret_compressed);
/* 1 if the stream stands between two messages, where alone it may end. */
int proto_grpc_at_boundary(const struct proto_grpc_stream *s);
void proto_grpc_prefix(unsigned char ret[PROTO_GRPC_PREFIX], uint32_t len, int compressed);

/* grpc-message: percent-encodes all but printable ASCII, and '%'. NUL-terminated; cut between
 * characters where ret is full. The length. */
size_t proto_grpc_message(const char *text, char *ret, size_t retlen);

/* grpc-timeout ("1500m": 1 to 8 digits and H M S m u n) in microseconds, rounded up. 0 or -EINVAL.
 */
int proto_grpc_timeout(const char *value, size_t len, uint64_t *ret_us);

#endif
