/* Answered calls, and the Prometheus text of all that is counted. Loop thread. */
#ifndef SRV_METRICS_H
#define SRV_METRICS_H

#include <stdint.h>

#include "server/handlers/reason.h"
#include "server/handlers/route.h"

struct srv_api;
struct srv_call;

/* One a route, and one for what is none. */
enum { SRV_ROWS = SRV_ROUTES + SRV_RPCS + 1 };
enum { SRV_CODES = 22 };

struct srv_metrics {
    uint64_t started_ns;
    uint64_t requests[SRV_ROWS][SRV_CODES];
    uint64_t reasons[SRV_REASONS];
};

extern const int srv_metrics_codes[SRV_CODES]; /* of HTTP; 0: all others */

/* A call is over. */
void srv_metrics_call(struct srv_call *c, uint64_t total_ns);
/* malloc'ed; NULL: out of memory. open: OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/), else Prometheus' text format 0.0.4. */
char *srv_metrics_text(struct srv_api *api, int open, size_t *ret_len);

#endif
