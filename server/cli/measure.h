/* Times whole runs of one network and sets them against the machine's arithmetic peak, measured
 * between the runs on as many threads: both see the same clock and the same neighbours. */
#ifndef SRV_MEASURE_H
#define SRV_MEASURE_H

#include "engine/model.h"

struct srv_measure_options {
    int threads, batch;
    double seconds;
    int layers;        /* 1: time each step, too */
    int tune;          /* 1: choose the plan's cuts by measurement first */
    uint32_t cpu_bits; /* for the peak */
};

struct srv_measure {
    double min_ms, median_ms, p99_ms; /* of the whole batch */
    int runs;
    double peak; /* operations a second, a multiply-add is two */
    const char *peak_name;
    double gops, peak_share; /* of the fastest run */
    size_t context_bytes;
    int steps;
    uint64_t
        *step_ns; /* least of several runs, by step; UINT64_MAX: unknown. NULL without layers */
};

int srv_measure_run(struct srv_measure *ret, struct eng_model *m,
                    const struct srv_measure_options *options, char *err, size_t errlen);
void srv_measure_finish(struct srv_measure *m);

/* Time of a layer. A step's time belongs to its first layer: 0 for one that is fused into it or
 * that costs nothing. *ret_ops (may be NULL): operations of one image in the whole step. */
uint64_t srv_measure_layer_ns(const struct srv_measure *m, const struct eng_model *model, int layer,
                              double *ret_ops);

#endif
