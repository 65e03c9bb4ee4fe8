/* Everything that the daemon is, in one struct: no globals. Belongs to the loop thread; what other
 * threads touch has its own lock, named in docs/THREADS.md. */
#ifndef SRV_SRV_H
#define SRV_SRV_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "config/config.h"
#include "server/base/env.h"
#include "server/base/quota.h"
#include "server/handlers/api.h"
#include "server/idle_tune.h"
#include "server/sandbox.h"
#include "server/scheduler/scheduler.h"
#include "server/systemd.h"
#include "server/transport/transport.h"

/* Carries the orders out on a thread of its own, one after the other; the loop takes the result. */
struct srv_reload {
    pthread_t thread;
    int running;         /* the first of the orders */
    atomic_int finished; /* the thread is done with it */
    struct cfg *cfg; /* the configuration that the new registry was made by; NULL: the present */
    struct srv_registry *registry;
    struct srv_keys *keys;
    struct srv_tls_set *tls;
    uint64_t stamp; /* of a look at the repository */
    int rc;
    char error[512];
};

/* Looks at the repository from time to time. */
struct srv_watch {
    uv_timer_t timer;
    uint64_t served, seen; /* stamps: when the models were read, at the last look */
};

struct srv {
    struct cfg *cfg;                   /* also env.cfg */
    const struct cfg_sources *sources; /* to read the configuration again */
    char *models_dir;                  /* also env.models_dir */
    struct srv_quota quota;
    struct srv_systemd systemd;
    struct srv_sandbox sandbox;

    /* one for each module, each using only those above it */
    struct srv_env env;
    struct srv_scheduler sched;
    struct srv_api api;
    struct srv_transport transport;
    struct srv_bound bound;

    uv_timer_t watchdog; /* tells the service manager that the loop turns */
    uv_signal_t signals[3];
    struct srv_reload reload;
    struct srv_watch watch;
    struct srv_tune tune;

    uv_timer_t drain_timer;
    uint64_t drain_deadline_ns; /* from SRV_CLOSING on: of its replies */
    int quiet_ticks;            /* of the drain, in a row, with nothing open */
};

#endif
