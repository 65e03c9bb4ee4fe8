/* A growing text for writers of JSON. Failed allocations are remembered, not reported one by one:
 * proto_buf_take() returns NULL at the end. Commas set themselves: what follows an opened bracket,
 * a colon or nothing needs none.
 *
 *     proto_buf_key(&b, "box");
 *     proto_buf_floats(&b, box, 4);          "box":[0.5,1.0,20.25,null] */
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
/* The same of a NUL-terminated one; NULL is null. */
void proto_buf_quoted(struct proto_buf *b, const char *text);
/* The fewest digits that read back as the same float; null for NaN and infinities, which JSON
 * lacks. Lists of them are printed in one go. */
void proto_buf_float(struct proto_buf *b, float value);
void proto_buf_floats(struct proto_buf *b, const float *values, size_t n);
/* In front of a member's value, and of an element of a list. */
void proto_buf_key(struct proto_buf *b, const char *key);
void proto_buf_next(struct proto_buf *b);
/* The text, NUL-terminated, malloc'ed; NULL if anything failed. b is empty afterwards. */
char *proto_buf_take(struct proto_buf *b, size_t *ret_len);
/* Throws it away. */
void proto_buf_finish(struct proto_buf *b);

#endif
