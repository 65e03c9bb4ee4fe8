/* One broken image fails its own job: it is left out before the run. The images of a batch are
 * decoded by whoever of the pool is free, and the run is led the same way. */
#include "server/scheduler/batch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/scheduler/fill.h"
#include "server/scheduler/request.h"

struct batch {
    struct srv_worker *worker;
    struct srv_model *model;
    struct srv_context *context;
    struct srv_job **jobs;
    int n;
};

/* HTTP status for a failure of the engine while it reads an image or runs. */
static int engine_status(int rc)
{
    switch (rc) {
    case ENG_E_FORMAT:
    case ENG_E_UNSUPPORTED:
        return 415;
    case ENG_E_LIMIT:
        return 413;
    case ENG_E_DATA:
        return 422;
    case -EDQUOT:
        return 429;
    case -ENOMEM:
        return 503;
    default:
        return 500;
    }
}

/* Moves the jobs in a final state behind the others; how many are left. */
static int drop_final(struct srv_job **jobs, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (srv_job_is_final(jobs[i]))
            continue;
        struct srv_job *j = jobs[i];
        jobs[i] = jobs[kept];
        jobs[kept++] = j;
    }
    return kept;
}

/* Decoding is half of the work, and many clients leave while it goes on for those before them. */
static int is_gone(const struct srv_job *j)
{
    return atomic_load_explicit(&j->req->gone, memory_order_relaxed);
}

/* A reset says it; the end of its bytes may be all that it wanted to say (RFC 9112 9.6), and may
 * not. Half-closing clients are rare, and vanished ones come in crowds. */
static int has_left(const struct srv_job *j, short seen, int crowded)
{
    if (seen & ~POLLRDHUP)
        return 1;
    return (seen & POLLRDHUP) && j->req->half_close != SRV_HALF_CLOSE_ANSWER &&
           (crowded || j->req->half_close == SRV_HALF_CLOSE_CANCEL);
}

/* Nothing is computed for a deadline that has passed or a client that has left. While others wait,
 * what would come too late by its predicted cost makes room for them; a worker that has nothing
 * better to do tries, so that a wrong prediction cannot shut the door for ever. */
static int drop_unwanted(struct srv_job **jobs, int n, uint64_t now, int crowded)
{
    struct pollfd fds[SRV_BATCH_MAX];
    for (int i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = jobs[i]->req->client_fd, .events = POLLRDHUP};
    if (poll(fds, (nfds_t)n, 0) < 0)
        for (int i = 0; i < n; i++)
            fds[i].revents = 0;
    for (int i = 0; i < n; i++) {
        struct srv_job *j = jobs[i];
        srv_job_move(j, SRV_JOB_RUNNING);
        j->queue_ns = now - j->queued_at_ns;
        if (j->deadline_ns <= now + (crowded ? j->cost_ns : 0))
            srv_job_move(j, SRV_JOB_EXPIRED);
        else if (has_left(j, fds[i].revents, crowded) || is_gone(j))
            srv_job_move(j, SRV_JOB_CANCELLED);
    }
    return drop_final(jobs, n);
}

/* Orientations from 5 on lie on their side (EXIF 2.3, tag 0x0112). */
static struct srv_picture picture_of(const struct eng_image_report *r)
{
    int turned = r->applied_orientation >= 5;
    return (struct srv_picture){
        .orientation = r->applied_orientation,
        .truncated = r->truncated,
        .width = turned ? r->info.height : r->info.width,
        .height = turned ? r->info.width : r->info.height,
    };
}

/* What a picture that is decoded as a whole takes of the budget meanwhile. */
struct whole {
    struct srv_budget *budget;
    size_t bytes;
};

static int charge_whole(void *arg, size_t bytes)
{
    struct whole *w = arg;
    int rc = srv_charge_briefly(w->budget, SRV_USE_PICTURE, bytes);
    w->bytes += rc == 0 ? bytes : 0;
    return rc;
}

static void decode_image(struct srv_job *j, const struct eng_preprocess *p, void *to,
                         struct eng_decoder *d)
{
    struct eng_image_report report = {0};
    char err[160] = "";
    struct whole whole = {j->req->payer.budget, 0};
    struct eng_image_options options = j->req->image;
    options.room = charge_whole;
    options.room_arg = &whole;
    int rc =
        eng_decoder_run(d, j->input.data, j->input.len, p, &options, to, &report, err, sizeof(err));
    if (whole.bytes)
        srv_discharge(&(struct srv_payer){.budget = whole.budget}, SRV_USE_PICTURE, whole.bytes);
    j->decode_ns = report.decode_ns;
    j->preprocess_ns = report.preprocess_ns;
    j->picture = picture_of(&report);
    if (rc < 0)
        srv_job_fail(j, engine_status(rc), "%s", err[0] ? err : "the image cannot be read");
}

static void decode_one(struct batch *b, int slot, struct eng_decoder *d)
{
    struct srv_job *j = b->jobs[slot];
    void *tensor = srv_job_row(j, srv_rows_find(j->req, &srv_row_input));
    int pixels = j->input.kind != SRV_FLOATS && !tensor; /* whoever wants the tensor gets it */
    const struct eng_preprocess *p =
        pixels ? &b->model->info->picture : &b->model->info->preprocess;
    void *to = pixels ? eng_context_picture(b->context->eng, slot)
                      : eng_context_input(b->context->eng, slot);
    if (is_gone(j)) {
        srv_job_move(j, SRV_JOB_CANCELLED);
        return;
    }
    if (j->input.kind == SRV_IMAGE) {
        decode_image(j, p, to, d);
    } else {
        uint64_t start = srv_now_ns();
        srv_fill(j, p, to);
        j->preprocess_ns = srv_now_ns() - start;
    }
    if (srv_job_is_final(j))
        return;
    if (tensor)
        memcpy(tensor, to, srv_tensor_bytes(p));
    if (!srv_rows_need_run(j->req))
        srv_job_move(j, SRV_JOB_DONE);
    else if (is_gone(j))
        srv_job_move(j, SRV_JOB_CANCELLED);
}

static void decode_units(void *arg, int begin, int end, int member)
{
    struct batch *b = arg;
    (void)
        member; /* decoders are lent by the pool: members of different teams are the same threads */
    struct eng_decoder *d = srv_pool_decoder_take(b->worker->pool);
    for (int i = begin; i < end; i++)
        decode_one(b, i, d);
    srv_pool_decoder_give(b->worker->pool, d);
}

/* Closes the gaps that failed images left, so that the run is no larger than what is good. */
static void compact(struct batch *b)
{
    for (int i = 0; i < b->n;) {
        if (!srv_job_is_final(b->jobs[i])) {
            i++;
            continue;
        }
        int last = --b->n;
        if (last == i)
            break;
        struct srv_job *failed = b->jobs[i];
        eng_context_copy(b->context->eng, i, last);
        b->jobs[i] = b->jobs[last];
        b->jobs[last] = failed;
    }
}

static void infer(struct batch *b, struct eng_team *team)
{
    uint64_t start = srv_now_ns();
    int rc = eng_context_run(b->context->eng, b->n, team);
    if (rc == 0)
        for (int i = 0; i < b->n; i++)
            srv_rows_take(b->jobs[i], b->context->eng, i);
    uint64_t took = srv_now_ns() - start;
    int members = eng_team_members(team);
    for (int i = 0; i < b->n; i++) {
        struct srv_job *j = b->jobs[i];
        j->inference_ns = took;
        j->batch = b->n;
        j->members = members;
        j->leads_batch = i == 0;
        if (rc == 0)
            srv_job_move(j, SRV_JOB_DONE);
        else
            srv_job_fail(j, engine_status(rc), "the network could not be run");
    }
}

static void run_wanted(struct batch *b)
{
    struct srv_pool *p = b->worker->pool;
    char err[160] = "";
    b->context = srv_pool_context_take(p, b->model, b->n, err, sizeof(err));
    if (!b->context) {
        for (int i = 0; i < b->n; i++)
            srv_job_fail(b->jobs[i], 503, "out of memory for the run");
        return;
    }
    /* A single image is decoded by one thread: helpers would only spin until the run. */
    struct eng_team *team = b->n > 1 ? srv_pool_lend(b->worker) : NULL;
    if (team)
        eng_team_for(team, b->n, decode_units, b);
    else
        decode_units(b, 0, b->n, 0);
    compact(b);
    if (b->n > 0) {
        if (!team)
            team = srv_pool_lend(b->worker);
        infer(b, team);
    }
    srv_pool_lend_end(b->worker, team);
    srv_pool_context_give(p, b->model, b->context);
}

void srv_batch_run(struct srv_worker *w, struct srv_model *m, struct srv_job **jobs, int n)
{
    struct batch b = {.worker = w, .model = m, .jobs = jobs};
    b.n = drop_unwanted(jobs, n, srv_now_ns(), w->crowded);
    if (b.n > 0)
        run_wanted(&b);
    srv_pool_complete(w->pool, jobs, n);
}
