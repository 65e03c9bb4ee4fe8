/* Who allocates for a client asks first: whoever owns the account says yes or no. */
#ifndef PROTO_ROOM_H
#define PROTO_ROOM_H

#include <stddef.h>

struct proto_room {
    /* A block of `from` bytes is to become one of `to` bytes; 0: not there. 0, or -EDQUOT: it must
     * not grow. To shrink is never refused. */
    int (*change)(void *arg, size_t from, size_t to);
    void *arg;
};

/* NULL: nobody counts. */
static inline int proto_room_change(const struct proto_room *r, size_t from, size_t to)
{
    return r && from != to ? r->change(r->arg, from, to) : 0;
}

#endif
