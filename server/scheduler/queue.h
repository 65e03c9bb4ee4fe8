/* What waits for one model, bounded by count. Priority comes first. Within a priority, clients take
 * turns by what their work costs, so that one who sends little does not wait for one who sends
 * much; one client's own jobs go by deadline, then by arrival.
 *
 * The turns are those of start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing",
 * SIGCOMM 1996). A client is told by a hash; clients whose hashes meet share one turn (stochastic
 * fairness queueing, McKenney, INFOCOM 1990), so that the number of clients costs no memory.
 *
 * Guarded by the pool's lock; links jobs, never owns them. */
#ifndef SRV_QUEUE_H
#define SRV_QUEUE_H

#include "server/scheduler/heap.h"

enum { SRV_FLOWS = 256 };

/* The jobs of the clients with one hash. */
struct srv_flow {
    struct srv_heap heap;
    size_t bytes;     /* of its waiting images */
    uint64_t cost_ns; /* theirs, predicted */
    uint64_t turn;    /* cost that it has had; the smallest of the waiting is next */
    size_t place;     /* in `order`, while it has jobs */
};

struct srv_queue {
    struct srv_flow flows[SRV_FLOWS];
    struct srv_flow *order[SRV_FLOWS]; /* a binary heap of those with jobs */
    size_t n_order;
    uint64_t turn; /* of the flow that was served last */
    size_t n;
    size_t bytes;     /* of the waiting images */
    uint64_t cost_ns; /* theirs, predicted */
    uint64_t sequence;
};

void srv_queue_finish(struct srv_queue *q); /* must be empty */
/* Makes room for n more of one flow, so that as many pushes cannot fail. -EAGAIN over `limit` in
 * the whole queue, -ENOMEM. */
int srv_queue_reserve(struct srv_queue *q, unsigned flow, size_t n, size_t limit);
void srv_queue_push(struct srv_queue *q, struct srv_job *j); /* NEW -> QUEUED, in j->flow */
struct srv_job *srv_queue_first(const struct srv_queue *q);  /* stays; NULL if empty */
/* Takes it out and charges its flow what it is predicted to cost. NULL if empty; still QUEUED. */
struct srv_job *srv_queue_pop(struct srv_queue *q);
void srv_queue_remove(struct srv_queue *q, struct srv_job *j); /* from anywhere; still QUEUED */
int srv_queue_has(const struct srv_queue *q, const struct srv_job *j);
/* What a job cost beyond what its flow was charged for it; less: negative. */
void srv_queue_correct(struct srv_queue *q, unsigned flow, int64_t cost_ns);
/* The earliest deadline among the first jobs of all flows; SRV_NEVER if there are none. */
uint64_t srv_queue_urgent(const struct srv_queue *q);
/* Cost of what would run before a job of this flow, priority and deadline, that costs cost_ns. */
uint64_t srv_queue_ahead(const struct srv_queue *q, unsigned flow, int priority,
                         uint64_t deadline_ns, uint64_t cost_ns);
/* Calls `price`, which may change j->cost_ns, for every job. */
void srv_queue_price(struct srv_queue *q, void (*price)(struct srv_job *j, void *arg), void *arg);
/* Takes out every job whose deadline is at or before now, linked by `next`; the earliest deadline
 * of the rest to ret_next (SRV_NEVER if none). */
struct srv_job *srv_queue_expire(struct srv_queue *q, uint64_t now, uint64_t *ret_next);

#endif
