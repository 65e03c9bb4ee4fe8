/* A status says it, unless what stood in the way says more. */
#include "server/handlers/reason.h"

#include "server/handlers/call.h"

const struct srv_reason_row srv_reasons[SRV_REASONS] = {
    {"", 0, 0},
#define REASON(name, status, help) {#name, status, 0},
#define LIMIT(name, status, help, options) {#name, status, options},
#include "server/handlers/reasons.def"
};

static enum srv_reason by_status(int status)
{
    for (int i = 1; i < SRV_REASONS; i++)
        if (srv_reasons[i].status == status)
            return (enum srv_reason)i;
    return status < 500 ? SRV_REASON_request : SRV_REASON_failed;
}

enum srv_reason srv_reason_of(const struct srv_call *c, int status)
{
    static const enum srv_reason refusals[] = {
        [SRV_REFUSAL_NONE] = SRV_REASON_none,     [SRV_REFUSAL_QUEUE] = SRV_REASON_queue,
        [SRV_REFUSAL_WAIT] = SRV_REASON_wait,     [SRV_REFUSAL_DEADLINE] = SRV_REASON_deadline,
        [SRV_REFUSAL_MEMORY] = SRV_REASON_memory, [SRV_REFUSAL_WORK] = SRV_REASON_work,
    };
    if (status < 400)
        return SRV_REASON_none;
    if (c->reason && status == c->reply.status)
        return c->reason;
    if (status == 429 && c->req && c->req->refusal)
        return refusals[c->req->refusal];
    return by_status(status);
}
