/* Counters of the loop thread, and their Prometheus text. */
#ifndef SRV_METRICS_H
#define SRV_METRICS_H

#include "server/base/histogram.h"

#include <stddef.h>

struct srv;
struct srv_job;
struct srv_model;
struct srv_req;
struct srv_route;

enum srv_stage { SRV_QUEUE, SRV_DECODE, SRV_PREPROCESS, SRV_INFERENCE, SRV_TOTAL, SRV_STAGES };
enum { SRV_ROUTES_MAX = 64, SRV_RPCS_MAX = 32, SRV_ROWS = SRV_ROUTES_MAX + SRV_RPCS_MAX + 1 };
enum { SRV_CODES = 20, SRV_BATCH_BUCKETS = 9 };

struct srv_metrics {
    uint64_t started_ns;
    struct srv_histogram stage[SRV_STAGES]; /* since the start */
    /* percentiles are of the last one to two windows, so that they follow the load */
    struct srv_histogram window[2][SRV_STAGES];
    uint64_t window_ns;                     /* start of window[0] */
    uint64_t requests[SRV_ROWS][SRV_CODES]; /* srv_metrics_row() */
    uint64_t batches[SRV_BATCH_BUCKETS], batch_images;
    uint64_t reloads, reload_failures;
    uint64_t loads, unloads;  /* of models, by calls */
    uint64_t memory_refusals; /* no room in max_inflight_bytes */
};

void srv_metrics_job(struct srv_metrics *m, struct srv_model *model, const struct srv_job *j);
/* Once every job of a request is back. */
void srv_metrics_answer(struct srv_model *model, const struct srv_req *r);
/* The row of a route or procedure; NULL is one of its own. */
int srv_metrics_row(const struct srv_route *r);
void srv_metrics_request(struct srv_metrics *m, int row, int status, uint64_t total_ns);
/* malloc'ed text; NULL: out of memory. */
char *srv_metrics_text(struct srv *s, size_t *ret_len);

#endif
