/* The workers: as many threads as the CPU quota, that take batches from the queues of all models.
 *
 * Work-conserving: a free worker takes what waits at once, its fair share of it when others are
 * free too. Elastic: a worker with nothing to take helps a running batch of another until that
 * ends, so a lone request gets every core and a flood gets one batch a core; nothing switches
 * modes.
 *
 * Three locks, never two at a time (docs/THREADS.md): `lock` (queues, who is free, contexts),
 * `decoder_lock`, `done_lock`. */
#ifndef SRV_POOL_H
#define SRV_POOL_H

#include <pthread.h>

#include "engine/image.h"
#include "server/repository/model.h"
#include "server/scheduler/items.h"
#include "server/scheduler/dispatch.h"

struct srv_family;
struct srv_lane;
struct srv_pool;
struct srv_work_item;

struct srv_worker {
    struct srv_pool *pool;
    pthread_t thread;
    int index;
    struct eng_team *team; /* led by this worker; others may lend themselves to it */
    uint64_t lending;      /* number of its open run, 0 = none; guarded by the pool's lock */
    int had_item;          /* what it did last was a work item */
    int crowded;           /* more waited than it took: what would be late anyway is dropped */
    struct srv_job *jobs[SRV_BATCH_MAX]; /* the batch in hand */
};

struct srv_pool_options {
    int workers;           /* threads, at least 1 */
    int max_batch;         /* 1..SRV_BATCH_MAX */
    uint64_t max_delay_ns; /* that jobs wait for company, where a batch is not full */
    uint32_t cpu_bits;     /* of the decoders */
    /* On a worker: jobs[0..n-1] of one model, QUEUED and out of the queue; all of them must end in
     * srv_pool_complete(). srv_batch_run() */
    void (*run)(struct srv_worker *w, struct srv_model *m, struct srv_job **jobs, int n);
    /* Called on a worker when the completion list stops being empty; must not block. */
    void (*notify)(void *arg);
    void *arg;
};

struct srv_pool {
    struct srv_pool_options options;
    int n; /* threads that run */
    struct srv_worker *workers;

    pthread_mutex_t lock;
    pthread_cond_t work;
    int max_batch, stop;
    struct srv_idling idle;
    uint64_t max_delay_ns;
    struct srv_lane *waiting;
    uint64_t turn, lends;   /* virtual time of the last batch; runs opened so far */
    struct srv_items items; /* each is short, and makes jobs: a worker takes one, then a batch */
    size_t queued, running;
    uint64_t running_ns; /* predicted cost of what runs */
    uint64_t helped;     /* times that a worker lent itself */
    uint64_t dispatched[SRV_DISPATCHES];

    pthread_mutex_t decoder_lock;
    struct eng_decoder **decoders; /* a stack of those at rest */
    int n_decoders;

    pthread_mutex_t done_lock;
    struct srv_job *done, **done_tail;
    struct srv_work_item *done_items, **done_items_tail;
};

int srv_pool_create(struct srv_pool **ret, const struct srv_pool_options *options, char *err,
                    size_t errlen);
void srv_pool_destroy(struct srv_pool *p); /* nothing may wait; joins the threads */

/* Loop thread. All n jobs of a request, but for those that are elsewhere, or none: -EAGAIN over
 * `limit` waiting, -ENOMEM. */
int srv_pool_submit(struct srv_pool *p, struct srv_model *m, struct srv_job *jobs, int n,
                    size_t limit);
/* Takes a waiting job out; 0 if a worker has it already. The job stays QUEUED. */
int srv_pool_withdraw(struct srv_pool *p, struct srv_model *m, struct srv_job *j);
/* -EAGAIN: `limit` work items wait already. */
int srv_pool_submit_item(struct srv_pool *p, struct srv_work_item *t, size_t limit);
/* The whole completion list, oldest first; NULL if empty. */
struct srv_job *srv_pool_collect(struct srv_pool *p);
struct srv_work_item *srv_pool_collect_items(struct srv_pool *p);
/* Waiting work items past their deadline; *ret_next is lowered to the next one. */
struct srv_work_item *srv_pool_expire_items(struct srv_pool *p, uint64_t now, uint64_t *ret_next);
/* Waiting jobs past their deadline, out of their queues (still QUEUED); when to look again. */
struct srv_job *srv_pool_expire(struct srv_pool *p, uint64_t now, uint64_t *ret_next);
/* Cost of the work that comes before a job of this model, flow, priority and deadline, which costs
 * `cost_ns`: what runs, what is ahead in its queue, and the turns of other models meanwhile. */
uint64_t srv_pool_ahead(struct srv_pool *p, const struct srv_model *m, unsigned flow, int priority,
                        uint64_t deadline_ns, uint64_t cost_ns);
/* What the control law of a family wants to know: images that wait for its best model or run, and
 * the cost of the turns that other models take meanwhile. */
struct srv_pool_load {
    size_t images;
    uint64_t other_ns;
};
struct srv_pool_load srv_pool_load(struct srv_pool *p, const struct srv_model *m);
/* What waits of the family's queue is priced anew: by `price`, under the lock. */
void srv_pool_set_level(struct srv_pool *p, struct srv_family *f, int level,
                        void (*price)(struct srv_job *j, void *arg), void *arg);
void srv_pool_set_batching(struct srv_pool *p, int max_batch, uint64_t max_delay_ns);

struct srv_pool_state {
    int idle;
    size_t queued, running;
    uint64_t helped;
    uint64_t busy_ns; /* of all threads together, since the start */
    uint64_t dispatched[SRV_DISPATCHES];
};
struct srv_pool_state srv_pool_state(struct srv_pool *p);
/* What waits for one model: jobs and their bytes, and those of one flow. */
struct srv_pool_queued {
    size_t jobs, bytes, flow_jobs, flow_bytes;
};
struct srv_pool_queued srv_pool_queued(struct srv_pool *p, const struct srv_model *m,
                                       unsigned flow);

/* Workers. */
struct srv_context *srv_pool_context_take(struct srv_pool *p, struct srv_model *m, int batch,
                                          char *err, size_t errlen); /* NULL: out of memory */
void srv_pool_context_give(struct srv_pool *p, struct srv_model *m, struct srv_context *c);
struct eng_decoder *srv_pool_decoder_take(struct srv_pool *p);
void srv_pool_decoder_give(struct srv_pool *p, struct eng_decoder *d);
/* Opens the worker's team and calls free workers to it; NULL if it is alone in the pool. */
struct eng_team *srv_pool_lend(struct srv_worker *w);
void srv_pool_lend_end(struct srv_worker *w, struct eng_team *team);
/* Hands the n jobs of a batch, in final states, to the loop. */
void srv_pool_complete(struct srv_pool *p, struct srv_job **jobs, int n);

#endif
