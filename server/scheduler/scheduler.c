/* Where the parts of the scheduler are put together. */
#include "server/scheduler/scheduler.h"

#include "server/base/clock.h"
#include "server/scheduler/batch.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/request.h"

static void notify(void *arg) /* on a worker */
{
    struct srv_scheduler *s = arg;
    srv_wake_send(&s->jobs_done);
}

static void on_jobs_done(void *arg)
{
    struct srv_scheduler *s = arg;
    srv_req_items_back(srv_pool_collect_items(s->pool));
    srv_req_jobs_back(srv_pool_collect(s->pool));
    srv_req_jobs_back(srv_coalesce_collect(&s->coalesce));
    s->answered(s->arg);
}

static void on_expiry(void *arg)
{
    struct srv_scheduler *s = arg;
    uint64_t next;
    srv_req_jobs_expired(srv_pool_expire(s->pool, srv_now_ns(), &next));
    srv_req_jobs_back(srv_coalesce_expire(&s->coalesce, srv_now_ns(), &next));
    srv_req_items_back(srv_pool_expire_items(s->pool, srv_now_ns(), &next));
    srv_alarm_watch(&s->expiry, next);
    s->answered(s->arg);
}

int srv_scheduler_init(struct srv_scheduler *s, struct srv_env *env, struct srv_registry *take,
                       void (*answered)(void *arg), void *arg)
{
    s->env = env;
    s->registry = take;
    s->answered = answered;
    s->arg = arg;
    srv_budget_init(&s->budget, (size_t)env->cfg->max_inflight_bytes);
    s->counters.window_ns = srv_now_ns();
    srv_cost_init(&s->cost, env->workers);
    srv_coalesce_init(s);
    srv_brownout_init(s);
    srv_alarm_init(&s->expiry, &env->loop, on_expiry, s);
    return srv_wake_init(&s->jobs_done, &env->loop, on_jobs_done, s);
}

int srv_scheduler_start(struct srv_scheduler *s, char *err, size_t errlen)
{
    const struct cfg *cfg = s->env->cfg;
    struct srv_pool_options options = {
        .workers = s->env->workers,
        .max_batch = (int)cfg->max_batch,
        .max_delay_ns = (uint64_t)cfg->max_delay_us * 1000,
        .cpu_bits = s->env->cpu_bits,
        .run = srv_batch_run,
        .notify = notify,
        .arg = s,
    };
    return srv_pool_create(&s->pool, &options, err, errlen);
}

void srv_scheduler_stop(struct srv_scheduler *s)
{
    srv_pool_destroy(s->pool);
    s->pool = NULL;
}

void srv_scheduler_finish(struct srv_scheduler *s)
{
    srv_wake_finish(&s->jobs_done);
    srv_coalesce_finish(&s->coalesce);
    srv_registry_destroy(s->registry);
}

void srv_scheduler_configure(struct srv_scheduler *s)
{
    const struct cfg *cfg = s->env->cfg;
    srv_pool_set_batching(s->pool, (int)cfg->max_batch, (uint64_t)cfg->max_delay_us * 1000);
    srv_coalesce_configure(s);
    srv_budget_set_limit(&s->budget, (size_t)cfg->max_inflight_bytes);
}

void srv_scheduler_replace(struct srv_scheduler *s, struct srv_registry *take)
{
    srv_brownout_inherit(s, take);
    srv_registry_inherit(take, s->registry);
    srv_registry_destroy(s->registry);
    s->registry = take;
}

int srv_scheduler_is_busy(const struct srv_scheduler *s)
{
    for (const struct srv_req *r = s->requests; r; r = r->next)
        if (r->pending > 0)
            return 1;
    return 0;
}

void srv_scheduler_abort(struct srv_scheduler *s, int status, const char *sentence)
{
    for (struct srv_req *r = s->requests, *next; r; r = next) {
        next = r->next; /* r may go: its call was cancelled before */
        if (r->pending > 0)
            srv_req_abort(r, status, sentence);
    }
}
