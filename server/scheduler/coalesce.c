/* Keys, answers as bytes, and the flights: one for every image that is computed and that others may
 * wait for. */
#include "server/scheduler/coalesce.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/base/clock.h"
#include "server/repository/family.h"
#include "server/scheduler/brownout.h"
#include "server/scheduler/pool.h"
#include "server/scheduler/request.h"
#include "server/scheduler/scheduler.h"

struct srv_flight {
    struct srv_flight *chain;
    struct srv_hash key;
    struct srv_job *leader;          /* is computed */
    struct srv_job *waiting, **tail; /* linked by `next`, oldest first */
};

/* ---- start and end ---- */

void srv_coalesce_init(struct srv_scheduler *s)
{
    struct srv_coalesce *h = &s->coalesce;
    h->ready_tail = &h->ready;
    if (getrandom(h->key, sizeof(h->key), 0) != sizeof(h->key))
        h->key[0] = srv_now_ns() ^ (uintptr_t)s; /* no kernel that runs this lacks it */
    srv_coalesce_configure(s);
}

void srv_coalesce_configure(struct srv_scheduler *s)
{
    struct srv_coalesce *h = &s->coalesce;
    if (h->budget == s->env->cfg->cache_bytes)
        return;
    srv_cache_destroy(h->cache);
    h->cache = NULL;
    h->budget = s->env->cfg->cache_bytes;
    if (h->budget > 0 && srv_cache_create(&h->cache, (size_t)h->budget) < 0)
        srv_log(s->env->log, SRV_ERROR, "no memory for the cache: it stays off");
}

void srv_coalesce_finish(struct srv_coalesce *h)
{
    srv_cache_destroy(h->cache);
}

int srv_coalesce_is_on(const struct srv_scheduler *s)
{
    return s->coalesce.cache != NULL;
}

/* ---- keys ---- */

void srv_coalesce_digest(const struct srv_req *r, struct srv_input *inputs, int n)
{
    for (int i = 0; i < n; i++) {
        if (inputs[i].digested)
            continue;
        inputs[i].digest = srv_siphash(r->sched->coalesce.key, inputs[i].data, inputs[i].len);
        inputs[i].digested = 1;
    }
}

/* All that an answer depends on. No padding: it is hashed as it lies there. */
struct question {
    char model[64]; /* identity */
    struct srv_hash image, rows;
    uint64_t kind, ignore_exif, lenient, full_decode, floor, owner;
};

/* Each hash goes into the next, so that any number of rows makes one. */
static struct srv_hash hash_rows(const struct srv_req *r)
{
    struct srv_hash h = {0, 0};
    for (int i = 0; i < r->n_rows; i++) {
        const struct srv_rows *rows = &r->rows[i];
        const uint64_t link[] = {h.a, h.b, (uint64_t)(uintptr_t)rows->kind, (uint64_t)rows->a,
                                 (uint64_t)rows->b};
        h = srv_siphash(r->sched->coalesce.key, link, sizeof(link));
    }
    return h;
}

static struct srv_hash ask(const struct srv_req *r, const struct srv_input *input,
                           const struct srv_model *m, int floor, const void *owner)
{
    struct question q = {
        .image = input->digest,
        .rows = hash_rows(r),
        .kind = (uint64_t)input->kind,
        .ignore_exif = (uint64_t)r->image.ignore_exif,
        .lenient = (uint64_t)r->image.lenient,
        .full_decode = (uint64_t)r->image.full_decode,
        .floor = (uint64_t)floor,
        .owner = (uint64_t)(uintptr_t)owner,
    };
    _Static_assert(sizeof(q) == 64 + 16 * 2 + 8 * 6, "padding would be hashed");
    memcpy(q.model, m->identity, sizeof(q.model));
    return srv_siphash(r->sched->coalesce.key, &q, sizeof(q));
}

/* Of an answer that this model gave. */
static struct srv_hash answer_key(const struct srv_job *j, const struct srv_model *m)
{
    return ask(j->req, &j->input, m, -1, NULL);
}

/* Of what may share one run: the same models may answer it, and whoever waits for one of them holds
 * it, too. */
static struct srv_hash flight_key(const struct srv_job *j)
{
    const struct srv_req *r = j->req;
    return ask(r, &j->input, r->model, r->family ? r->floor : 0,
               r->family ? (const void *)r->family : r->model);
}

/* The variants that may answer without a run: the one whose turn it is, and all better ones. */
static int variants(const struct srv_req *r)
{
    if (!r->family)
        return 1;
    return (r->family->level < r->floor ? r->family->level : r->floor) + 1;
}

static struct srv_model *variant(const struct srv_req *r, int v)
{
    return r->family ? r->family->variants[v] : r->model;
}

/* ---- answers ---- */

/* Of the rows of one job. */
static size_t rows_bytes(const struct srv_req *r)
{
    size_t sum = 0;
    for (int i = 0; i < r->n_rows; i++)
        sum += r->rows[i].bytes;
    return sum;
}

/* The answer of one job as bytes, the picture in front of the rows, malloc'ed; NULL: out of memory.
 */
static unsigned char *pack(const struct srv_job *j, size_t *ret_len)
{
    const struct srv_req *r = j->req;
    size_t len = sizeof(j->picture) + rows_bytes(r);
    unsigned char *all = malloc(len), *to = all;
    if (!all)
        return NULL;
    memcpy(to, &j->picture, sizeof(j->picture));
    to += sizeof(j->picture);
    for (int i = 0; i < r->n_rows; i++) {
        memcpy(to, srv_job_row(j, i), r->rows[i].bytes);
        to += r->rows[i].bytes;
    }
    *ret_len = len;
    return all;
}

/* Gives a waiting job the answer that this model gave. 0: it does not fit. */
static int unpack(struct srv_job *j, struct srv_model *m, const unsigned char *from, size_t len)
{
    const struct srv_req *r = j->req;
    if (len != sizeof(j->picture) + rows_bytes(r))
        return 0;
    memcpy(&j->picture, from, sizeof(j->picture));
    from += sizeof(j->picture);
    for (int i = 0; i < r->n_rows; i++) {
        memcpy(srv_job_row(j, i), from, r->rows[i].bytes);
        from += r->rows[i].bytes;
    }
    j->model = m;
    srv_job_move(j, SRV_JOB_DONE);
    return 1;
}

static void push_ready(struct srv_scheduler *s, struct srv_job *j)
{
    j->next = NULL;
    *s->coalesce.ready_tail = j;
    s->coalesce.ready_tail = &j->next;
    srv_wake_send(&s->jobs_done);
}

struct srv_job *srv_coalesce_collect(struct srv_coalesce *h)
{
    struct srv_job *all = h->ready;
    h->ready = NULL;
    h->ready_tail = &h->ready;
    return all;
}

/* ---- flights ---- */

static struct srv_flight **find_flight(struct srv_coalesce *h, struct srv_hash key)
{
    struct srv_flight **at = &h->flights[key.a % SRV_FLIGHT_BUCKETS];
    while (*at && ((*at)->key.a != key.a || (*at)->key.b != key.b))
        at = &(*at)->chain;
    return at;
}

static int is_as_urgent(const struct srv_job *leader, const struct srv_job *j)
{
    return leader->priority <= j->priority && leader->deadline_ns <= j->deadline_ns;
}

static void lead(struct srv_job *j)
{
    struct srv_coalesce *h = &j->req->sched->coalesce;
    struct srv_hash key = flight_key(j);
    struct srv_flight **at = find_flight(h, key);
    struct srv_flight *f = *at ? NULL : calloc(1, sizeof(*f));
    if (!f)
        return; /* one is there already, which is less urgent or the same request's: it runs alone
                 */
    f->key = key;
    f->leader = j;
    f->tail = &f->waiting;
    *at = f;
    j->flight = f;
}

static void wait_for(struct srv_flight *f, struct srv_job *j)
{
    j->flight = f;
    j->next = NULL;
    *f->tail = j;
    f->tail = &j->next;
}

static void unlink_waiting(struct srv_flight *f, struct srv_job **at)
{
    struct srv_job *j = *at;
    *at = j->next;
    if (!*at)
        f->tail = at;
    j->flight = NULL;
    j->next = NULL;
}

int srv_coalesce_withdraw(struct srv_job *j)
{
    struct srv_flight *f = j->flight;
    if (!f || f->leader == j)
        return 0;
    struct srv_job **at = &f->waiting;
    while (*at != j)
        at = &(*at)->next;
    unlink_waiting(f, at);
    return 1;
}

static int can_wait(const struct srv_req *r, const struct srv_job *j)
{
    struct srv_flight *f = *find_flight(&r->sched->coalesce, flight_key(j));
    return f && is_as_urgent(f->leader, j);
}

static int take_from_cache(struct srv_req *r, struct srv_job *j)
{
    struct srv_coalesce *h = &r->sched->coalesce;
    size_t len;
    for (int v = 0; h->cache && v < variants(r); v++) {
        struct srv_model *m = variant(r, v);
        const void *known = srv_cache_get(h->cache, answer_key(j, m), &len);
        if (known && unpack(j, m, known, len))
            return 1;
    }
    return 0;
}

int srv_coalesce_look(struct srv_req *r)
{
    int left = 0;
    if (!srv_rows_kept(r))
        return r->n_jobs;
    for (int i = 0; i < r->n_jobs; i++) {
        struct srv_job *j = &r->jobs[i];
        srv_coalesce_digest(r, &j->input, 1);
        j->elsewhere = take_from_cache(r, j) || can_wait(r, j);
        left += !j->elsewhere;
    }
    return left;
}

void srv_coalesce_begin(struct srv_req *r)
{
    struct srv_coalesce *h = &r->sched->coalesce;
    if (!srv_rows_kept(r))
        return;
    for (int i = 0; i < r->n_jobs; i++) {
        struct srv_job *j = &r->jobs[i];
        if (!j->elsewhere) {
            h->misses++;
            lead(j);
        } else if (j->state == SRV_JOB_DONE) {
            h->hits++;
            push_ready(r->sched, j);
        } else {
            h->shared++;
            wait_for(*find_flight(h, flight_key(j)), j);
        }
    }
}

/* Sends the next one that waits to the queue in place of the leader. */
static void lead_next(struct srv_scheduler *s, struct srv_flight *f)
{
    while (f->waiting) {
        struct srv_job *j = f->waiting;
        unlink_waiting(f, &f->waiting);
        j->elsewhere = 0;
        srv_brownout_price(j);
        if (srv_pool_submit(s->pool, j->req->model, j, 1, (size_t)s->env->cfg->queue_limit) == 0) {
            srv_cost_enter(&s->cost, j, srv_now_ns());
            j->flight = f;
            f->leader = j;
            return;
        }
        j->elsewhere = 1;
        srv_job_fail(j, 503, "too many images wait for this model");
        push_ready(s, j);
    }
}

static void remove_flight(struct srv_coalesce *h, struct srv_flight *f)
{
    *find_flight(h, f->key) = f->chain;
    free(f);
}

/* Is it the image's fault, and everybody's who sends it? */
static int is_of_image(const struct srv_job *j)
{
    return j->state == SRV_JOB_FAILED && (j->status == 413 || j->status == 415 || j->status == 422);
}

static void hand_out(struct srv_scheduler *s, struct srv_flight *f, const struct srv_job *leader,
                     const unsigned char *answer, size_t len)
{
    while (f->waiting) {
        struct srv_job *j = f->waiting;
        unlink_waiting(f, &f->waiting);
        if (!answer)
            srv_job_fail(j, leader->status, "%s", leader->error);
        else if (!unpack(j, leader->model, answer, len))
            srv_job_fail(j, 500, "the answer is not of the form that was asked for");
        push_ready(s, j);
    }
}

void srv_coalesce_settle(struct srv_job *j)
{
    struct srv_scheduler *s = j->req->sched;
    struct srv_flight *f = j->flight;
    size_t len = 0;
    unsigned char *answer = NULL;
    if (j->elsewhere || !srv_rows_kept(j->req))
        return;
    j->flight = NULL;
    if (j->state == SRV_JOB_DONE)
        answer = pack(j, &len);
    if (answer && s->coalesce.cache)
        srv_cache_put(s->coalesce.cache, answer_key(j, j->model), answer, len);
    if (f && (answer || is_of_image(j)))
        hand_out(s, f, j, answer, len);
    else if (f)
        lead_next(s, f);
    if (f && f->leader == j)
        remove_flight(&s->coalesce, f);
    free(answer);
}

struct srv_job *srv_coalesce_expire(struct srv_coalesce *h, uint64_t now, uint64_t *ret_next)
{
    struct srv_job *expired = NULL;
    for (int b = 0; b < SRV_FLIGHT_BUCKETS; b++)
        for (struct srv_flight *f = h->flights[b]; f; f = f->chain)
            for (struct srv_job **at = &f->waiting; *at;) {
                struct srv_job *j = *at;
                if (j->deadline_ns > now) {
                    *ret_next = j->deadline_ns < *ret_next ? j->deadline_ns : *ret_next;
                    at = &j->next;
                    continue;
                }
                unlink_waiting(f, at);
                srv_job_move(j, SRV_JOB_EXPIRED);
                j->next = expired;
                expired = j;
            }
    return expired;
}

/* ---- entity tags ---- */

static void print_tag(struct srv_hash h, char ret[SRV_ETAG_MAX])
{
    snprintf(ret, SRV_ETAG_MAX, "W/\"%016llx%016llx\"", (unsigned long long)h.a,
             (unsigned long long)h.b);
}

void srv_coalesce_etag(const struct srv_job *j, char ret[SRV_ETAG_MAX])
{
    print_tag(answer_key(j, j->model), ret);
}

int srv_coalesce_is_known(struct srv_req *r, const struct srv_input *input,
                          const char *if_none_match, char ret[SRV_ETAG_MAX])
{
    for (int v = 0; v < variants(r); v++) {
        print_tag(ask(r, input, variant(r, v), -1, NULL), ret);
        if (strstr(if_none_match, ret + 2)) /* weak comparison: without W/ */
            return 1;
    }
    return 0;
}
