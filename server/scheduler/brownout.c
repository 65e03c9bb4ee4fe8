/* The law is asked at every arrival, when going down is urgent, and by a timer while something is
 * degraded, so that a family comes back up when nobody asks any more. */
#include "server/scheduler/brownout.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/repository/registry.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/request.h"
#include "server/scheduler/scheduler.h"

enum { TICK_MS = 50, ENOUGH = 100 /* answers to tell a 99th percentile */ };

#define WINDOW_NS (1000 * SRV_NS_PER_MS)
#define LEARN 0.02 /* weight of one image in the average cost of a variant */

/* NULL: out of memory. */
static struct srv_control *control_of(struct srv_family *f)
{
    if (!f->control)
        f->control = calloc(1, sizeof(*f->control));
    return f->control;
}

/* Jobs that ask for the best model by its name wait in the same queue. */
static void reprice(struct srv_job *j, void *arg)
{
    struct srv_scheduler *s = arg;
    if (j->req->family)
        srv_cost_price(&s->cost, srv_family_variant(j->req->family, j->req->floor), j);
}

static uint64_t percentile(struct srv_control *f, uint64_t now)
{
    if (now - f->window_ns >= WINDOW_NS) {
        if (now - f->window_ns < 2 * WINDOW_NS)
            f->recent[1] = f->recent[0];
        else
            memset(&f->recent[1], 0, sizeof(f->recent[1]));
        memset(&f->recent[0], 0, sizeof(f->recent[0]));
        f->window_ns = now;
    }
    if (f->recent[0].count + f->recent[1].count < ENOUGH)
        return 0;
    return srv_histogram_quantile(&f->recent[0], &f->recent[1], 0.99);
}

static void on_tick(uv_timer_t *t);

static void control(struct srv_scheduler *s, struct srv_family *f, int arriving)
{
    struct srv_control *c = control_of(f);
    if (!c)
        return;
    struct srv_pool_load load = srv_pool_load(s->pool, f->variants[0]);
    double cost[SRV_VARIANTS_MAX];
    for (int v = 0; v < f->n; v++)
        cost[v] =
            c->cost_ns[v] > 0 ? c->cost_ns[v] : (double)srv_cost_guess(&s->cost, f->variants[v], 0);
    uint64_t now = srv_now_ns(), objective = (uint64_t)s->env->cfg->slo_p99_ms * SRV_NS_PER_MS;
    /* Half of this is two thirds of the wait at which admission refuses: first down, then no. */
    uint64_t budget = srv_cost_budget(&s->cost, objective) / 3 * 4;
    struct srv_ladder_input in = {
        .now_ns = now,
        .objective_ns = objective,
        .budget_ns = budget < objective ? budget : objective,
        .n = f->n,
        .cost_ns = cost,
        .rate = s->cost.rate,
        .waiting = (double)load.images + arriving,
        .other_ns = (double)load.other_ns,
        .arrived = arriving,
        .p99_ns = percentile(c, now),
    };
    enum srv_ladder_reason why = srv_ladder_step(&c->law, &in);
    if (why == SRV_LADDER_STAY)
        return;
    static const char *const reasons[SRV_LADDER_REASONS] = {
        "", "what waits would be late", "answers are late", "the load has fallen",
        "there is no objective"};
    int from = f->level;
    srv_pool_set_level(s->pool, f, c->law.level, reprice, s);
    memset(c->recent, 0, sizeof(c->recent));
    c->window_ns = now;
    srv_log(s->env->log, SRV_INFO, "family %s: variant %s in place of %s: %s", f->name,
            f->variants[f->level]->info->variant, f->variants[from]->info->variant, reasons[why]);
    if (f->level > 0 && !uv_is_active((uv_handle_t *)&s->brownout))
        uv_timer_start(&s->brownout, on_tick, TICK_MS, TICK_MS);
}

static void on_tick(uv_timer_t *t)
{
    struct srv_scheduler *s = t->data;
    int degraded = 0;
    for (int i = 0; i < s->registry->n_families; i++) {
        struct srv_family *f = s->registry->families[i];
        if (f->level > 0)
            control(s, f, 0);
        degraded |= f->level > 0;
    }
    if (!degraded)
        uv_timer_stop(t);
}

void srv_brownout_init(struct srv_scheduler *s)
{
    uv_timer_init(&s->env->loop, &s->brownout);
    s->brownout.data = s;
}

void srv_brownout_arrive(struct srv_req *r, int images)
{
    if (r->family && r->family->n > 1)
        control(r->sched, r->family, images);
}

static void price_variants(struct srv_req *r, struct srv_job *j)
{
    struct srv_family *f = r->family;
    struct srv_control *c = control_of(f);
    for (int v = 0; v < f->n; v++) {
        srv_cost_price(&r->sched->cost, f->variants[v], j);
        double cost = (double)j->cost_ns;
        if (c)
            c->cost_ns[v] =
                c->cost_ns[v] > 0 ? c->cost_ns[v] + (cost - c->cost_ns[v]) * LEARN : cost;
    }
    srv_cost_price(&r->sched->cost, srv_family_variant(f, r->floor), j);
}

void srv_brownout_price(struct srv_job *j)
{
    struct srv_req *r = j->req;
    srv_cost_look(j);
    if (r->family)
        price_variants(r, j);
    else
        srv_cost_price(&r->sched->cost, r->model, j);
}

void srv_brownout_job_back(const struct srv_job *j)
{
    const struct srv_req *r = j->req;
    if (r->family && r->family->control && j->model != r->model && j->status == 200)
        r->family->control->degraded++;
}

void srv_brownout_refused(struct srv_req *r)
{
    if (r->family && r->family->control && r->floor < r->family->control->law.level)
        r->family->control->opted_out++;
}

void srv_brownout_answered(struct srv_req *r)
{
    struct srv_control *c = control_of(r->family);
    if (c)
        srv_histogram_add(&c->recent[0], r->done_ns - r->submitted_ns);
}

/* Goes on where the old family of this name was. */
static void inherit(struct srv_family *next, const struct srv_family *old)
{
    struct srv_control *c = old->control ? control_of(next) : NULL;
    if (!c)
        return;
    c->law = old->control->law;
    if (c->law.level >= next->n)
        c->law.level = next->n - 1;
    next->level = c->law.level;
    c->degraded = old->control->degraded;
    c->opted_out = old->control->opted_out;
}

void srv_brownout_inherit(struct srv_scheduler *s, struct srv_registry *next)
{
    for (int i = 0; i < next->n_families; i++)
        for (int k = 0; k < s->registry->n_families; k++)
            if (strcmp(next->families[i]->name, s->registry->families[k]->name) == 0)
                inherit(next->families[i], s->registry->families[k]);
}
