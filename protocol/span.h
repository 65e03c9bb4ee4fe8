/* A piece of somebody else's bytes: not terminated, not owned, valid as long as those are. */
#ifndef PROTO_SPAN_H
#define PROTO_SPAN_H

#include <stddef.h>

struct proto_span {
    const char *s; /* NULL: absent; "" with len 0: present and empty */
    size_t len;
};

int proto_span_is(struct proto_span span, const char *word);
int proto_span_same(struct proto_span a, struct proto_span b);

#endif
