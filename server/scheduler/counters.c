/* Counts on the loop thread, so nothing here is atomic. */
#include "server/scheduler/counters.h"

#include <string.h>
#include <time.h>

#include "server/base/clock.h"
#include "server/scheduler/request.h"

#define WINDOW_NS (30ull * 1000000000u)

void srv_count_stage(struct srv_counters *m, enum srv_stage stage, uint64_t ns)
{
    srv_histogram_add(&m->stage[stage], ns);
    srv_histogram_add(&m->window[0][stage], ns);
}

void srv_counters_turn(struct srv_counters *m)
{
    uint64_t now = srv_now_ns();
    if (now - m->window_ns < WINDOW_NS)
        return;
    if (now - m->window_ns < 2 * WINDOW_NS)
        memcpy(m->window[1], m->window[0], sizeof(m->window[0]));
    else
        memset(m->window[1], 0, sizeof(m->window[1]));
    memset(m->window[0], 0, sizeof(m->window[0]));
    m->window_ns = now;
}

void srv_count_job(struct srv_counters *m, struct srv_model *model, const struct srv_job *j)
{
    struct srv_model_stats *s = &model->stats;
    srv_counters_turn(m);
    if (j->state == SRV_JOB_EXPIRED)
        s->expired++;
    else if (j->state == SRV_JOB_CANCELLED)
        s->gone++;
    else if (j->state == SRV_JOB_FAILED)
        s->images_failed++;
    else if (j->status != 200)
        s->late++;
    else
        s->images_ok++;
    srv_count_stage(m, SRV_QUEUE, j->queue_ns);
    if (j->decode_ns)
        srv_count_stage(m, SRV_DECODE, j->decode_ns);
    if (j->preprocess_ns)
        srv_count_stage(m, SRV_PREPROCESS, j->preprocess_ns);
    if (j->state != SRV_JOB_DONE)
        return;
    if (j->batch > 0)
        srv_count_stage(m, SRV_INFERENCE, j->inference_ns);
    s->by_batch[j->batch].input_ns += j->decode_ns + j->preprocess_ns;
    if (j->leads_batch) {
        int b = 0;
        while (b < SRV_BATCH_BUCKETS - 1 && 1 << b < j->batch)
            b++;
        m->batches[b]++;
        m->batch_images += (uint64_t)j->batch;
        s->batches++;
        s->inference_ns += j->inference_ns;
        s->by_batch[j->batch].runs++;
        s->by_batch[j->batch].infer_ns += j->inference_ns;
    }
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

void srv_count_answer(struct srv_model *model, const struct srv_req *r)
{
    struct srv_model_stats *s = &model->stats;
    uint64_t queue = 0, input = 0, infer = 0, took = r->done_ns - r->submitted_ns;
    int failed = 0;
    for (int i = 0; i < r->n_jobs; i++) {
        const struct srv_job *j = &r->jobs[i];
        uint64_t in = j->decode_ns + j->preprocess_ns;
        failed |= j->status != 200;
        queue = j->queue_ns > queue ? j->queue_ns : queue;
        input = in > input ? in : input;
        infer = j->inference_ns > infer ? j->inference_ns : infer;
    }
    s->requests_failed += (uint64_t)failed;
    s->failed_ns += failed ? took : 0;
    if (failed)
        return;
    s->requests_ok++;
    s->ok_ns += took;
    s->queue_ns += queue;
    s->input_ns += input;
    s->infer_ns += infer;
    s->last_ms = wall_ms();
}
