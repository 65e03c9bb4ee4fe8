/* Every allocation is a block of a doubly linked list: requests make a handful of them, so a bump
 * pointer would save nothing, and the body can be grown in place by realloc. */
#include "server/base/arena.h"

#include <stdlib.h>
#include <string.h>

struct srv_arena_block {
    struct srv_arena_block *next, *prev;
    size_t size; /* with this header */
    _Alignas(16) unsigned char data[];
};

void srv_arena_init(struct srv_arena *a, size_t cap, const struct srv_payer *payer)
{
    *a = (struct srv_arena){.cap = cap, .payer = payer};
}

void srv_arena_finish(struct srv_arena *a)
{
    struct srv_arena_block *b = a->head;
    while (b) {
        struct srv_arena_block *next = b->next;
        free(b);
        b = next;
    }
    if (a->payer)
        srv_discharge(a->payer, SRV_USE_REQUEST, a->used);
    a->head = NULL;
    a->used = 0;
}

static int charge(struct srv_arena *a, size_t old, size_t size)
{
    if (size > a->cap || a->used - old > a->cap - size)
        return -1;
    if (a->payer && srv_charge_change(a->payer, SRV_USE_REQUEST, old, size) < 0) {
        a->refused = 1;
        return -1;
    }
    a->used = a->used - old + size;
    return 0;
}

static void link_block(struct srv_arena *a, struct srv_arena_block *b)
{
    b->prev = NULL;
    b->next = a->head;
    if (a->head)
        a->head->prev = b;
    a->head = b;
}

void *srv_arena_alloc(struct srv_arena *a, size_t size)
{
    size_t whole = size + sizeof(struct srv_arena_block);
    if (whole < size || charge(a, 0, whole) < 0)
        return NULL;
    struct srv_arena_block *b = calloc(1, whole);
    if (!b) {
        charge(a, whole, 0);
        return NULL;
    }
    b->size = whole;
    link_block(a, b);
    return b->data;
}

void *srv_arena_grow(struct srv_arena *a, void *old, size_t size)
{
    struct srv_arena_block *b = NULL;
    size_t was = 0, whole = size + sizeof(*b);
    if (old) {
        b = (struct srv_arena_block *)((unsigned char *)old -
                                       offsetof(struct srv_arena_block, data));
        was = b->size;
    }
    if (whole < size || charge(a, was, whole) < 0)
        return NULL;
    struct srv_arena_block *grown = realloc(b, whole);
    if (!grown) {
        charge(a, whole, was);
        return NULL;
    }
    grown->size = whole;
    if (!old) {
        link_block(a, grown);
        return grown->data;
    }
    if (grown->prev)
        grown->prev->next = grown;
    else
        a->head = grown;
    if (grown->next)
        grown->next->prev = grown;
    return grown->data;
}
