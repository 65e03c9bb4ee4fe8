/* Everything that the daemon is, in one struct: no globals. Belongs to the loop thread; what other
 * threads touch has its own lock, named in docs/THREADS.md. */
#ifndef SRV_SRV_H
#define SRV_SRV_H

#include "config/config.h"
#include "server/base/alarm.h"
#include "server/scheduler/cost.h"
#include "server/scheduler/counters.h"
#include "server/base/log.h"
#include "server/handlers/metrics.h"
#include "server/base/quota.h"
#include "server/repository/orders.h"
#include "server/sandbox.h"
#include "server/scheduler/coalesce.h"
#include "server/systemd.h"
#include "server/idle_tune.h"
#include "server/base/wake.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct srv_http;
struct srv_keys;
struct srv_grpc;
struct srv_pool;
struct srv_registry;
struct srv_tls_set;
struct srv_req;

/* How far the server is on its way out. */
enum srv_phase {
    SRV_SERVING,
    SRV_GRACE,    /* not ready any more, still accepting: load balancers notice */
    SRV_DRAINING, /* no new connections; finishes what is in flight */
    SRV_CLOSING,  /* starts nothing more: what still comes is 503; replies leave, the loop ends */
};

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
    struct cfg *cfg;
    const struct cfg_sources *sources; /* to read the configuration again */
    struct srv_log *log;
    const char *log_level; /* in force: the option's, or one that an admin call set */
    struct srv_metrics metrics;
    struct srv_counters counters;
    struct srv_quota quota;
    struct srv_sandbox sandbox;
    struct srv_systemd systemd;
    struct srv_cost cost;
    struct srv_share share;
    uint32_t cpu_bits;
    char *models_dir;
    int workers;
    struct srv_registry *registry;
    struct srv_keys *keys;   /* NULL: everybody may ask */
    struct srv_tls_set *tls; /* NULL: clear text */
    struct srv_pool *pool;

    uv_loop_t loop;
    int teaching; /* one lesson at a time: its folder has one name */
    struct srv_wake jobs_done;
    struct srv_alarm expiry; /* the next deadline of a waiting job */
    uv_timer_t watchdog;     /* tells the service manager that the loop turns */
    uv_timer_t brownout;     /* runs while a family is degraded */
    uv_signal_t signals[3];
    struct srv_orders orders;
    struct srv_reload reload;
    struct srv_watch watch;
    struct srv_tune tune;

    struct srv_http *http;
    struct srv_grpc *grpc;       /* NULL: off */
    struct srv_req *requests;    /* all live ones */
    atomic_size_t request_bytes; /* in their arenas */
    uint64_t calls;              /* ever; part of the ids that we give */
    int comparisons;             /* requests of canary.h that are open */
    int calls_open;              /* between request line and reply */

    enum srv_phase phase;
    uv_timer_t drain_timer;
    uint64_t drain_deadline_ns; /* from SRV_CLOSING on: of its replies */
    int quiet_ticks;            /* of the drain, in a row, with nothing open */
};

#endif
