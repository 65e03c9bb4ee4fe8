/* Buckets of chains, and one list through all entries by their last use. The table's size follows
 * from the budget: nothing is ever rehashed. */
#include "server/scheduler/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TYPICAL = 256, BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 20, LARGEST_SHARE = 8, OVERHEAD = 16 };

struct entry {
    struct entry *chain, *newer, *older;
    struct srv_hash key;
    size_t len;
    unsigned char data[];
};

struct srv_cache {
    size_t budget, bytes, n, buckets;
    uint64_t evictions;
    struct entry *newest, *oldest;
    struct entry *table[];
};

static size_t size_of(size_t len)
{
    return sizeof(struct entry) + len + OVERHEAD; /* of malloc */
}

int srv_cache_create(struct srv_cache **ret, size_t budget)
{
    size_t buckets = BUCKETS_MIN;
    while (buckets < BUCKETS_MAX && buckets * TYPICAL < budget)
        buckets *= 2;
    struct srv_cache *c = calloc(1, sizeof(*c) + buckets * sizeof(struct entry *));
    if (!c)
        return -ENOMEM;
    c->budget = budget;
    c->buckets = buckets;
    c->bytes = sizeof(*c) + buckets * sizeof(struct entry *);
    *ret = c;
    return 0;
}

void srv_cache_destroy(struct srv_cache *c)
{
    for (struct entry *e = c ? c->newest : NULL, *older; e; e = older) {
        older = e->older;
        free(e);
    }
    free(c);
}

static struct entry **find(struct srv_cache *c, struct srv_hash key)
{
    struct entry **at = &c->table[key.a & (c->buckets - 1)];
    while (*at && ((*at)->key.a != key.a || (*at)->key.b != key.b))
        at = &(*at)->chain;
    return at;
}

static void unlink_use(struct srv_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct srv_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct srv_cache *c, struct entry **at)
{
    struct entry *e = *at;
    *at = e->chain;
    unlink_use(c, e);
    c->bytes -= size_of(e->len);
    c->n--;
    free(e);
}

const void *srv_cache_get(struct srv_cache *c, struct srv_hash key, size_t *ret_len)
{
    struct entry *e = *find(c, key);
    if (!e)
        return NULL;
    unlink_use(c, e);
    link_newest(c, e);
    *ret_len = e->len;
    return e->data;
}

void srv_cache_put(struct srv_cache *c, struct srv_hash key, const void *data, size_t len)
{
    struct entry **at = find(c, key);
    if (*at)
        drop(c, at);
    if (size_of(len) > c->budget / LARGEST_SHARE)
        return;
    while (c->oldest && c->bytes + size_of(len) > c->budget) {
        drop(c, find(c, c->oldest->key));
        c->evictions++;
    }
    struct entry *e = c->bytes + size_of(len) <= c->budget ? malloc(sizeof(*e) + len) : NULL;
    if (!e)
        return;
    e->key = key;
    e->len = len;
    memcpy(e->data, data, len);
    at = find(c, key);
    e->chain = *at;
    *at = e;
    link_newest(c, e);
    c->bytes += size_of(len);
    c->n++;
}

struct srv_cache_stats srv_cache_stats(const struct srv_cache *c)
{
    if (!c)
        return (struct srv_cache_stats){0};
    return (struct srv_cache_stats){c->bytes, c->n, c->evictions};
}
