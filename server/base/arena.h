/* A capped arena: everything of one request, freed in one call. Belongs to whoever holds the
 * request: the loop, or the worker that a srv_req_offload() gave it to. */
#ifndef SRV_ARENA_H
#define SRV_ARENA_H

#include <stddef.h>

#include "server/base/account.h"

struct srv_arena_block;

struct srv_arena {
    struct srv_arena_block *head;
    size_t used;                   /* bytes handed out, headers included */
    size_t cap;                    /* used never exceeds it */
    const struct srv_payer *payer; /* is charged for it as SRV_USE_REQUEST; may be NULL */
    int refused;                   /* the payer had no room at least once */
};

/* payer: outlives it, and is the same while anything is allocated. */
void srv_arena_init(struct srv_arena *a, size_t cap, const struct srv_payer *payer);
void srv_arena_finish(struct srv_arena *a);

/* Zeroed, aligned for any type. NULL: over the cap, refused by the payer's budget, or out of
 * memory. */
void *srv_arena_alloc(struct srv_arena *a, size_t size);

/* A growable block. old NULL: a new one. The contents survive, the rest is not zeroed; on NULL the
 * old block is untouched. Only for blocks that came from this function. */
void *srv_arena_grow(struct srv_arena *a, void *old, size_t size);

#endif
