/* Answered calls, and the Prometheus text of all that is counted. Loop thread. */
#ifndef SRV_METRICS_H
#define SRV_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct srv_api;
struct srv_counters;
struct srv_route;

enum { SRV_ROUTES_MAX = 64, SRV_RPCS_MAX = 32, SRV_ROWS = SRV_ROUTES_MAX + SRV_RPCS_MAX + 1 };
enum { SRV_CODES = 20 };

struct srv_metrics {
    uint64_t started_ns;
    uint64_t requests[SRV_ROWS][SRV_CODES]; /* srv_metrics_row() */
};

/* The row of a route or procedure; NULL is one of its own. */
int srv_metrics_row(const struct srv_route *r);
void srv_metrics_request(struct srv_metrics *m, struct srv_counters *counters, int row, int status,
                         uint64_t total_ns);
/* malloc'ed text; NULL: out of memory. */
char *srv_metrics_text(struct srv_api *api, size_t *ret_len);

#endif
