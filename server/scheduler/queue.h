/* What waits for one model: bounded by count, ordered by priority, then deadline, then arrival.
 * Guarded by the pool's lock; links jobs, never owns them. */
#ifndef SRV_QUEUE_H
#define SRV_QUEUE_H

#include "server/scheduler/job.h"

struct srv_queue {
    struct srv_job **heap;
    size_t n, room;
    size_t bytes;     /* of the waiting images */
    uint64_t cost_ns; /* theirs, predicted */
    uint64_t sequence;
};

void srv_queue_finish(struct srv_queue *q); /* must be empty */
/* Makes room for n more, so that as many pushes cannot fail. -EAGAIN over `limit`, -ENOMEM. */
int srv_queue_reserve(struct srv_queue *q, size_t n, size_t limit);
void srv_queue_push(struct srv_queue *q, struct srv_job *j);   /* NEW -> QUEUED */
struct srv_job *srv_queue_pop(struct srv_queue *q);            /* NULL if empty; still QUEUED */
void srv_queue_remove(struct srv_queue *q, struct srv_job *j); /* from anywhere; still QUEUED */
/* Takes out every job whose deadline is at or before now, linked by `next`; the earliest deadline
 * of the rest to ret_next (SRV_NEVER if none). */
/* Cost of what would run before a job of this priority and deadline. */
uint64_t srv_queue_ahead(const struct srv_queue *q, int priority, uint64_t deadline_ns);
struct srv_job *srv_queue_expire(struct srv_queue *q, uint64_t now, uint64_t *ret_next);

#endif
