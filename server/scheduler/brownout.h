/* Feeds the control laws of all families and puts what they decide into force. Loop thread. */
#ifndef SRV_BROWNOUT_H
#define SRV_BROWNOUT_H

#include "server/base/histogram.h"
#include "server/repository/family.h"
#include "server/scheduler/ladder.h"

struct srv_scheduler;
struct srv_job;
struct srv_registry;
struct srv_req;

/* Of one family, made when it is first asked for. Without memory for it the best variant runs. */
struct srv_control {
    struct srv_ladder law;
    double cost_ns[SRV_VARIANTS_MAX]; /* full path of an image: moving averages; 0 = none seen */
    struct srv_histogram recent[2];   /* time to the answer, since the last switch */
    uint64_t window_ns;               /* start of recent[0] */
    uint64_t degraded, opted_out;     /* images answered by a lower variant; refused instead */
};

void srv_brownout_init(struct srv_scheduler *s);
/* `images` of a family ask to be served, whether they will be or not. */
void srv_brownout_arrive(struct srv_req *r, int images);
/* What this job will cost, before it is queued: one of a family is priced for every variant. */
void srv_brownout_price(struct srv_job *j);
/* A job is back: is its answer a lower variant's? */
void srv_brownout_job_back(const struct srv_job *j);
/* A request is refused; because it would not be degraded? */
void srv_brownout_refused(struct srv_req *r);
/* A request of a family has its answer. */
void srv_brownout_answered(struct srv_req *r);
/* The registry is about to take the place of the present one. */
void srv_brownout_inherit(struct srv_scheduler *s, struct srv_registry *next);

#endif
