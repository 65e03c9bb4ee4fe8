/* What the pool has of one model: the jobs that wait for it, its turn against other models, and run
 * contexts to lend to workers. Guarded by the pool's lock; goes with the model. */
#ifndef SRV_LANE_H
#define SRV_LANE_H

#include "server/repository/model.h"
#include "server/scheduler/queue.h"

struct srv_lane {
    struct srv_model *model; /* no reference: it holds this */
    struct srv_queue queue;
    struct srv_lane *next_waiting; /* lanes with jobs in their queues */
    int waiting;
    uint64_t waiting_since_ns; /* for company: since the first came, or some were taken */
    uint64_t turn;             /* virtual time used; the smallest of the waiting runs next */
    struct srv_context *contexts;
};

/* The model's, made if it has none. NULL: out of memory. */
struct srv_lane *srv_lane_of(struct srv_model *m);
/* n jobs of one batch are done: turns are charged what work cost, whatever was foreseen, so that a
 * client whose pictures are worse than they look pays for them. */
void srv_lane_correct(struct srv_job *const *jobs, int n);

#endif
