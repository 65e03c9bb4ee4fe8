/* A histogram of durations with 16 steps an octave: any percentile within 5 %, constant memory. */
#ifndef SRV_HISTOGRAM_H
#define SRV_HISTOGRAM_H

#include <stdint.h>

enum {
    SRV_HISTOGRAM_STEPS = 16,
    SRV_HISTOGRAM_OCTAVES = 27, /* 1 us .. 134 s */
    SRV_HISTOGRAM_BUCKETS = SRV_HISTOGRAM_STEPS * SRV_HISTOGRAM_OCTAVES
};

struct srv_histogram {
    uint64_t count, sum_ns;
    uint64_t bucket[SRV_HISTOGRAM_BUCKETS];
};

void srv_histogram_add(struct srv_histogram *h, uint64_t ns);
/* Upper edge in nanoseconds of the bucket that holds the q-th value (q in 0..1) of both together,
 * such as the current and the previous window; 0 if they are empty. */
uint64_t srv_histogram_quantile(const struct srv_histogram *a, const struct srv_histogram *b,
                                double q);

#endif
