/* Answered calls, and the Prometheus text of all that is counted. Loop thread. */
#ifndef SRV_METRICS_H
#define SRV_METRICS_H

#include <stdint.h>

#include "server/handlers/route.h"

struct srv_api;

/* One a route, and one for what is none. */
enum { SRV_ROWS = SRV_ROUTES + SRV_RPCS + 1 };
enum { SRV_CODES = 22 };

struct srv_metrics {
    uint64_t started_ns;
    uint64_t requests[SRV_ROWS][SRV_CODES];
};

/* A call is over. r: NULL if it had no route. */
void srv_metrics_request(struct srv_api *api, const struct srv_route *r, int status,
                         uint64_t total_ns);
/* malloc'ed text; NULL: out of memory. */
char *srv_metrics_text(struct srv_api *api, size_t *ret_len);

#endif
