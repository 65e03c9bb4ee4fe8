/* Log-linear buckets: the octave is the position of the highest bit of the microseconds, the step
 * is taken from the bits below it. */
#include "server/base/histogram.h"

/* In sixteenths of a microsecond, so that the first octave has steps as well. */
static int bucket_of(uint64_t ns)
{
    uint64_t v = ns * SRV_HISTOGRAM_STEPS / 1000;
    if (v < SRV_HISTOGRAM_STEPS)
        return 0;
    int octave = 63 - __builtin_clzll(v) - 4; /* v >> octave is in 16..31 */
    int b = octave * SRV_HISTOGRAM_STEPS + (int)(v >> octave) - SRV_HISTOGRAM_STEPS;
    return b < SRV_HISTOGRAM_BUCKETS ? b : SRV_HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(int b)
{
    int octave = b / SRV_HISTOGRAM_STEPS;
    uint64_t step = (uint64_t)(b % SRV_HISTOGRAM_STEPS) + SRV_HISTOGRAM_STEPS + 1;
    return (step << octave) * 1000 / SRV_HISTOGRAM_STEPS;
}

void srv_histogram_add(struct srv_histogram *h, uint64_t ns)
{
    if (ns > 1000000000000u) /* also keeps the product in bucket_of() from wrapping */
        ns = 1000000000000u;
    h->count++;
    h->sum_ns += ns;
    h->bucket[bucket_of(ns)]++;
}

uint64_t srv_histogram_quantile(const struct srv_histogram *a, const struct srv_histogram *b,
                                double q)
{
    uint64_t total = a->count + b->count, seen = 0;
    if (total == 0)
        return 0;
    uint64_t rank = (uint64_t)(q * (double)total);
    if (rank >= total)
        rank = total - 1;
    for (int i = 0; i < SRV_HISTOGRAM_BUCKETS; i++) {
        seen += a->bucket[i] + b->bucket[i];
        if (seen > rank)
            return upper_edge(i);
    }
    return upper_edge(SRV_HISTOGRAM_BUCKETS - 1);
}
