/* How a metric is written, in either of the two formats. Private to metrics_*.c. Loop thread. */
#ifndef SRV_METRICS_WRITE_H
#define SRV_METRICS_WRITE_H

#include <stdint.h>
#include <stdio.h>

#include "server/base/buckets.h"
#include "server/repository/model.h"

enum srv_metric {
#define METRIC(name, ...) M_##name,
#include "server/handlers/metrics.def"
    SRV_METRICS
};

struct srv_page {
    FILE *f;
    int open; /* OpenMetrics */
};

/* What it is and what it says; its samples follow. */
void srv_page_head(const struct srv_page *p, enum srv_metric m);
/* values: one for each label of the list. */
void srv_page_sample(const struct srv_page *p, enum srv_metric m, const char *const *values,
                     double value);
#define SRV_SAMPLE(p, m, value, ...)                                                               \
    srv_page_sample(p, m, (const char *const[]){__VA_ARGS__}, value)

/* _bucket, _sum and _count. exemplars: NULL, or one for each bucket; OpenMetrics alone has them. */
void srv_page_histogram(const struct srv_page *p, enum srv_metric m, const char *const *values,
                        const struct srv_edges *e, const struct srv_buckets *b,
                        const struct srv_exemplar *exemplars);
#define SRV_HISTOGRAM(p, m, e, b, exemplars, ...)                                                  \
    srv_page_histogram(p, m, (const char *const[]){__VA_ARGS__}, e, b, exemplars)

/* What is counted of each model. */
struct srv_registry;
void srv_page_models(const struct srv_page *p, const struct srv_registry *r);

#endif
