/* Jobs in the order in which one client's are to run: priority, then deadline, then arrival. A
 * binary heap whose members know their place, so that a vanished client's job leaves in O(log n).
 * Guarded by whoever holds it; links jobs, never owns them. */
#ifndef SRV_HEAP_H
#define SRV_HEAP_H

#include "server/scheduler/job.h"

struct srv_heap {
    struct srv_job **jobs; /* jobs[0] is the first */
    size_t n, room;
};

void srv_heap_finish(struct srv_heap *h); /* must be empty */
/* Makes room for n more, so that as many pushes cannot fail. -ENOMEM. */
int srv_heap_reserve(struct srv_heap *h, size_t n);
void srv_heap_push(struct srv_heap *h, struct srv_job *j);
void srv_heap_remove(struct srv_heap *h, struct srv_job *j); /* from anywhere */
/* Takes out every job whose deadline is at or before `now`, in front of the list *list, linked by
 * `next`; the earliest deadline of the rest (SRV_NEVER if none). */
uint64_t srv_heap_expire(struct srv_heap *h, uint64_t now, struct srv_job **list);

#endif
