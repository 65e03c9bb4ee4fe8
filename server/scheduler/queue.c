/* A heap of flows, each of which holds a heap of jobs. */
#include "server/scheduler/queue.h"

#include <assert.h>
#include <errno.h>

#include "server/base/clock.h"

/* ---- the flows' order ---- */

static struct srv_job *head(const struct srv_flow *f)
{
    return f->heap.jobs[0];
}

static int before(const struct srv_flow *a, const struct srv_flow *b)
{
    const struct srv_job *x = head(a), *y = head(b);
    if (x->priority != y->priority)
        return x->priority < y->priority;
    if (a->turn != b->turn)
        return a->turn < b->turn;
    if (x->deadline_ns != y->deadline_ns)
        return x->deadline_ns < y->deadline_ns;
    return x->sequence < y->sequence;
}

static void place(struct srv_queue *q, size_t i, struct srv_flow *f)
{
    q->order[i] = f;
    f->place = i;
}

static void rise(struct srv_queue *q, size_t i)
{
    struct srv_flow *f = q->order[i];
    while (i > 0 && before(f, q->order[(i - 1) / 2])) {
        place(q, i, q->order[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(q, i, f);
}

static void sink(struct srv_queue *q, size_t i)
{
    struct srv_flow *f = q->order[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->n_order)
            break;
        if (child + 1 < q->n_order && before(q->order[child + 1], q->order[child]))
            child++;
        if (!before(q->order[child], f))
            break;
        place(q, i, q->order[child]);
        i = child;
    }
    place(q, i, f);
}

static void settle(struct srv_queue *q, struct srv_flow *f)
{
    sink(q, f->place);
    rise(q, f->place);
}

static void enter(struct srv_queue *q, struct srv_flow *f)
{
    if (f->turn < q->turn) /* no credit for the time that it had nothing to do */
        f->turn = q->turn;
    place(q, q->n_order, f);
    rise(q, q->n_order++);
}

static void leave(struct srv_queue *q, struct srv_flow *f)
{
    struct srv_flow *last = q->order[--q->n_order];
    if (last == f)
        return;
    place(q, f->place, last);
    settle(q, last);
}

/* ---- jobs in and out ---- */

void srv_queue_finish(struct srv_queue *q)
{
    assert(q->n == 0);
    for (size_t i = 0; i < SRV_FLOWS; i++)
        srv_heap_finish(&q->flows[i].heap);
}

int srv_queue_reserve(struct srv_queue *q, unsigned flow, size_t n, size_t limit)
{
    if (n > limit || q->n > limit - n)
        return -EAGAIN;
    return srv_heap_reserve(&q->flows[flow].heap, n);
}

void srv_queue_push(struct srv_queue *q, struct srv_job *j)
{
    struct srv_flow *f = &q->flows[j->flow];
    srv_job_move(j, SRV_JOB_QUEUED);
    j->sequence = q->sequence++;
    q->n++;
    q->bytes += j->input.len;
    q->cost_ns += j->cost_ns;
    f->bytes += j->input.len;
    f->cost_ns += j->cost_ns;
    srv_heap_push(&f->heap, j);
    if (f->heap.n == 1)
        enter(q, f);
    else
        settle(q, f);
}

static void forget(struct srv_queue *q, const struct srv_job *j)
{
    q->n--;
    q->bytes -= j->input.len;
    q->cost_ns -= j->cost_ns;
    q->flows[j->flow].bytes -= j->input.len;
    q->flows[j->flow].cost_ns -= j->cost_ns;
}

void srv_queue_remove(struct srv_queue *q, struct srv_job *j)
{
    struct srv_flow *f = &q->flows[j->flow];
    forget(q, j);
    srv_heap_remove(&f->heap, j);
    if (f->heap.n == 0)
        leave(q, f);
    else
        settle(q, f);
}

struct srv_job *srv_queue_first(const struct srv_queue *q)
{
    return q->n > 0 ? head(q->order[0]) : NULL;
}

struct srv_job *srv_queue_pop(struct srv_queue *q)
{
    struct srv_job *j = srv_queue_first(q);
    if (!j)
        return NULL;
    struct srv_flow *f = &q->flows[j->flow];
    if (f->turn > q->turn) /* an urgent job of a flow that is not at its turn moves no clock back */
        q->turn = f->turn;
    f->turn += j->cost_ns;
    srv_queue_remove(q, j);
    return j;
}

int srv_queue_has(const struct srv_queue *q, const struct srv_job *j)
{
    const struct srv_heap *h = &q->flows[j->flow].heap;
    return j->heap_index < h->n && h->jobs[j->heap_index] == j;
}

void srv_queue_correct(struct srv_queue *q, unsigned flow, int64_t cost_ns)
{
    struct srv_flow *f = &q->flows[flow];
    uint64_t less = cost_ns < 0 ? (uint64_t)-cost_ns : 0;
    if (cost_ns >= 0)
        f->turn += (uint64_t)cost_ns;
    else
        f->turn -= less < f->turn ? less : f->turn;
    if (f->heap.n > 0)
        settle(q, f);
}

struct srv_job *srv_queue_expire(struct srv_queue *q, uint64_t now, uint64_t *ret_next)
{
    struct srv_job *expired = NULL;
    *ret_next = SRV_NEVER;
    for (size_t i = 0; i < SRV_FLOWS; i++) {
        struct srv_flow *f = &q->flows[i];
        struct srv_job *rest = expired;
        if (f->heap.n == 0)
            continue;
        uint64_t next = srv_heap_expire(&f->heap, now, &expired);
        *ret_next = next < *ret_next ? next : *ret_next;
        for (struct srv_job *j = expired; j != rest; j = j->next)
            forget(q, j);
        if (f->heap.n == 0)
            leave(q, f);
        else
            settle(q, f);
    }
    return expired;
}

/* ---- what is to be known ---- */

uint64_t srv_queue_urgent(const struct srv_queue *q)
{
    uint64_t urgent = SRV_NEVER;
    for (size_t i = 0; i < q->n_order; i++)
        if (head(q->order[i])->deadline_ns < urgent)
            urgent = head(q->order[i])->deadline_ns;
    return urgent;
}

/* Cost of a flow's jobs that run first whatever the turns are, and of those of the same priority
 * that turns are taken about. */
struct ahead {
    uint64_t first_ns, equal_ns;
};

static struct ahead look(const struct srv_flow *f, int priority, uint64_t deadline_ns)
{
    struct ahead a = {0};
    for (size_t i = 0; i < f->heap.n; i++) {
        const struct srv_job *j = f->heap.jobs[i];
        if (j->priority < priority)
            a.first_ns += j->cost_ns;
        else if (j->priority == priority && j->deadline_ns <= deadline_ns)
            a.equal_ns += j->cost_ns;
    }
    return a;
}

/* Of another flow, what is served until `turn`, when the job in question is through. */
static uint64_t until(const struct srv_flow *f, uint64_t equal_ns, uint64_t turn)
{
    uint64_t room = turn > f->turn ? turn - f->turn : 0;
    return equal_ns < room ? equal_ns : room;
}

uint64_t srv_queue_ahead(const struct srv_queue *q, unsigned flow, int priority,
                         uint64_t deadline_ns, uint64_t cost_ns)
{
    enum { FEW = 4096 }; /* beyond, a scan would cost more than it finds out */
    int scan = q->n <= FEW;
    const struct srv_flow *mine = &q->flows[flow];
    struct ahead own = scan ? look(mine, priority, deadline_ns) : (struct ahead){0, mine->cost_ns};
    uint64_t start = mine->turn > q->turn ? mine->turn : q->turn;
    uint64_t turn = start + own.equal_ns + cost_ns;
    uint64_t sum = own.first_ns + own.equal_ns;
    for (size_t i = 0; i < q->n_order; i++) {
        const struct srv_flow *f = q->order[i];
        if (f == mine)
            continue;
        struct ahead other = scan ? look(f, priority, SRV_NEVER) : (struct ahead){0, f->cost_ns};
        sum += other.first_ns + until(f, other.equal_ns, turn);
    }
    return sum;
}

void srv_queue_price(struct srv_queue *q, void (*price)(struct srv_job *j, void *arg), void *arg)
{
    for (size_t i = 0; i < q->n_order; i++) {
        struct srv_flow *f = q->order[i];
        for (size_t k = 0; k < f->heap.n; k++) {
            struct srv_job *j = f->heap.jobs[k];
            uint64_t was = j->cost_ns;
            price(j, arg);
            f->cost_ns += j->cost_ns - was;
            q->cost_ns += j->cost_ns - was;
        }
    }
}
