/* What the scheduler counts, of all models together and of each; metrics.h makes the text of it.
 * Loop thread. */
#ifndef SRV_COUNTERS_H
#define SRV_COUNTERS_H

#include "server/base/buckets.h"
#include "server/base/histogram.h"
#include "server/base/stages.h"

struct srv_job;
struct srv_model;
struct srv_req;

struct srv_counters {
    struct srv_buckets stage[SRV_STAGES]; /* seconds, since the start */
    /* percentiles are of the last one to two windows, so that they follow the load */
    struct srv_histogram window[2][SRV_STAGES];
    uint64_t window_ns;             /* start of window[0] */
    struct srv_buckets batch, team; /* a run each: its images, its threads */
};

/* Begins a new window if it is time; before the windows are read. */
void srv_counters_turn(struct srv_counters *m);
void srv_count_stage(struct srv_counters *m, enum srv_stage stage, uint64_t ns);
/* A request that ended well; trace: 32 hexadecimal digits, or "". */
void srv_count_total(struct srv_counters *m, const struct srv_req *r, uint64_t ns,
                     const char *trace);
/* Of a job in a final state. */
void srv_count_job(struct srv_counters *m, struct srv_model *model, const struct srv_job *j);
/* Once every job of a request is back. */
void srv_count_answer(struct srv_model *model, const struct srv_req *r);

#endif
