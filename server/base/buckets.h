/* A histogram with fixed edges, as Prometheus takes it: of a bucket's values each is at most its
 * edge, and those beyond the last edge have a bucket of their own. Any one thread at a time. */
#ifndef SRV_BUCKETS_H
#define SRV_BUCKETS_H

#include <stdint.h>

enum { SRV_EDGES_MAX = 16 };

struct srv_edges {
    int n;                    /* at most SRV_EDGES_MAX */
    double at[SRV_EDGES_MAX]; /* rising */
};

struct srv_buckets {
    double sum;
    uint64_t n[SRV_EDGES_MAX + 1]; /* [edges.n]: beyond the last edge */
};

extern const struct srv_edges srv_edges_seconds; /* 0.1 ms to 10 s */
extern const struct srv_edges srv_edges_share;   /* 0.05 to 0.99 of 1, finer at its end */
extern const struct srv_edges srv_edges_count;   /* 1 to 256 by octaves */

/* The bucket that it went to. */
int srv_buckets_add(struct srv_buckets *b, const struct srv_edges *e, double value);

#endif
