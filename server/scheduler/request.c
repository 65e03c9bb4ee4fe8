/* Bytes in, jobs out, answers counted home. */
#include "server/scheduler/request.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "server/base/alarm.h"
#include "server/base/clock.h"
#include "server/repository/family.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/coalesce.h"
#include "server/scheduler/counters.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/queue.h"
#include "server/scheduler/scheduler.h"

/* Beside the body: jobs and predictions of the most images that one request may hold. */
enum { ARENA_EXTRA = 64 << 20, FIRST_PIECE = 16 << 10 };
/* Beyond, room is made for what has come and not for what was announced: an announcement is free,
 * and would use up the budget of those who send. */
enum { FIRST_ROOM = 64 << 10 };

static struct eng_image_limits image_limits(const struct cfg *cfg)
{
    return (struct eng_image_limits){
        .max_pixels = (uint64_t)cfg->max_pixels,
        .max_width = (uint32_t)cfg->max_width,
        .max_height = (uint32_t)cfg->max_height,
        .max_scans = (uint32_t)cfg->max_scans,
        .max_coefficients = (size_t)cfg->max_picture_memory,
        .max_chunk = (size_t)cfg->max_png_chunk,
        .max_decode_ms = (uint32_t)cfg->max_decode_ms,
    };
}

static enum srv_half_close half_close(const struct cfg *cfg)
{
    if (strcmp(cfg->half_close, "answer") == 0)
        return SRV_HALF_CLOSE_ANSWER;
    return strcmp(cfg->half_close, "cancel") == 0 ? SRV_HALF_CLOSE_CANCEL : SRV_HALF_CLOSE_AUTO;
}

int srv_req_create(struct srv_req **ret, struct srv_scheduler *s, srv_req_done_fn *done, void *arg)
{
    struct srv_req *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->sched = s;
    r->body_max = (size_t)s->env->cfg->max_body;
    r->client_fd = -1;
    r->half_close = half_close(s->env->cfg);
    r->begun_ns = srv_now_ns();
    r->deadline_ns = SRV_NEVER;
    r->priority = SRV_PRIORITY_DEFAULT;
    r->sharing = srv_coalesce_is_on(s);
    r->image.limits = image_limits(s->env->cfg);
    r->image.full_decode = s->env->cfg->full_decode;
    r->done = done;
    r->arg = arg;
    atomic_init(&r->gone, 0);
    r->payer.budget = &s->budget;
    srv_arena_init(&r->arena, r->body_max + ARENA_EXTRA, &r->payer);
    r->next = s->requests;
    if (r->next)
        r->next->prev = r;
    s->requests = r;
    *ret = r;
    return 0;
}

void srv_req_set_client(struct srv_req *r, const void *name, size_t len)
{
    r->flow = (unsigned)(srv_siphash(r->sched->coalesce.key, name, len).a % SRV_FLOWS);
}

void srv_req_destroy(struct srv_req *r)
{
    if (!r)
        return;
    assert(r->pending == 0);
    if (r->prev)
        r->prev->next = r->next;
    else
        r->sched->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    if (r->release)
        r->release(r->release_arg);
    srv_arena_finish(&r->arena);
    srv_discharge(&r->payer, r->owned_use, r->owned_len);
    free(r->owned_body);
    srv_account_unref(r->payer.connection);
    srv_account_unref(r->payer.key);
    srv_model_unref(r->model);
    srv_family_unref(r->family);
    free(r);
}

void srv_req_set_payer(struct srv_req *r, struct srv_account *connection_ref,
                       struct srv_account *key_ref)
{
    assert(r->arena.used == 0);
    r->payer.connection = srv_account_ref(connection_ref);
    r->payer.key = srv_account_ref(key_ref);
}

static int reserve(struct srv_req *r, size_t room)
{
    if (room <= r->body_room)
        return 0;
    if (room > srv_budget_most(r->payer.budget))
        return -EFBIG;
    unsigned char *body = srv_arena_grow(&r->arena, r->body, room);
    if (!body) {
        r->retry_after_s = 1;
        return r->arena.refused ? -EDQUOT : -ENOMEM;
    }
    r->body = body;
    r->body_room = room;
    return 0;
}

int srv_req_expect(struct srv_req *r, size_t len)
{
    if (len > r->body_max || len > srv_budget_most(r->payer.budget))
        return -EFBIG;
    r->body_expected = len;
    return reserve(r, len < FIRST_ROOM ? len : FIRST_ROOM);
}

int srv_req_append(struct srv_req *r, const void *data, size_t len)
{
    if (len > r->body_max - r->body_len)
        return -EFBIG;
    size_t need = r->body_len + len;
    if (need > r->body_room) {
        size_t room = r->body_room ? r->body_room * 2 : FIRST_PIECE;
        if (room < need)
            room = need;
        if (r->body_expected >= need && room > r->body_expected)
            room = r->body_expected;
        if (room > r->body_max)
            room = r->body_max;
        int rc = reserve(r, room);
        if (rc < 0)
            return rc;
    }
    memcpy(r->body + r->body_len, data, len);
    r->body_len = need;
    return 0;
}

void srv_req_drop_body(struct srv_req *r)
{
    if (r->body_room > 0) /* in the arena: shrunk, for it goes with the rest */
        srv_arena_grow(&r->arena, r->body, 0);
    r->body = NULL;
    r->body_room = 0;
}

void srv_req_take_body(struct srv_req *r, void *body_take, size_t len, enum srv_use use)
{
    srv_discharge(&r->payer, r->owned_use, r->owned_len);
    free(r->owned_body);
    r->owned_body = body_take;
    r->owned_len = len;
    r->owned_use = use;
    r->body = body_take;
    r->body_len = len;
    r->body_room = 0;
}

static int change_inflated(void *arg, size_t from, size_t to)
{
    const struct srv_req *r = arg;
    return srv_charge_change(&r->payer, SRV_USE_INFLATED, from, to);
}

int srv_req_inflate(struct srv_req *r, size_t max)
{
    const struct proto_room room = {change_inflated, r};
    void *body = NULL;
    size_t len = 0;
    int rc = proto_inflate(r->coding, r->body, r->body_len, max, &room, &body, &len);
    if (rc == -EDQUOT)
        r->retry_after_s = 1;
    if (rc < 0)
        return rc;
    srv_req_take_body(r, body, len, SRV_USE_INFLATED);
    return 0;
}

void srv_req_set_model(struct srv_req *r, struct srv_model *m_ref, const char *name)
{
    srv_model_ref(m_ref);
    srv_model_unref(r->model);
    r->model = m_ref;
    r->model_name = name;
}

void srv_req_set_family(struct srv_req *r, struct srv_family *f_ref)
{
    srv_req_set_model(r, f_ref->variants[0], f_ref->name);
    srv_family_ref(f_ref);
    srv_family_unref(r->family);
    r->family = f_ref;
    r->floor = f_ref->n - 1;
}

static int make_jobs(struct srv_req *r, const struct srv_input *inputs, int n)
{
    struct srv_job *jobs = srv_arena_alloc(&r->arena, (size_t)n * sizeof(*jobs));
    if (!jobs || srv_rows_make(r, (size_t)n) < 0)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        struct srv_job *j = &jobs[i];
        j->req = r;
        j->input = inputs[i];
        j->model = r->model;
        j->priority = r->priority;
        j->flow = r->flow;
        j->deadline_ns = r->deadline_ns;
    }
    r->jobs = jobs;
    r->n_jobs = n;
    return 0;
}

static int wait_seconds(uint64_t ns)
{
    uint64_t s = (ns + 999999999u) / 1000000000u;
    return s < 1 ? 1 : s > 3600 ? 3600 : (int)s;
}

/* The time that its body took counts, up to half the objective: under load it is the loop's time,
 * but a client on a slow line should not be refused for its line. */
static int meets_objective(const struct srv_req *r, uint64_t now, uint64_t wait)
{
    uint64_t objective = (uint64_t)r->sched->env->cfg->slo_p99_ms * SRV_NS_PER_MS;
    uint64_t spent = now - r->begun_ns < objective / 2 ? now - r->begun_ns : objective / 2;
    return objective == 0 || wait <= srv_cost_budget(&r->sched->cost, objective - spent);
}

/* With an objective or without one, nobody waits for longer than this before a turn comes. */
static uint64_t longest_wait(const struct srv_req *r)
{
    uint64_t ms = (uint64_t)r->sched->env->cfg->max_wait_ms;
    return ms > 0 ? ms * SRV_NS_PER_MS : SRV_NEVER;
}

/* Until so much of what is ahead is done that the same request would be taken. */
static int seconds_until(uint64_t wait, uint64_t allowed)
{
    return wait_seconds(wait > allowed ? wait - allowed : 0);
}

/* Can work of `total` (whose largest single piece is `piece`) be done before the deadline? */
static int admit_cost(struct srv_req *r, uint64_t total, uint64_t piece)
{
    struct srv_scheduler *s = r->sched;
    uint64_t now = srv_now_ns();
    uint64_t ahead = srv_pool_ahead(s->pool, r->model, r->flow, r->priority, r->deadline_ns, total);
    uint64_t own = srv_cost_time(&s->cost, total);
    uint64_t before = srv_cost_time(&s->cost, ahead);
    uint64_t wait = before + (own > piece ? own : piece);
    uint64_t finish = now + srv_cost_promise(&s->cost, wait); /* late work is wasted work */
    r->predicted_ns = ahead > 0 ? wait : 0;
    if (ahead == 0)
        return 0;
    if (before > longest_wait(r)) {
        r->retry_after_s = seconds_until(before, longest_wait(r));
        r->refusal = SRV_REFUSAL_WAIT;
        r->model->stats.refused += !r->shadow;
        srv_brownout_refused(r);
        return -EBUSY;
    }
    if (finish <= r->deadline_ns && meets_objective(r, now, wait))
        return 0;
    r->retry_after_s = seconds_until(finish, r->deadline_ns);
    r->refusal = SRV_REFUSAL_DEADLINE;
    r->model->stats.hopeless += !r->shadow;
    srv_brownout_refused(r);
    return -ETIME;
}

static int refuse_full(struct srv_req *r)
{
    /* There is room with the next picture done; half of the backlog spreads those who come back. */
    r->retry_after_s = wait_seconds(srv_cost_time(&r->sched->cost, r->sched->cost.backlog_ns) / 2);
    r->refusal = SRV_REFUSAL_QUEUE;
    r->model->stats.refused += !r->shadow;
    return -EAGAIN;
}

/* Does `more` fit beside what waits? One client never takes the last places: it may have eight
 * times as many as are free, and finds the queue full with eight ninths of it (dynamic thresholds,
 * Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). */
static int fits(size_t limit, size_t waiting, size_t own, size_t more)
{
    enum { SHARE = 8 };
    return waiting <= limit && more <= limit - waiting && own / SHARE <= limit - waiting - more;
}

/* Only the loop adds to a queue: what there is room for now can be queued at once. */
static int is_full(const struct srv_req *r, size_t images, size_t bytes)
{
    const struct cfg *cfg = r->sched->env->cfg;
    struct srv_pool_queued q = srv_pool_queued(r->sched->pool, r->model, r->flow);
    if (!fits((size_t)cfg->queue_limit, q.jobs, q.flow_jobs, images))
        return 1;
    return q.jobs > 0 && !fits((size_t)cfg->queue_bytes, q.bytes, q.flow_bytes, bytes);
}

/* What those of its jobs will hold that wait in the queue. */
static size_t bytes_of_jobs(const struct srv_req *r)
{
    size_t sum = 0;
    for (int i = 0; i < r->n_jobs; i++)
        sum += r->jobs[i].elsewhere ? 0 : r->jobs[i].input.len;
    return sum;
}

/* What its client may ask for. */
static void keep_limits(struct srv_req *r)
{
    if (r->priority < r->most_urgent)
        r->priority = r->most_urgent;
    if (r->longest_ns > 0 && r->deadline_ns > r->begun_ns + r->longest_ns)
        r->deadline_ns = r->begun_ns + r->longest_ns;
}

int srv_req_admit(struct srv_req *r, size_t bytes)
{
    struct srv_scheduler *s = r->sched;
    keep_limits(r);
    if (r->sharing) /* the answer may be known: who knows before the body is here? */
        return 0;
    if (is_full(r, 1, bytes))
        return refuse_full(r);
    srv_brownout_arrive(r, 1);
    r->counted = 1;
    const struct srv_model *m = r->family ? srv_family_variant(r->family, r->floor) : r->model;
    uint64_t cost = srv_cost_guess(&s->cost, m, bytes);
    return admit_cost(r, cost, cost);
}

static int admit_jobs(struct srv_req *r)
{
    uint64_t total = 0, piece = 0;
    for (int i = 0; i < r->n_jobs; i++) {
        if (r->jobs[i].elsewhere)
            continue;
        srv_brownout_price(&r->jobs[i]);
        total += r->jobs[i].cost_ns;
        piece = r->jobs[i].cost_ns > piece ? r->jobs[i].cost_ns : piece;
    }
    return admit_cost(r, total, piece);
}

/* Tensors have one variant's size, and so have rows of numbers: a request with them stays with the
 * best variant. */
static void pin_tensors(struct srv_req *r, const struct srv_input *inputs, int n)
{
    int pinned = !srv_rows_exchange(r);
    for (int i = 0; i < n; i++)
        pinned |= inputs[i].kind != SRV_IMAGE;
    if (pinned)
        r->floor = 0;
}

int srv_req_submit(struct srv_req *r, const struct srv_input *inputs, int n)
{
    assert(r->model && r->n_rows > 0 && n > 0 && r->pending == 0);
    struct srv_scheduler *s = r->sched;
    keep_limits(r);
    int rc = make_jobs(r, inputs, n), here = n;
    pin_tensors(r, inputs, n);
    if (rc == 0 && r->sharing)
        here = srv_coalesce_look(r);
    srv_brownout_arrive(r, here - r->counted);
    if (rc == 0 && here > 0)
        rc = admit_jobs(r);
    r->submitted_ns = srv_now_ns();
    if (rc == 0) {
        rc = here > 0 && is_full(r, (size_t)here, bytes_of_jobs(r)) ? -EAGAIN : 0;
        if (rc == 0)
            rc = srv_pool_submit(s->pool, r->model, r->jobs, n, (size_t)s->env->cfg->queue_limit);
        if (rc == -EAGAIN)
            refuse_full(r);
    }
    if (rc < 0) {
        r->jobs = NULL;
        r->n_jobs = 0;
        return rc;
    }
    r->pending = n;
    for (int i = 0; i < n; i++)
        if (!r->jobs[i].elsewhere)
            srv_cost_enter(&s->cost, &r->jobs[i], r->submitted_ns);
    if (here < n)
        r->predicted_ns = 0; /* others are waited for, too, or nobody is */
    if (r->sharing)
        srv_coalesce_begin(r);
    srv_alarm_watch(&s->expiry, r->deadline_ns);
    return 0;
}

/* ---- work items ---- */

static int offload(struct srv_req *r, void (*run)(struct srv_req *r, void *arg),
                   void (*back)(struct srv_req *r, void *arg), void *arg, size_t limit)
{
    assert(r->pending == 0);
    uint64_t deadline = r->deadline_ns; /* from then on the request is a worker's */
    r->item = (struct srv_work_item){
        .req = r, .run = run, .back = back, .arg = arg, .deadline_ns = deadline};
    int rc = srv_pool_submit_item(r->sched->pool, &r->item, limit);
    if (rc < 0)
        return rc;
    r->pending = 1;
    srv_alarm_watch(&r->sched->expiry, deadline);
    return 0;
}

int srv_req_offload(struct srv_req *r, void (*run)(struct srv_req *r, void *arg),
                    void (*back)(struct srv_req *r, void *arg), void *arg)
{
    int rc = offload(r, run, back, arg, (size_t)r->sched->env->cfg->queue_limit);
    if (rc < 0) {
        r->retry_after_s = 1;
        r->refusal = SRV_REFUSAL_WORK;
    }
    return rc;
}

int srv_req_run(struct srv_req *r, int is_long, void (*run)(struct srv_req *r, void *arg),
                void (*back)(struct srv_req *r, void *arg), void *arg)
{
    if (is_long)
        return srv_req_offload(r, run, back, arg);
    run(r, arg);
    back(r, arg);
    return 0;
}

void srv_req_run_last(struct srv_req *r, int is_long, void (*run)(struct srv_req *r, void *arg),
                      void (*back)(struct srv_req *r, void *arg), void *arg)
{
    if (is_long && offload(r, run, back, arg, SIZE_MAX) == 0)
        return;
    run(r, arg);
    back(r, arg);
}

int srv_req_refusal(int rc, const char **ret_sentence)
{
    *ret_sentence = rc == -EAGAIN  ? "too many images wait for this model"
                    : rc == -EBUSY ? "what waits would take longer than max_wait_ms"
                    : rc == -ETIME ? "the deadline cannot be met at the present load"
                                   : "out of memory for the images";
    return rc == -EAGAIN || rc == -EBUSY || rc == -ETIME ? 429 : 503;
}

void srv_req_items_back(struct srv_work_item *list)
{
    uint64_t now = list ? srv_now_ns() : 0;
    while (list) {
        struct srv_work_item *next = list->next; /* its memory may go with its request */
        struct srv_req *r = list->req;
        r->pending = 0;
        if (r->cancelled)
            srv_req_destroy(r);
        else if (r->late && (list->late || r->deadline_ns < now))
            r->late(r, r->late_arg);
        else
            list->back(r, list->arg);
        list = next;
    }
}

/* ---- answers ---- */

static void job_back(struct srv_job *j, uint64_t now)
{
    struct srv_req *r = j->req;
    if (!j->elsewhere)
        srv_cost_leave(&r->sched->cost, j->model, j, now);
    if (r->sharing)
        srv_coalesce_settle(j);
    if (j->state == SRV_JOB_DONE && r->deadline_ns < now) {
        j->status = 504;
        snprintf(j->error, sizeof(j->error), "the answer came after its deadline");
    }
    if (!j->elsewhere)
        srv_count_job(&r->sched->counters, j->model, j);
    srv_brownout_job_back(j);
    r->done_ns = now;
    if (r->part && !r->cancelled)
        r->part(r, j, r->arg);
    if (--r->pending > 0)
        return;
    if (r->predicted_ns > 0 && j->status == 200)
        srv_cost_kept(&r->sched->cost, r->predicted_ns, now - r->submitted_ns);
    if (r->family)
        srv_brownout_answered(r);
    if (!r->shadow)
        srv_count_answer(j->model, r);
    if (r->cancelled) {
        srv_req_destroy(r);
        return;
    }
    r->done(r, r->arg);
}

void srv_req_jobs_back(struct srv_job *list)
{
    uint64_t now = srv_now_ns();
    while (list) {
        struct srv_job *next = list->next; /* the job's memory may go with its request */
        job_back(list, now);
        list = next;
    }
}

void srv_req_jobs_expired(struct srv_job *list)
{
    uint64_t now = srv_now_ns();
    for (struct srv_job *j = list; j; j = j->next) {
        j->queue_ns = now - j->queued_at_ns;
        srv_job_move(j, SRV_JOB_EXPIRED);
    }
    srv_req_jobs_back(list);
}

/* Takes every waiting job back and ends it. */
static void withdraw_all(struct srv_req *r, int status, const char *sentence)
{
    struct srv_job *list = NULL;
    for (int i = 0; i < r->n_jobs; i++) {
        struct srv_job *j = &r->jobs[i];
        if (!srv_coalesce_withdraw(j) && !srv_pool_withdraw(r->sched->pool, r->model, j))
            continue;
        srv_job_move(j, SRV_JOB_CANCELLED);
        j->status = status;
        snprintf(j->error, sizeof(j->error), "%s", sentence);
        j->next = list;
        list = j;
    }
    srv_req_jobs_back(list);
}

void srv_req_cancel(struct srv_req *r)
{
    r->cancelled = 1;
    atomic_store_explicit(&r->gone, 1, memory_order_relaxed);
    if (r->pending == 0)
        srv_req_destroy(r);
    else
        withdraw_all(r, 499, "the client left");
}

void srv_req_abort(struct srv_req *r, int status, const char *sentence)
{
    withdraw_all(r, status, sentence);
}
