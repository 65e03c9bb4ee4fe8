/* What every writer of JSON in protocol/ shares, on top of jansson. Private to protocol/.
 *
 * Members of an object come out in the order of the calls. A failed allocation anywhere makes the
 * final dump return NULL: callers check once, at the end. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct proto_json {
    int failed;
};

json_t *proto_json_object(struct proto_json *w);
json_t *proto_json_array(struct proto_json *w);
/* Appends to an object (key) or an array (key NULL); takes the value's reference. */
void proto_json_add(struct proto_json *w, json_t *to, const char *key, json_t *value_take);
/* NULL becomes null; invalid UTF-8 is repaired. */
void proto_json_text(struct proto_json *w, json_t *to, const char *key, const char *text);
void proto_json_int(struct proto_json *w, json_t *to, const char *key, uint64_t value);
/* Nanoseconds as milliseconds with 3 decimals. */
double proto_json_round_ms(uint64_t ns);
/* Compact text and a line feed, malloc'ed; releases root. NULL: out of memory. */
char *proto_json_dump(struct proto_json *w, json_t *root_take, size_t *ret_len);

#endif
