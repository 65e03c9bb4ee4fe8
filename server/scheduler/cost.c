/* Prices are those of libjpeg-turbo on a current x86 core; the factors carry them to others. */
#include "server/scheduler/cost.h"

#include "server/repository/family.h"
#include "server/repository/model.h"
#include "server/scheduler/request.h"

#define NS_PER_BYTE 8.0
#define NS_PER_PIXEL 1.2
#define NS_FIXED 30000.0 /* of a request on a worker, beside decoding and the network */
#define LEARN 0.05       /* weight of one sample in the averages */
#define LEARN_RATE 0.25
#define FORGET_NS 2000000000.0 /* that a rate below the number of workers outlasts the load */
#define WINDOW_NS 200000000u   /* of busy time for a sample of the rate: many batches */

/* The margin goes up by a step for an answer that broke it and down by a hundredth of one for each
 * that did not, which settles where one in a hundred does (Robbins and Monro's quantile). */
#define MARGIN_FIRST 0.4
#define MARGIN_STEP 0.05
#define MARGIN_LEAST (-0.7) /* where predictions are too long: noise is over, and rates lag */
#define MARGIN_MOST 1.5

enum { PROBED = 64 << 10 }; /* headers lie at the front; more is not read on the loop */

void srv_cost_init(struct srv_cost *c, int workers)
{
    *c = (struct srv_cost){.rate = workers, .margin = MARGIN_FIRST, .workers = workers};
}

/* Of a scale that was never seen, what the others say of the machine. */
static double factor(const struct srv_cost *c, int format, int scale)
{
    double sum = 0;
    int seen = 0;
    if (c->factor[format][scale] > 0)
        return c->factor[format][scale];
    for (int i = 0; i < SRV_SCALES; i++)
        if (c->factor[format][i] > 0) {
            sum += c->factor[format][i];
            seen++;
        }
    return seen > 0 ? sum / seen : 1;
}

static double price(size_t len, double pixels)
{
    return (double)len * NS_PER_BYTE + pixels * NS_PER_PIXEL;
}

/* The engine's rule, for the usual way to resize: a JPEG is decoded at the smallest scale that
 * covers the picture to be with a third to spare. */
static int scale_of(const struct srv_model *m, const struct srv_job *j)
{
    if (j->format != ENG_IMAGE_JPEG)
        return 0;
    uint32_t side = j->width < j->height ? j->width : j->height;
    uint32_t want = (uint32_t)m->info->preprocess.height * 256 / 224;
    int scale = SRV_SCALES - 1;
    while (scale > 0 && (side >> scale) * 3 < want * 4)
        scale--;
    return scale;
}

uint64_t srv_cost_guess(const struct srv_cost *c, const struct srv_model *m, size_t len)
{
    const size_t usual = 4; /* pixels a byte */
    return (uint64_t)(price(len, (double)(len * usual)) * factor(c, ENG_IMAGE_JPEG, 0) + m->run_ns +
                      NS_FIXED);
}

void srv_cost_look(struct srv_job *j)
{
    struct eng_image_info info = {0};
    size_t len = j->input.len < PROBED ? j->input.len : PROBED;
    int known = j->input.kind == SRV_IMAGE &&
                eng_image_probe(&info, j->input.data, len, NULL, NULL, 0) == 0;
    j->format = info.format;
    j->width = known ? info.width : 0;
    j->height = known ? info.height : 0;
}

void srv_cost_price(const struct srv_cost *c, const struct srv_model *m, struct srv_job *j)
{
    double pixels = (double)j->width * j->height;
    j->scale = scale_of(m, j);
    j->price_ns =
        j->input.kind == SRV_IMAGE ? price(j->input.len, pixels / (double)(1u << 2 * j->scale)) : 0;
    j->cost_ns =
        (uint64_t)(j->price_ns * factor(c, (int)j->format, j->scale) + m->run_ns + NS_FIXED);
}

static int all_busy(const struct srv_cost *c)
{
    return c->jobs >= 2 * c->workers;
}

void srv_cost_enter(struct srv_cost *c, struct srv_job *j, uint64_t now)
{
    c->jobs++;
    j->entered_ns = j->cost_ns;
    c->backlog_ns += j->entered_ns;
    if (c->window_from_ns == 0 && all_busy(c)) {
        c->window_from_ns = now;
        c->window_done_ns = 0;
    }
}

/* What took processors from us may be gone, and a pool that is not busy cannot tell: so it hopes.
 * A hope that fails is corrected within a window of the next load. */
static void forget_rate(struct srv_cost *c, uint64_t now)
{
    double dt = (double)(now - c->idle_from_ns);
    c->rate += (c->workers - c->rate) * dt / (FORGET_NS + dt);
    c->idle_from_ns = now;
}

static void learn_rate(struct srv_cost *c, uint64_t now)
{
    if (!all_busy(c)) {
        if (c->window_from_ns == 0 && c->rate < c->workers)
            forget_rate(c, now);
        c->window_from_ns = 0;
        c->idle_from_ns = now;
        return;
    }
    uint64_t took = now - c->window_from_ns;
    if (took < WINDOW_NS)
        return;
    double seen = (double)c->window_done_ns / (double)took;
    if (seen > c->workers * 4.0) /* costs are far too high: the averages will see to that */
        seen = c->workers * 4.0;
    if (seen < c->workers / 16.0) /* a stall, and the rate must be able to come back from it */
        seen = c->workers / 16.0;
    c->rate += (seen - c->rate) * LEARN_RATE;
    c->window_from_ns = now;
    c->window_done_ns = 0;
}

/* Samples far off (a preempted worker) count, but not at their full size. */
static double toward(double average, double sample, double weight)
{
    if (sample > average * 4)
        sample = average * 4;
    return average + (sample - average) * weight;
}

/* What slows one variant down slows all: those that do not run keep their ratio to the one that
 * does. Else a noisy hour would make the best variant look dear for ever. */
static void carry_over(const struct srv_family *f, const struct srv_model *ran, double ratio)
{
    for (int v = 0; v < f->n; v++)
        if (f->variants[v] != ran)
            f->variants[v]->run_ns = f->variants[v]->run_ns * ratio;
}

static void learn_costs(struct srv_cost *c, struct srv_model *m, const struct srv_job *j)
{
    if (j->batch > 0) { /* 0: its tensor was all that was wanted */
        double run = (double)j->inference_ns * j->members / j->batch;
        double was = m->run_ns;
        m->run_ns = was > 0 ? toward(was, run, LEARN) : run;
        if (was > 0 && j->req->family)
            carry_over(j->req->family, m, m->run_ns / was);
    }
    if (j->price_ns <= 0)
        return;
    double *f = &c->factor[j->format][j->scale];
    double seen = (double)(j->decode_ns + j->preprocess_ns) / j->price_ns;
    *f = *f > 0 ? toward(*f, seen, LEARN) : seen;
    if (*f < 0.01)
        *f = 0.01;
}

void srv_cost_leave(struct srv_cost *c, struct srv_model *m, const struct srv_job *j, uint64_t now)
{
    c->jobs--;
    c->backlog_ns -= j->entered_ns;
    if (j->state == SRV_JOB_DONE)
        learn_costs(c, m, j);
    if (j->state == SRV_JOB_DONE || j->state == SRV_JOB_FAILED)
        c->window_done_ns += j->cost_ns;
    learn_rate(c, now);
}

uint64_t srv_cost_time(const struct srv_cost *c, uint64_t work_ns)
{
    return (uint64_t)((double)work_ns / c->rate);
}

uint64_t srv_cost_promise(const struct srv_cost *c, uint64_t predicted_ns)
{
    return (uint64_t)((double)predicted_ns * (1 + c->margin));
}

uint64_t srv_cost_budget(const struct srv_cost *c, uint64_t objective_ns)
{
    return (uint64_t)((double)(objective_ns - objective_ns / 10) / (1 + c->margin));
}

void srv_cost_kept(struct srv_cost *c, uint64_t predicted_ns, uint64_t took_ns)
{
    int broken = took_ns > srv_cost_promise(c, predicted_ns);
    c->margin += broken ? MARGIN_STEP : -MARGIN_STEP / 100;
    if (c->margin < MARGIN_LEAST)
        c->margin = MARGIN_LEAST;
    if (c->margin > MARGIN_MOST)
        c->margin = MARGIN_MOST;
}
