/* The requests that are worth a second look: of the last minutes the slowest, and of each reason
 * the last that got nothing. A fixed number of each, whatever comes. Loop thread. */
#ifndef SRV_RECENT_H
#define SRV_RECENT_H

#include <stddef.h>

#include "server/base/log.h"
#include "server/handlers/reason.h"

enum { SRV_RECENT_MINUTES = 5, SRV_RECENT_SLOWEST = 8, SRV_RECENT_FAILED = 4 };

struct srv_recent_one {
    uint64_t at_ms;              /* since 1970, of its end; 0: none */
    struct srv_log_request line; /* its strings are those below */
    char id[129], client[48], key[64], method[16], path[192], error[256], model[96], variant[48];
    char trace[33];
};

struct srv_recent {
    uint64_t minute; /* since 1970, of slowest[minute % SRV_RECENT_MINUTES] */
    struct srv_recent_one slowest[SRV_RECENT_MINUTES][SRV_RECENT_SLOWEST]; /* in no order */
    struct srv_recent_one failed[SRV_REASONS][SRV_RECENT_FAILED];
    unsigned failures[SRV_REASONS]; /* so far; the next takes the place of the oldest */
};

/* Copies, if it is among them. */
void srv_recent_add(struct srv_recent *r, const struct srv_log_request *l, enum srv_reason why);
/* {"slowest":[…],"failed":[…]}, slowest and latest first; malloc'ed, NULL: out of memory. */
char *srv_recent_json(struct srv_recent *r, size_t *ret_len);

#endif
