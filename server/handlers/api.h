/* What the answers to calls are made from, in one struct. Loop thread. */
#ifndef SRV_API_H
#define SRV_API_H

#include "server/base/env.h"
#include "server/handlers/events.h"
#include "server/handlers/metrics.h"
#include "server/handlers/recent.h"
#include "server/repository/orders.h"
#include "server/scheduler/scheduler.h"

struct srv_keys;

/* How far the server is on its way out; the root alone goes on. */
enum srv_phase {
    SRV_SERVING,
    SRV_GRACE,    /* not ready any more, still accepting: load balancers notice */
    SRV_DRAINING, /* no new connections; finishes what is in flight */
    SRV_CLOSING,  /* starts nothing more: what still comes is 503; replies leave, the loop ends */
};

enum srv_port { SRV_PORT_HTTP, SRV_PORT_GRPC, SRV_PORT_ADMIN, SRV_PORTS };

/* What keeps a connection out, or ends one for another. */
enum srv_slot_limit {
    SRV_SLOT_ADDRESS, /* its address has as many as one may have: closed */
    SRV_SLOT_SILENT,  /* it had sent no whole head of a request, and others wanted its place */
    SRV_SLOT_IDLE,    /* the same, after requests that were answered */
    SRV_SLOT_RESERVE, /* let into the reserve: health alone is answered there, else 503 */
    SRV_SLOT_FULL,    /* the reserve is full, too */
    SRV_SLOT_LIMITS,
};

/* Connections of a port; whoever accepts and cuts them writes it. */
struct srv_sockets {
    const char *port; /* for people */
    int fd;           /* that listens; -1: none, or HTTP/2's, which is libuv's */
    int open;
    uint64_t cut;                      /* ever, for being too slow */
    uint64_t refused;                  /* requests that libmicrohttpd refused by itself, ever */
    uint64_t bitten[SRV_SLOT_LIMITS];  /* ever */
    uint64_t said_ns[SRV_SLOT_LIMITS]; /* when the log last heard of it; 0: never */
};

/* When the log last said that a limit bites, and how often it did since. */
struct srv_limit_said {
    uint64_t said_ns, refused;
};

struct srv_api {
    struct srv_env *env;
    struct srv_scheduler *sched;
    const struct srv_route *routes; /* SRV_ROUTES of HTTP, then SRV_RPCS of gRPC */
    enum srv_phase phase;
    struct srv_keys *keys;    /* NULL: everybody may ask */
    const char *log_level;    /* in force: the option's, or one that an admin call set */
    struct srv_orders orders; /* of models to load and to unload; carried out by the root */
    struct srv_metrics metrics;
    struct srv_recent recent;
    struct srv_events events;
    struct srv_limit_said limits[SRV_REASONS];
    struct srv_sockets sockets[SRV_PORTS];
    uint64_t calls;  /* ever; part of the ids that we give */
    int calls_open;  /* between request line and reply */
    int comparisons; /* requests of canary.h that are open */
    int teaching;    /* one lesson at a time: its folder has one name */
    int read_only;   /* the sandbox lets no file be written */
};

/* Zeroed otherwise. */
void srv_api_init(struct srv_api *api, struct srv_env *env, struct srv_scheduler *sched);
void srv_api_finish(struct srv_api *api);

#endif
