/* Work that is done once for many: the cache of answers, and equal images in flight, of which one
 * is computed and the others wait for it. Loop thread, but for srv_coalesce_digest().
 *
 * An answer is kept under the image's bytes, the options that matter and the model that gave it: a
 * lower variant's answer is never taken for a better one's. While a family is degraded, what a
 * better variant said before is still given; when it is not, only what the best one said.
 *
 * Who waits keeps deadline and client: it may expire or leave alone, and when the one that is
 * computed does not bring an answer for reasons of its own (its client left, its deadline passed),
 * the next one is computed. Nobody waits for a job that is less urgent than its own. */
#ifndef SRV_COALESCE_H
#define SRV_COALESCE_H

#include "server/scheduler/cache.h"
#include "server/scheduler/job.h"

struct srv_scheduler;
struct srv_flight;
struct srv_req;

enum { SRV_FLIGHT_BUCKETS = 1024, SRV_ETAG_MAX = 40 };

struct srv_coalesce {
    uint64_t key[2];         /* of the hash; fixed after the start */
    struct srv_cache *cache; /* NULL: off */
    int64_t budget;          /* what the cache was made for */
    struct srv_flight *flights[SRV_FLIGHT_BUCKETS];
    struct srv_job *ready, **ready_tail; /* answered without a worker */
    uint64_t hits, shared, misses;       /* images */
};

void srv_coalesce_init(struct srv_scheduler *s);      /* needs the configuration */
void srv_coalesce_configure(struct srv_scheduler *s); /* the option may have changed */
void srv_coalesce_finish(struct srv_coalesce *h);

/* Does this request take part? Set when it is made, for its whole life. */
int srv_coalesce_is_on(const struct srv_scheduler *s);
/* Hashes inputs that have no digest yet; on a worker, too, where they are long. */
void srv_coalesce_digest(const struct srv_req *r, struct srv_input *inputs, int n);

/* Before admission: jobs that need not be computed are marked `elsewhere`; those of which the
 * answer is known are in their final state. How many are left. */
int srv_coalesce_look(struct srv_req *r);
/* The others are in the queue: from now on they may be waited for, and the marked ones wait. */
void srv_coalesce_begin(struct srv_req *r);
/* A job is back from the pool, in a final state. */
void srv_coalesce_settle(struct srv_job *j);
/* A job that waits for another's answer does so no more; 0: it did not. It stays NEW. */
int srv_coalesce_withdraw(struct srv_job *j);
/* Jobs to hand to srv_req_jobs_back(), linked by `next`. */
struct srv_job *srv_coalesce_collect(struct srv_coalesce *h);
/* Jobs that wait and are past their deadline, EXPIRED and linked; *ret_next is lowered to the next
 * deadline. */
struct srv_job *srv_coalesce_expire(struct srv_coalesce *h, uint64_t now, uint64_t *ret_next);

/* Entity tags, weak, since times differ from answer to answer. Of an answered job: */
void srv_coalesce_etag(const struct srv_job *j, char ret[SRV_ETAG_MAX]);
/* Is the answer that this image would get now the one of a tag in this If-None-Match? Then *ret is
 * the tag. */
int srv_coalesce_is_known(struct srv_req *r, const struct srv_input *input,
                          const char *if_none_match, char ret[SRV_ETAG_MAX]);

#endif
