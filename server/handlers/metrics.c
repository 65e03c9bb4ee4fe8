/* Counts on the loop thread, so nothing here is atomic. */
#include "server/handlers/metrics.h"

#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"

/* The last stands for all others. */
const int srv_metrics_codes[SRV_CODES] = {200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414,
                                          415, 422, 429, 431, 499, 500, 501, 503, 504, 505, 0};

static int code_index(int status)
{
    int i = 0;
    while (i < SRV_CODES - 1 && srv_metrics_codes[i] != status)
        i++;
    return i;
}

void srv_metrics_call(struct srv_call *c, uint64_t total_ns)
{
    struct srv_metrics *m = &c->api->metrics;
    const struct srv_route *r = c->route;
    int status = c->reply.status ? c->reply.status : 499;
    m->requests[r ? r - c->api->routes : SRV_ROWS - 1][code_index(status)]++;
    m->reasons[srv_reason_of(c, status)]++;
    if (r && r->body == 1 && status == 200 && c->req)
        srv_count_total(&c->api->sched->counters, c->req, total_ns, c->trace);
}
