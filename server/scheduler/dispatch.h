/* What the pool counts of itself: why batches were as large as they were, and how long its threads
 * had nothing to do. Guarded by the pool's lock. */
#ifndef SRV_DISPATCH_H
#define SRV_DISPATCH_H

#include <stdint.h>

/* Why a batch was no larger. */
enum srv_dispatch {
    SRV_DISPATCH_ALL,      /* no more waited */
    SRV_DISPATCH_FULL,     /* as large as pays, or as max_batch lets it */
    SRV_DISPATCH_SHARED,   /* other workers are free for the rest */
    SRV_DISPATCH_DEADLINE, /* more would have made the most urgent one late */
    SRV_DISPATCH_VARIANT,  /* the next is for another variant of the family */
    SRV_DISPATCH_DELAY,    /* no more came while it waited for company */
    SRV_DISPATCHES
};

/* n images were taken where `share` were allowed, and `left` still wait. idle: threads that are
 * free for them; delayed: it had waited for company as long as it may. */
enum srv_dispatch srv_dispatch_why(uint64_t left, int n, int share, int idle, int delayed);

/* The time that threads were idle, all together. */
struct srv_idling {
    int now; /* threads */
    uint64_t started_ns, since_ns, sum_ns;
};

void srv_idling_change(struct srv_idling *i, int by);
/* Nanoseconds that n threads were not idle since the start, all together. */
uint64_t srv_idling_busy_ns(struct srv_idling *i, int n);

#endif
