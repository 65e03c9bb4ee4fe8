/* Counts on the loop thread, so nothing here is atomic. */
#include "server/scheduler/counters.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/clock.h"
#include "server/scheduler/request.h"

#define WINDOW_NS (30ull * 1000000000u)

void srv_count_stage(struct srv_counters *m, enum srv_stage stage, uint64_t ns)
{
    srv_buckets_add(&m->stage[stage], &srv_edges_seconds, (double)ns / 1e9);
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

/* NULL: out of memory, it is not counted. */
static struct srv_task_stats *stats_of(struct srv_model_stats *s, const struct srv_task *task)
{
    struct srv_task_stats *t = s->tasks;
    while (t && t->task != task)
        t = t->next;
    if (!t && (t = calloc(1, sizeof(*t)))) {
        t->task = task;
        t->next = s->tasks;
        s->tasks = t;
    }
    return t;
}

static void count_time(struct srv_task_stats *t, enum srv_stage stage, uint64_t ns)
{
    if (ns > 0)
        srv_buckets_add(&t->stage[stage], &srv_edges_seconds, (double)ns / 1e9);
}

/* How sure a model is says, over days, that its pictures are no longer those that it learned. */
static void count_scores(struct srv_model_stats *s, const struct srv_job *j)
{
    for (int i = 0; i < j->req->n_rows; i++) {
        const struct srv_row_kind *kind = j->req->rows[i].kind;
        double best, next;
        int n = kind->sure ? kind->sure(j, srv_job_row(j, i), &best, &next) : 0;
        if (n > 0)
            srv_buckets_add(&s->confidence, &srv_edges_share, best);
        if (n > 1)
            srv_buckets_add(&s->margin, &srv_edges_share, best - next);
        if (n > 0)
            return;
    }
}

static void count_by_task(struct srv_model_stats *s, const struct srv_job *j)
{
    struct srv_task_stats *t = stats_of(s, j->req->task);
    if (!t)
        return;
    count_time(t, SRV_QUEUE, j->queue_ns);
    count_time(t, SRV_DECODE, j->decode_ns);
    count_time(t, SRV_PREPROCESS, j->preprocess_ns);
    if (j->state != SRV_JOB_DONE)
        return;
    count_time(t, SRV_INFERENCE, j->inference_ns);
    if (j->status == 200)
        count_scores(s, j);
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
    count_by_task(s, j);
    if (j->state != SRV_JOB_DONE)
        return;
    if (j->batch > 0)
        srv_count_stage(m, SRV_INFERENCE, j->inference_ns);
    s->by_batch[j->batch].input_ns += j->decode_ns + j->preprocess_ns;
    if (j->leads_batch) {
        srv_buckets_add(&m->batch, &srv_edges_count, j->batch);
        srv_buckets_add(&m->team, &srv_edges_count, j->members);
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

void srv_count_total(struct srv_counters *m, const struct srv_req *r, uint64_t ns,
                     const char *trace)
{
    srv_count_stage(m, SRV_TOTAL, ns);
    if (r->n_jobs == 0 || r->pending > 0)
        return;
    struct srv_task_stats *t = stats_of(&r->jobs[0].model->stats, r->task);
    if (!t)
        return;
    double seconds = (double)ns / 1e9;
    struct srv_exemplar *e =
        &t->exemplar[srv_buckets_add(&t->stage[SRV_TOTAL], &srv_edges_seconds, seconds)];
    if (!trace[0])
        return;
    memcpy(e->trace, trace, sizeof(e->trace));
    e->value = seconds;
    e->at_ms = wall_ms();
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
