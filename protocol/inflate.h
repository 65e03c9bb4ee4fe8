/* Content-Encoding gzip and deflate (zlib, or raw as some clients send it), with a cap. */
#ifndef PROTO_INFLATE_H
#define PROTO_INFLATE_H

#include <stddef.h>

#include "protocol/room.h"

enum proto_coding { PROTO_IDENTITY, PROTO_GZIP, PROTO_DEFLATE };

/* Of a Content-Encoding or grpc-encoding value; NULL is identity. -EINVAL: another one, or several.
 */
int proto_coding_parse(const char *value, enum proto_coding *ret);

/* Malloc'ed *ret_take with a NUL behind it. -EMSGSIZE: more than max bytes; -EINVAL: damaged, cut
 * short, or bytes behind the end; -ENOMEM; -EDQUOT: `room` (NULL: unbounded) says no. Memory
 * follows what comes out, never more than max; what stays charged to the room is ret_len. */
int proto_inflate(enum proto_coding coding, const void *data, size_t len, size_t max,
                  const struct proto_room *room, void **ret_take, size_t *ret_len);

#endif
