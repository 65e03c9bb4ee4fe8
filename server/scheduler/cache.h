/* A bounded store of small answers by 128-bit key: what was used longest ago makes room. One
 * thread.
 */
#ifndef SRV_CACHE_H
#define SRV_CACHE_H

#include "server/base/siphash.h"

struct srv_cache;

struct srv_cache_stats {
    size_t bytes, entries; /* bytes: all that it takes, its own structures included */
    uint64_t evictions;
};

int srv_cache_create(struct srv_cache **ret, size_t budget); /* bytes; -ENOMEM */
void srv_cache_destroy(struct srv_cache *c);                 /* NULL is fine */

/* Valid until the next put; NULL: not there. */
const void *srv_cache_get(struct srv_cache *c, struct srv_hash key, size_t *ret_len);
/* Copies. Without room for it, or memory, it is not kept. */
void srv_cache_put(struct srv_cache *c, struct srv_hash key, const void *data, size_t len);

struct srv_cache_stats srv_cache_stats(const struct srv_cache *c); /* NULL is fine */

#endif
