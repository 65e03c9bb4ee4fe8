/* Why a request does not get what it asks for: reasons.def. Loop thread. */
#ifndef SRV_REASON_H
#define SRV_REASON_H

#include <stdint.h>

struct srv_call;

enum srv_reason {
    SRV_REASON_none,
#define REASON(name, ...) SRV_REASON_##name,
#include "server/handlers/reasons.def"
    SRV_REASONS
};

struct srv_reason_row {
    const char *name;
    int status;
    const char *limit; /* the options that set it; NULL: it is none */
};
extern const struct srv_reason_row srv_reasons[SRV_REASONS];

/* Of a call that is over, with its status. */
enum srv_reason srv_reason_of(const struct srv_call *c, int status);

#endif
