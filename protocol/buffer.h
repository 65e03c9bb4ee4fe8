/* A growing text for the writers of protocol/. Failed allocations are remembered, not reported one
 * by one: proto_buf_take() returns NULL at the end. Private to protocol/. */
#ifndef PROTO_BUFFER_H
#define PROTO_BUFFER_H

#include <stdint.h>

#include "protocol/span.h"

struct proto_buf {
    char *data;
    size_t len, cap;
    int failed;
};

/* Room for n more bytes, or NULL; proto_buf_grow() then counts them in. */
char *proto_buf_room(struct proto_buf *b, size_t n);
void proto_buf_grow(struct proto_buf *b, size_t n);
void proto_buf_put(struct proto_buf *b, const void *data, size_t len);
void proto_buf_text(struct proto_buf *b, const char *text);
void proto_buf_int(struct proto_buf *b, int64_t value);
/* A JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void proto_buf_string(struct proto_buf *b, struct proto_span text);
/* The text, NUL-terminated, malloc'ed; NULL if anything failed. b is empty afterwards. */
char *proto_buf_take(struct proto_buf *b, size_t *ret_len);

#endif
