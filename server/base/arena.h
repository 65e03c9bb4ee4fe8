/* A capped arena: everything of one request, freed in one call. Belongs to whoever holds the
 * request: the loop, or the worker that a srv_req_offload() gave it to. */
#ifndef SRV_ARENA_H
#define SRV_ARENA_H

#include <stdatomic.h>
#include <stddef.h>

struct srv_arena_block;

struct srv_arena {
    struct srv_arena_block *head;
    size_t used;          /* bytes handed out, headers included */
    size_t cap;           /* used never exceeds it */
    atomic_size_t *total; /* sum over all arenas of the server; may be NULL */
};

void srv_arena_init(struct srv_arena *a, size_t cap, atomic_size_t *total);
void srv_arena_finish(struct srv_arena *a);

/* Zeroed, aligned for any type. NULL: over the cap or out of memory. */
void *srv_arena_alloc(struct srv_arena *a, size_t size);

/* A growable block. old NULL: a new one. The contents survive, the rest is not zeroed; on NULL the
 * old block is untouched. Only for blocks that came from this function. */
void *srv_arena_grow(struct srv_arena *a, void *old, size_t size);

#endif
