/* Threads, what they take next, and what they lend to each other. What a worker does with a batch
 * is not its own: batch.c. */
#include "server/scheduler/pool.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/priority.h"
#include "server/repository/family.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/request.h"

/* ---- queues: all under p->lock ---- */

static void link_waiting(struct srv_pool *p, struct srv_lane *l, uint64_t now)
{
    if (l->waiting)
        return;
    l->waiting = 1;
    l->waiting_since_ns = now;
    if (l->turn < p->turn) /* no credit for the time that it had nothing to do */
        l->turn = p->turn;
    l->next_waiting = p->waiting;
    p->waiting = l;
}

static void unlink_if_empty(struct srv_pool *p, struct srv_lane *l)
{
    if (!l->waiting || l->queue.n > 0)
        return;
    struct srv_lane **at = &p->waiting;
    while (*at != l)
        at = &(*at)->next_waiting;
    *at = l->next_waiting;
    l->waiting = 0;
}

static int batch_limit(const struct srv_pool *p, const struct srv_model *m)
{
    return m->batch_limit < p->max_batch ? m->batch_limit : p->max_batch;
}

/* The variant that the most urgent job of the queue is to get now. */
static struct srv_model *variant_of_first(const struct srv_lane *l)
{
    const struct srv_req *r = srv_queue_first(&l->queue)->req;
    return r->family ? srv_family_variant(r->family, r->floor) : l->model;
}

/* Until when its jobs wait for company; 0: no longer. The most urgent one spends no more than half
 * of the time that it has, and is not made late: what runs next to us may want the processor. */
static uint64_t held_until(const struct srv_pool *p, const struct srv_lane *l, uint64_t now)
{
    if (p->max_delay_ns == 0 || l->queue.n >= (size_t)batch_limit(p, variant_of_first(l)))
        return 0;
    uint64_t until = l->waiting_since_ns + p->max_delay_ns;
    uint64_t urgent = srv_queue_urgent(&l->queue), cost = 2 * l->queue.cost_ns;
    uint64_t latest = urgent > cost ? urgent - cost : 0, since = l->waiting_since_ns;
    uint64_t half = urgent > since ? since + (urgent - since) / 2 : 0;
    latest = latest < half ? latest : half;
    until = until < latest ? until : latest;
    return until > now ? until : 0;
}

/* NULL: nothing waits, or what waits is held until *ret_again. */
static struct srv_lane *next_in_turn(struct srv_pool *p, uint64_t now, uint64_t *ret_again)
{
    struct srv_lane *best = NULL;
    *ret_again = SRV_NEVER;
    for (struct srv_lane *l = p->waiting; l; l = l->next_waiting) {
        uint64_t until = held_until(p, l, now);
        if (until > 0)
            *ret_again = until < *ret_again ? until : *ret_again;
        else if (!best || l->turn < best->turn)
            best = l;
    }
    return best;
}

/* Fills w->jobs with the next batch, all of one variant; how many, 0 if there is
 * nothing to do before *ret_again. */
static int take_batch(struct srv_pool *p, struct srv_worker *w, struct srv_model **ret,
                      uint64_t *ret_again)
{
    uint64_t now = srv_now_ns();
    struct srv_lane *l = next_in_turn(p, now, ret_again);
    if (!l)
        return 0;
    struct srv_model *variant = variant_of_first(l);
    /* One batch each for everyone who is free beats one batch that everyone shares: no barriers. */
    size_t share = (l->queue.n + (size_t)p->idle.now) / ((size_t)p->idle.now + 1);
    if (share > (size_t)batch_limit(p, variant))
        share = (size_t)batch_limit(p, variant);
    /* The first of a batch waits as long as the last: no more than the most urgent can wait for. */
    uint64_t cost = 0, slack = SRV_NEVER;
    int n = 0, another = 0;
    while (n < (int)share) {
        const struct srv_job *next = srv_queue_first(&l->queue);
        uint64_t left = next->deadline_ns > now ? next->deadline_ns - now : 0;
        slack = left < slack ? left : slack;
        another = variant_of_first(l) != variant;
        if (n > 0 && (cost + next->cost_ns > slack || another))
            break;
        cost += next->cost_ns;
        w->jobs[n] = srv_queue_pop(&l->queue);
        w->jobs[n++]->model = variant;
    }
    p->running_ns += cost;
    p->turn = l->turn;
    l->turn += cost / (uint64_t)l->model->weight;
    w->crowded = l->queue.n > 0;
    int delayed = p->max_delay_ns > 0 && now - l->waiting_since_ns >= p->max_delay_ns;
    p->dispatched[another ? SRV_DISPATCH_VARIANT
                          : srv_dispatch_why(l->queue.n, n, (int)share, p->idle.now, delayed)]++;
    l->waiting_since_ns = now;
    p->queued -= (size_t)n;
    p->running += (size_t)n;
    unlink_if_empty(p, l);
    *ret = variant;
    return n;
}

/* ---- the thread ---- */

static struct srv_worker *find_lender(struct srv_pool *p, uint64_t after)
{
    struct srv_worker *best = NULL;
    for (int i = 0; i < p->n; i++) {
        struct srv_worker *w = &p->workers[i];
        if (w->lending > after && (!best || w->lending < best->lending))
            best = w;
    }
    return best;
}

/* An item or a batch, in turn where both wait: items come first, but many of them, which may be
 * long, do not stop all batches. */
static int take_work(struct srv_pool *p, struct srv_worker *w, struct srv_model **ret,
                     struct srv_work_item **ret_item, uint64_t *ret_again)
{
    int n = 0;
    *ret_item = w->had_item ? NULL : srv_items_take(&p->items);
    if (!*ret_item)
        n = take_batch(p, w, ret, ret_again);
    if (!*ret_item && n == 0)
        *ret_item = srv_items_take(&p->items);
    w->had_item = *ret_item != NULL;
    return n;
}

/* Until there is work, or a time that may be SRV_NEVER. Under the lock. */
static void sleep_until(struct srv_pool *p, uint64_t until_ns)
{
    srv_idling_change(&p->idle, 1);
    if (until_ns == SRV_NEVER) {
        pthread_cond_wait(&p->work, &p->lock);
    } else {
        struct timespec t = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};
        pthread_cond_timedwait(&p->work, &p->lock, &t);
    }
    srv_idling_change(&p->idle, -1);
}

/* Sleeps or helps until there is a work item (ret_item), a batch (its size) or the pool stops (0).
 */
static int next_work(struct srv_pool *p, struct srv_worker *w, struct srv_model **ret,
                     struct srv_work_item **ret_item)
{
    uint64_t tried = 0; /* the last run that was entered or found closed */
    uint64_t again = SRV_NEVER;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        int n = take_work(p, w, ret, ret_item, &again);
        if (*ret_item || n > 0 || p->stop) {
            pthread_mutex_unlock(&p->lock);
            return n;
        }
        struct srv_worker *lender = find_lender(p, tried);
        if (lender) {
            tried = lender->lending;
            p->helped++;
            pthread_mutex_unlock(&p->lock);
            eng_team_help(lender->team);
            pthread_mutex_lock(&p->lock);
            continue;
        }
        sleep_until(p, again);
    }
}

static void run_item(struct srv_pool *p, struct srv_work_item *t)
{
    t->late = t->deadline_ns <= srv_now_ns();
    if (!t->late && !atomic_load_explicit(&t->req->gone, memory_order_relaxed))
        t->run(t->req, t->arg);
    t->next = NULL;
    pthread_mutex_lock(&p->done_lock);
    int was_empty = !p->done_items;
    *p->done_items_tail = t;
    p->done_items_tail = &t->next;
    pthread_mutex_unlock(&p->done_lock);
    if (was_empty)
        p->options.notify(p->options.arg);
}

static void *worker_main(void *arg)
{
    struct srv_worker *w = arg;
    struct srv_model *m;
    struct srv_work_item *t;
    int n;
    srv_priority_worker();
    while ((n = next_work(w->pool, w, &m, &t)) > 0 || t) {
        if (t)
            run_item(w->pool, t);
        else
            w->pool->options.run(w, m, w->jobs, n);
    }
    return NULL;
}

/* ---- making and ending ---- */

static int start_workers(struct srv_pool *p, char *err, size_t errlen)
{
    sigset_t all, old;
    sigfillset(&all); /* signals belong to the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (int i = 0; i < p->options.workers; i++) {
        struct srv_worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        rc = eng_team_create(&w->team, p->options.workers);
        if (rc == 0)
            rc = eng_decoder_create(&p->decoders[i], p->options.cpu_bits);
        if (rc == 0) {
            p->n_decoders++;
            pthread_mutex_lock(&p->lock); /* threads that run already read n */
            rc = -pthread_create(&w->thread, NULL, worker_main, w);
            if (rc == 0)
                p->n++;
            pthread_mutex_unlock(&p->lock);
        }
        if (rc < 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc < 0)
        snprintf(err, errlen, "worker %d of %d cannot start: %s", p->n + 1, p->options.workers,
                 strerror(-rc));
    return rc;
}

static void init_condition(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC); /* that of srv_now_ns() */
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

int srv_pool_create(struct srv_pool **ret, const struct srv_pool_options *options, char *err,
                    size_t errlen)
{
    struct srv_pool *p = calloc(1, sizeof(*p));
    if (!p)
        goto no_memory;
    p->options = *options;
    p->max_batch = options->max_batch;
    p->max_delay_ns = options->max_delay_ns;
    p->idle.started_ns = p->idle.since_ns = srv_now_ns();
    p->done_tail = &p->done;
    p->done_items_tail = &p->done_items;
    pthread_mutex_init(&p->lock, NULL);
    init_condition(&p->work);
    pthread_mutex_init(&p->decoder_lock, NULL);
    pthread_mutex_init(&p->done_lock, NULL);
    p->workers = calloc((size_t)options->workers, sizeof(*p->workers));
    p->decoders = calloc((size_t)options->workers, sizeof(struct eng_decoder *));
    if (!p->workers || !p->decoders)
        goto no_memory;
    int rc = start_workers(p, err, errlen);
    if (rc < 0) {
        srv_pool_destroy(p);
        return rc;
    }
    *ret = p;
    return 0;
no_memory:
    srv_pool_destroy(p);
    snprintf(err, errlen, "out of memory");
    return -ENOMEM;
}

void srv_pool_destroy(struct srv_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n; i++)
        pthread_join(p->workers[i].thread, NULL);
    assert(!p->waiting && !p->items.first);
    for (int i = 0; p->workers && i < p->options.workers; i++)
        eng_team_destroy(p->workers[i].team);
    for (int i = 0; i < p->n_decoders; i++)
        eng_decoder_destroy(p->decoders[i]);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->decoder_lock);
    pthread_mutex_destroy(&p->done_lock);
    free(p->decoders);
    free(p->workers);
    free(p);
}

/* ---- the loop's side ---- */

int srv_pool_submit(struct srv_pool *p, struct srv_model *m, struct srv_job *jobs, int n,
                    size_t limit)
{
    uint64_t now = srv_now_ns();
    int wanted = 0, here = 0;
    for (int i = 0; i < n; i++)
        here += !jobs[i].elsewhere;
    if (here == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    struct srv_lane *l = srv_lane_of(m);
    int rc = l ? srv_queue_reserve(&l->queue, jobs[0].flow, (size_t)here, limit) : -ENOMEM;
    if (rc == 0) {
        for (int i = 0; i < n; i++) {
            if (jobs[i].elsewhere)
                continue;
            jobs[i].queued_at_ns = now;
            srv_queue_push(&l->queue, &jobs[i]);
        }
        p->queued += (size_t)here;
        link_waiting(p, l, now);
        wanted = here < p->idle.now ? here : p->idle.now;
    }
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < wanted; i++) /* outside: who wakes up wants the lock */
        pthread_cond_signal(&p->work);
    return rc;
}

int srv_pool_submit_item(struct srv_pool *p, struct srv_work_item *t, size_t limit)
{
    int rc = -EAGAIN;
    pthread_mutex_lock(&p->lock);
    if (p->items.n < limit) {
        srv_items_put(&p->items, t);
        rc = 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (rc == 0)
        pthread_cond_signal(&p->work);
    return rc;
}

int srv_pool_withdraw(struct srv_pool *p, struct srv_model *m, struct srv_job *j)
{
    pthread_mutex_lock(&p->lock);
    /* Not by its state: a worker that has it may be writing that now. */
    struct srv_lane *l = m->lane;
    int mine = l && srv_queue_has(&l->queue, j);
    if (mine) {
        srv_queue_remove(&l->queue, j);
        p->queued--;
        unlink_if_empty(p, l);
    }
    pthread_mutex_unlock(&p->lock);
    return mine;
}

struct srv_job *srv_pool_collect(struct srv_pool *p)
{
    pthread_mutex_lock(&p->done_lock);
    struct srv_job *all = p->done;
    p->done = NULL;
    p->done_tail = &p->done;
    pthread_mutex_unlock(&p->done_lock);
    return all;
}

struct srv_work_item *srv_pool_collect_items(struct srv_pool *p)
{
    pthread_mutex_lock(&p->done_lock);
    struct srv_work_item *all = p->done_items;
    p->done_items = NULL;
    p->done_items_tail = &p->done_items;
    pthread_mutex_unlock(&p->done_lock);
    return all;
}

struct srv_work_item *srv_pool_expire_items(struct srv_pool *p, uint64_t now, uint64_t *ret_next)
{
    pthread_mutex_lock(&p->lock);
    struct srv_work_item *late = srv_items_expire(&p->items, now, ret_next);
    pthread_mutex_unlock(&p->lock);
    return late;
}

struct srv_job *srv_pool_expire(struct srv_pool *p, uint64_t now, uint64_t *ret_next)
{
    struct srv_job *expired = NULL;
    uint64_t next = SRV_NEVER;
    pthread_mutex_lock(&p->lock);
    for (struct srv_lane *l = p->waiting, *after; l; l = after) {
        uint64_t mine;
        size_t was = l->queue.n;
        after = l->next_waiting;
        struct srv_job *j = srv_queue_expire(&l->queue, now, &mine);
        p->queued -= was - l->queue.n;
        unlink_if_empty(p, l);
        if (mine < next)
            next = mine;
        while (j) {
            struct srv_job *rest = j->next;
            j->next = expired;
            expired = j;
            j = rest;
        }
    }
    pthread_mutex_unlock(&p->lock);
    *ret_next = next;
    return expired;
}

uint64_t srv_pool_ahead(struct srv_pool *p, const struct srv_model *m, unsigned flow, int priority,
                        uint64_t deadline_ns, uint64_t cost_ns)
{
    pthread_mutex_lock(&p->lock);
    uint64_t mine =
        m->lane ? srv_queue_ahead(&m->lane->queue, flow, priority, deadline_ns, cost_ns) : 0;
    uint64_t others = 0;
    for (const struct srv_lane *o = p->waiting; o; o = o->next_waiting)
        if (o != m->lane)
            others += o->queue.cost_ns < mine + cost_ns ? o->queue.cost_ns : mine + cost_ns;
    uint64_t ahead = p->running_ns + mine + others;
    pthread_mutex_unlock(&p->lock);
    return ahead;
}

struct srv_pool_load srv_pool_load(struct srv_pool *p, const struct srv_model *m)
{
    struct srv_pool_load load = {0};
    pthread_mutex_lock(&p->lock);
    uint64_t mine = m->lane ? m->lane->queue.cost_ns : 0;
    load.images = p->running + (m->lane ? m->lane->queue.n : 0);
    for (const struct srv_lane *o = p->waiting; o; o = o->next_waiting)
        if (o != m->lane)
            load.other_ns += o->queue.cost_ns < mine ? o->queue.cost_ns : mine;
    pthread_mutex_unlock(&p->lock);
    return load;
}

void srv_pool_set_level(struct srv_pool *p, struct srv_family *f, int level,
                        void (*price)(struct srv_job *j, void *arg), void *arg)
{
    pthread_mutex_lock(&p->lock);
    f->level = level;
    if (f->variants[0]->lane)
        srv_queue_price(&f->variants[0]->lane->queue, price, arg);
    pthread_mutex_unlock(&p->lock);
}

void srv_pool_set_batching(struct srv_pool *p, int max_batch, uint64_t max_delay_ns)
{
    pthread_mutex_lock(&p->lock);
    p->max_batch = max_batch;
    p->max_delay_ns = max_delay_ns;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_broadcast(&p->work); /* who sleeps may have slept enough */
}

struct srv_pool_state srv_pool_state(struct srv_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct srv_pool_state s = {
        .idle = p->idle.now, .queued = p->queued, .running = p->running, .helped = p->helped};
    s.busy_ns = srv_idling_busy_ns(&p->idle, p->n);
    memcpy(s.dispatched, p->dispatched, sizeof(s.dispatched));
    pthread_mutex_unlock(&p->lock);
    return s;
}

struct srv_pool_queued srv_pool_queued(struct srv_pool *p, const struct srv_model *m, unsigned flow)
{
    struct srv_pool_queued q = {0};
    pthread_mutex_lock(&p->lock);
    if (m->lane) {
        const struct srv_flow *f = &m->lane->queue.flows[flow];
        q = (struct srv_pool_queued){m->lane->queue.n, m->lane->queue.bytes, f->heap.n, f->bytes};
    }
    pthread_mutex_unlock(&p->lock);
    return q;
}

/* ---- the workers' side ---- */

struct srv_context *srv_pool_context_take(struct srv_pool *p, struct srv_model *m, int batch,
                                          char *err, size_t errlen)
{
    pthread_mutex_lock(&p->lock);
    struct srv_lane *l = srv_lane_of(m);
    struct srv_context *c = l ? l->contexts : NULL;
    if (c)
        l->contexts = c->next;
    int max_batch = batch_limit(p, m);
    pthread_mutex_unlock(&p->lock);
    if (c && c->max_batch >= batch)
        return c;
    srv_context_destroy(c); /* made for smaller batches, before a reload */
    if (!l || srv_context_create(&c, m, batch > max_batch ? batch : max_batch, p->options.workers,
                                 err, errlen) < 0)
        return NULL;
    return c;
}

void srv_pool_context_give(struct srv_pool *p, struct srv_model *m, struct srv_context *c)
{
    pthread_mutex_lock(&p->lock);
    c->next = m->lane->contexts; /* it was taken from there */
    m->lane->contexts = c;
    pthread_mutex_unlock(&p->lock);
}

struct eng_decoder *srv_pool_decoder_take(struct srv_pool *p)
{
    pthread_mutex_lock(&p->decoder_lock);
    assert(p->n_decoders > 0); /* one a thread, and a thread decodes one image at a time */
    struct eng_decoder *d = p->decoders[--p->n_decoders];
    pthread_mutex_unlock(&p->decoder_lock);
    return d;
}

void srv_pool_decoder_give(struct srv_pool *p, struct eng_decoder *d)
{
    pthread_mutex_lock(&p->decoder_lock);
    p->decoders[p->n_decoders++] = d;
    pthread_mutex_unlock(&p->decoder_lock);
}

struct eng_team *srv_pool_lend(struct srv_worker *w)
{
    struct srv_pool *p = w->pool;
    if (p->options.workers == 1)
        return NULL;
    eng_team_begin(w->team);
    pthread_mutex_lock(&p->lock);
    w->lending = ++p->lends;
    int idle = p->idle.now;
    pthread_mutex_unlock(&p->lock);
    if (idle > 0)
        pthread_cond_broadcast(&p->work);
    return w->team;
}

void srv_pool_lend_end(struct srv_worker *w, struct eng_team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&w->pool->lock);
    w->lending = 0;
    pthread_mutex_unlock(&w->pool->lock);
    eng_team_end(team);
}

void srv_pool_complete(struct srv_pool *p, struct srv_job **jobs, int n)
{
    uint64_t cost = 0;
    for (int i = 0; i < n; i++) {
        cost += jobs[i]->cost_ns;
        jobs[i]->next = i + 1 < n ? jobs[i + 1] : NULL;
    }
    pthread_mutex_lock(&p->lock);
    srv_lane_correct(jobs, n);
    p->running -= (size_t)n;
    p->running_ns -= cost;
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_lock(&p->done_lock);
    int was_empty = !p->done;
    *p->done_tail = jobs[0];
    p->done_tail = &jobs[n - 1]->next;
    pthread_mutex_unlock(&p->done_lock);
    if (was_empty)
        p->options.notify(p->options.arg);
}
