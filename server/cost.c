/* Prices are those of libjpeg-turbo on a current x86 core; the factors carry them to others. */
#include "server/cost.h"

#include "server/model.h"

#define NS_PER_BYTE 8.0
#define NS_PER_PIXEL 1.2
#define NS_FIXED 30000.0 /* of a request on a worker, beside decoding and the network */
#define LEARN 0.05       /* weight of one sample in the averages */
#define LEARN_RATE 0.25
#define WINDOW_NS 200000000u /* of busy time for a sample of the rate: many batches */

enum { PROBED = 64 << 10 }; /* headers lie at the front; more is not read on the loop */

void srv_cost_init(struct srv_cost *c, int workers)
{
    *c = (struct srv_cost){.rate = workers, .workers = workers};
    for (int i = 0; i < SRV_FORMATS; i++)
        c->factor[i] = 1;
}

static double price(size_t len, uint64_t pixels)
{
    return (double)len * NS_PER_BYTE + (double)pixels * NS_PER_PIXEL;
}

uint64_t srv_cost_guess(const struct srv_cost *c, const struct srv_model *m, size_t len)
{
    const size_t usual = 4; /* pixels a byte */
    return (uint64_t)(price(len, len * usual) * c->factor[ENG_IMAGE_JPEG] + m->run_ns + NS_FIXED);
}

void srv_cost_price(const struct srv_cost *c, const struct srv_model *m, struct srv_job *j)
{
    struct eng_image_info info = {0};
    size_t len = j->input.len < PROBED ? j->input.len : PROBED;
    uint64_t pixels = 0;
    if (j->input.kind == SRV_IMAGE) {
        if (eng_image_probe(&info, j->input.data, len, NULL, NULL, 0) == 0)
            pixels = (uint64_t)info.width * info.height;
        j->price_ns = price(j->input.len, pixels);
    }
    j->format = info.format;
    j->cost_ns = (uint64_t)(j->price_ns * c->factor[j->format] + m->run_ns + NS_FIXED);
}

static int all_busy(const struct srv_cost *c)
{
    return c->jobs >= 2 * c->workers;
}

void srv_cost_enter(struct srv_cost *c, const struct srv_job *j, uint64_t now)
{
    c->jobs++;
    c->backlog_ns += j->cost_ns;
    if (c->window_from_ns == 0 && all_busy(c)) {
        c->window_from_ns = now;
        c->window_done_ns = 0;
    }
}

static void learn_rate(struct srv_cost *c, uint64_t now)
{
    if (!all_busy(c)) {
        c->window_from_ns = 0;
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

static void learn_costs(struct srv_cost *c, struct srv_model *m, const struct srv_job *j)
{
    if (j->batch > 0) { /* 0: its tensor was all that was wanted */
        double run = (double)j->inference_ns * j->members / j->batch;
        m->run_ns = m->run_ns > 0 ? toward(m->run_ns, run, LEARN) : run;
    }
    if (j->price_ns <= 0)
        return;
    double *factor = &c->factor[j->format];
    *factor = toward(*factor, (double)(j->decode_ns + j->preprocess_ns) / j->price_ns, LEARN);
    if (*factor < 0.01)
        *factor = 0.01;
}

void srv_cost_leave(struct srv_cost *c, struct srv_model *m, const struct srv_job *j, uint64_t now)
{
    c->jobs--;
    c->backlog_ns -= j->cost_ns;
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
