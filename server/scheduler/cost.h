/* What work will cost, and how fast it gets done: what admission is decided by. Learns from every
 * job that comes back. Loop thread only.
 *
 * Costs are in nanoseconds of one core. Decoding: bytes and pixels at fixed prices, times a factor
 * a format and scale that is learned; inference: a moving average of each model. The rate is
 * measured as well (cost done per nanosecond of a busy pool), so whatever the prices get wrong on
 * average, or the CPU quota takes away, cancels out. */
#ifndef SRV_COST_H
#define SRV_COST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/image.h"
#include "server/scheduler/job.h"

struct srv_model;

enum { SRV_FORMATS = ENG_IMAGE_FORMATS, SRV_SCALES = 4 };

struct srv_cost {
    double factor[SRV_FORMATS][SRV_SCALES]; /* real decode time / price; 0 = never seen */
    double rate;                            /* cost done per ns; about the number of workers */
    double margin;                          /* of predicted times, to be kept in 99 of 100 */
    int workers;
    int jobs;                /* queued or running */
    uint64_t backlog_ns;     /* their cost */
    uint64_t window_from_ns; /* since when every worker has had something to do; 0: some have not */
    uint64_t window_done_ns; /* cost done since */
    uint64_t idle_from_ns;   /* since when nothing is known about the rate */
};

void srv_cost_init(struct srv_cost *c, int workers);

/* Of one image of which only the length is known. */
uint64_t srv_cost_guess(const struct srv_cost *c, const struct srv_model *m, size_t len);
/* Fills in what the job's bytes say of themselves; once, before it is priced. */
void srv_cost_look(struct srv_job *j);
/* Fills in what the job will cost with this model. */
void srv_cost_price(const struct srv_cost *c, const struct srv_model *m, struct srv_job *j);

void srv_cost_enter(struct srv_cost *c, struct srv_job *j, uint64_t now);
/* In a final state: learns, and takes its cost off the backlog. */
void srv_cost_leave(struct srv_cost *c, struct srv_model *m, const struct srv_job *j, uint64_t now);

/* Time until `work_ns` are done at the measured rate. */
uint64_t srv_cost_time(const struct srv_cost *c, uint64_t work_ns);
/* What was predicted by it, longer by what predictions were wrong of late: 99 of 100 keep to it. */
uint64_t srv_cost_promise(const struct srv_cost *c, uint64_t predicted_ns);
/* What may be predicted and still meet this objective, with a tenth left to what the server does
 * not see: the way to the client and back. */
uint64_t srv_cost_budget(const struct srv_cost *c, uint64_t objective_ns);
/* Learns that margin from an answer that had others before it. */
void srv_cost_kept(struct srv_cost *c, uint64_t predicted_ns, uint64_t took_ns);

#endif
