/* Two ways to know that a better variant will do. With arrivals that do not depend on us, the
 * offered load must fit. With clients that wait for an answer before they ask again, every variant
 * is always busy and the offered load follows the speed: there the most that ever waits is what
 * counts (Little's law), and such a load is told by its queue, which never runs empty. */
#include "server/scheduler/ladder.h"

#define MS 1000000.0

#define DOWN_SHARE 0.5 /* of the time to spare that waiting may take */
#define UP_SHARE 0.3   /* the same, for what would wait after a step up */
#define FULL 0.95      /* utilisation that a step down aims below */
#define ROOM 0.85      /* utilisation that a step up may lead to */
#define P99_ROOM 0.8   /* share of the objective that the percentile may be at for a step up */
#define FAST_NS (250 * MS)
#define SLOW_NS (1000 * MS)
#define SAMPLE_NS MS

#define EASY                                                                                       \
    0.7 /* utilisation by the best variant at which the burst is over, whatever was tried */

enum { HOLD_MIN_MS = 1000, HOLD_MAX_MS = 64000, TRIAL_MS = 10000, EASY_MS = 3000 };

static uint64_t ms(uint64_t n)
{
    return n * 1000000u;
}

static void measure(struct srv_ladder *l, const struct srv_ladder_input *in)
{
    l->pending += in->arrived;
    if (l->last_ns == 0)
        l->last_ns = in->now_ns;
    double dt = (double)(in->now_ns - l->last_ns);
    if (dt < SAMPLE_NS)
        return;
    double seen = l->pending / (dt / 1e9);
    l->offered += (seen - l->offered) * dt / (FAST_NS + dt);
    l->sustained += (seen - l->sustained) * dt / (SLOW_NS + dt);
    l->pending = 0;
    l->last_ns = in->now_ns;
}

/* Would the last that arrived be answered in time if all run variant v? Of what the budget
 * leaves beside its own run, waiting may take a share. */
static int is_in_time(const struct srv_ladder_input *in, int v, double share)
{
    double before = in->waiting > 1 ? in->waiting - 1 : 0;
    double wait = (in->other_ns + before * in->cost_ns[v]) / in->rate;
    return wait <= share * ((double)in->budget_ns - in->cost_ns[v]);
}

static double use(const struct srv_ladder_input *in, double offered, int v)
{
    return offered * in->cost_ns[v] / 1e9 / in->rate;
}

static enum srv_ladder_reason move(struct srv_ladder *l, uint64_t now, int level,
                                   enum srv_ladder_reason why)
{
    if (level > l->level && l->raised_ns) { /* the last step up did not last */
        uint64_t longer = l->hold_ns * 2;
        l->hold_ns = longer > ms(HOLD_MAX_MS) ? ms(HOLD_MAX_MS) : longer;
    }
    l->raised_ns = level < l->level ? now : 0;
    l->level = level;
    l->calm_ns = l->easy_ns = 0;
    l->switches[why]++;
    return why;
}

static int level_below(const struct srv_ladder *l, const struct srv_ladder_input *in)
{
    int v = l->level + 1;
    while (v < in->n - 1 && (!is_in_time(in, v, DOWN_SHARE) || use(in, l->offered, v) > FULL))
        v++;
    return v;
}

static int is_calm(const struct srv_ladder *l, const struct srv_ladder_input *in)
{
    int up = l->level - 1;
    if (!is_in_time(in, up, UP_SHARE) || (double)in->p99_ns > P99_ROOM * (double)in->objective_ns)
        return 0;
    if (use(in, l->sustained, up) <= ROOM && use(in, l->offered, up) <= FULL)
        return 1;
    return l->calm_ns == 0 || l->least > in->rate; /* never empty: they wait for us */
}

/* The best variant would be at ease: a burst is over, and not a step up on trial. */
static int is_easy(const struct srv_ladder *l, const struct srv_ladder_input *in)
{
    return is_in_time(in, 0, UP_SHARE) && use(in, l->sustained, 0) <= EASY &&
           use(in, l->offered, 0) <= EASY &&
           (double)in->p99_ns <= P99_ROOM * (double)in->objective_ns;
}

static int is_over(struct srv_ladder *l, const struct srv_ladder_input *in)
{
    if (!is_easy(l, in)) {
        l->easy_ns = 0;
        return 0;
    }
    if (l->easy_ns == 0)
        l->easy_ns = in->now_ns;
    return in->now_ns - l->easy_ns >= ms(EASY_MS);
}

static void watch(struct srv_ladder *l, const struct srv_ladder_input *in)
{
    if (l->calm_ns == 0) {
        l->least = in->waiting;
        return;
    }
    l->least = in->waiting < l->least ? in->waiting : l->least;
}

enum srv_ladder_reason srv_ladder_step(struct srv_ladder *l, const struct srv_ladder_input *in)
{
    measure(l, in);
    if (l->level >= in->n) /* after a reload there are fewer */
        l->level = in->n - 1;
    if (in->objective_ns == 0)
        return l->level > 0 ? move(l, in->now_ns, 0, SRV_LADDER_OFF) : SRV_LADDER_STAY;
    if (l->hold_ns == 0)
        l->hold_ns = ms(HOLD_MIN_MS);
    if (l->raised_ns && in->now_ns - l->raised_ns > ms(TRIAL_MS) + l->hold_ns) {
        l->raised_ns = 0; /* it lasted */
        l->hold_ns = l->hold_ns / 2 > ms(HOLD_MIN_MS) ? l->hold_ns / 2 : ms(HOLD_MIN_MS);
    }
    if (l->level < in->n - 1) {
        if (!is_in_time(in, l->level, DOWN_SHARE))
            return move(l, in->now_ns, level_below(l, in), SRV_LADDER_QUEUE);
        if (in->p99_ns > in->objective_ns)
            return move(l, in->now_ns, l->level + 1, SRV_LADDER_LATENCY);
    }
    if (l->level == 0)
        return SRV_LADDER_STAY;
    if (is_over(l, in)) {
        l->hold_ns = 0;
        return move(l, in->now_ns, 0, SRV_LADDER_LOAD);
    }
    watch(l, in);
    if (!is_calm(l, in)) {
        l->calm_ns = 0;
        return SRV_LADDER_STAY;
    }
    if (l->calm_ns == 0)
        l->calm_ns = in->now_ns;
    if (in->now_ns - l->calm_ns < l->hold_ns)
        return SRV_LADDER_STAY;
    return move(l, in->now_ns, l->level - 1, SRV_LADDER_LOAD);
}
