/* How long the turns of the loop are: as long may an event wait that came while one of others was
 * seen to. Loop thread. */
#ifndef SRV_TURNS_H
#define SRV_TURNS_H

#include <stdint.h>
#include <uv.h>

#include "server/base/buckets.h"

struct srv_turns {
    uv_check_t check;
    uint64_t since_ns, idle_ns; /* at the end of the last turn; time asleep so far */
    struct srv_buckets busy;    /* seconds of a turn, without the sleep in it */
};

/* Before the loop runs. 0, or a libuv error; whoever closes the loop's handles closes its own. */
int srv_turns_init(struct srv_turns *t, uv_loop_t *loop);

#endif
