/* Requests in, answers out: everything between, in one struct. Loop thread. */
#ifndef SRV_SCHEDULER_H
#define SRV_SCHEDULER_H

#include "server/base/account.h"
#include "server/base/alarm.h"
#include "server/base/env.h"
#include "server/base/wake.h"
#include "server/repository/registry.h"
#include "server/scheduler/coalesce.h"
#include "server/scheduler/cost.h"
#include "server/scheduler/counters.h"
#include "server/scheduler/pool.h"

struct srv_scheduler {
    struct srv_env *env;
    struct srv_registry *registry; /* what is served; the reload thread reads it, too */
    struct srv_pool *pool;
    struct srv_cost cost;
    struct srv_coalesce coalesce;
    struct srv_counters counters;
    struct srv_req *requests; /* all live ones */
    struct srv_budget budget; /* of what they hold */
    struct srv_wake jobs_done;
    struct srv_alarm expiry; /* the next deadline of a waiting job */
    uv_timer_t brownout;     /* runs while a family is degraded */

    /* Told, not asked: requests have had their answers, which are to leave now. */
    void (*answered)(void *arg);
    void *arg;
};

/* Takes the registry over. Its handles are on the loop from now on: whoever closes the loop's
 * handles closes them. 0, or a libuv error. */
int srv_scheduler_init(struct srv_scheduler *s, struct srv_env *env, struct srv_registry *take,
                       void (*answered)(void *arg), void *arg);
/* The workers. A negative errno with a sentence. */
int srv_scheduler_start(struct srv_scheduler *s, char *err, size_t errlen);
/* Joins the workers; no request may be pending. */
void srv_scheduler_stop(struct srv_scheduler *s);
/* After the handles' closing callbacks; zeroed is fine. */
void srv_scheduler_finish(struct srv_scheduler *s);

/* Options may have changed. */
void srv_scheduler_configure(struct srv_scheduler *s);
/* Another registry from now on: what was counted and decided goes on. */
void srv_scheduler_replace(struct srv_scheduler *s, struct srv_registry *take);

/* Does a request have jobs or a work item out? */
int srv_scheduler_is_busy(const struct srv_scheduler *s);
/* Ends whatever waits, with this status and sentence. */
void srv_scheduler_abort(struct srv_scheduler *s, int status, const char *sentence);

#endif
