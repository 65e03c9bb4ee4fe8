/* What every module works in. One, of the root; the others hold a pointer. Loop thread, but for
 * what is fixed once the server has started. */
#ifndef SRV_ENV_H
#define SRV_ENV_H

#include <uv.h>

#include "config/config.h"
#include "server/base/log.h"
#include "server/base/turns.h"

struct srv_env {
    const struct cfg *cfg; /* in force; a reload puts another in its place */
    struct srv_log *log;
    uv_loop_t loop;
    struct srv_turns turns;

    /* fixed after the start */
    uint32_t cpu_bits;      /* what there is and option isa allows */
    int workers;            /* threads of the pool */
    const char *models_dir; /* the repository's folder */
};

#endif
