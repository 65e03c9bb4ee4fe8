/* A binary heap whose members know their place, so that a vanished client's job leaves in O(log n).
 */
#include "server/scheduler/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/base/clock.h"

void srv_queue_finish(struct srv_queue *q)
{
    assert(q->n == 0);
    free(q->heap);
    q->heap = NULL;
    q->room = 0;
}

int srv_queue_reserve(struct srv_queue *q, size_t n, size_t limit)
{
    if (n > limit || q->n > limit - n)
        return -EAGAIN;
    size_t need = q->n + n;
    if (need <= q->room)
        return 0;
    size_t room = q->room ? q->room : 64;
    while (room < need)
        room *= 2;
    struct srv_job **heap = realloc(q->heap, room * sizeof(struct srv_job *));
    if (!heap)
        return -ENOMEM;
    q->heap = heap;
    q->room = room;
    return 0;
}

static int before(const struct srv_job *a, const struct srv_job *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->sequence < b->sequence;
}

static void place(struct srv_queue *q, size_t i, struct srv_job *j)
{
    q->heap[i] = j;
    j->heap_index = i;
}

static void rise(struct srv_queue *q, size_t i)
{
    struct srv_job *j = q->heap[i];
    while (i > 0 && before(j, q->heap[(i - 1) / 2])) {
        place(q, i, q->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(q, i, j);
}

static void sink(struct srv_queue *q, size_t i)
{
    struct srv_job *j = q->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->n)
            break;
        if (child + 1 < q->n && before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!before(q->heap[child], j))
            break;
        place(q, i, q->heap[child]);
        i = child;
    }
    place(q, i, j);
}

void srv_queue_push(struct srv_queue *q, struct srv_job *j)
{
    assert(q->n < q->room);
    srv_job_move(j, SRV_JOB_QUEUED);
    j->sequence = q->sequence++;
    q->bytes += j->input.len;
    q->cost_ns += j->cost_ns;
    q->heap[q->n] = j;
    rise(q, q->n++);
}

void srv_queue_remove(struct srv_queue *q, struct srv_job *j)
{
    size_t i = j->heap_index;
    assert(i < q->n && q->heap[i] == j);
    q->bytes -= j->input.len;
    q->cost_ns -= j->cost_ns;
    struct srv_job *last = q->heap[--q->n];
    if (last == j)
        return;
    place(q, i, last);
    sink(q, i);
    rise(q, last->heap_index);
}

struct srv_job *srv_queue_pop(struct srv_queue *q)
{
    if (q->n == 0)
        return NULL;
    struct srv_job *j = q->heap[0];
    srv_queue_remove(q, j);
    return j;
}

struct srv_job *srv_queue_expire(struct srv_queue *q, uint64_t now, uint64_t *ret_next)
{
    struct srv_job *expired = NULL;
    size_t kept = 0, was = q->n;
    uint64_t next = SRV_NEVER;
    for (size_t i = 0; i < was; i++) {
        struct srv_job *j = q->heap[i];
        if (j->deadline_ns <= now) {
            q->bytes -= j->input.len;
            q->cost_ns -= j->cost_ns;
            j->next = expired;
            expired = j;
        } else {
            if (j->deadline_ns < next)
                next = j->deadline_ns;
            place(q, kept++, j);
        }
    }
    q->n = kept;
    if (kept < was)
        for (size_t i = kept / 2; i-- > 0;)
            sink(q, i);
    *ret_next = next;
    return expired;
}

uint64_t srv_queue_ahead(const struct srv_queue *q, int priority, uint64_t deadline_ns)
{
    enum { FEW = 4096 }; /* beyond, all of it: a scan would cost more than it finds out */
    if (q->n > FEW)
        return q->cost_ns;
    uint64_t sum = 0;
    for (size_t i = 0; i < q->n; i++) {
        const struct srv_job *j = q->heap[i];
        if (j->priority < priority || (j->priority == priority && j->deadline_ns <= deadline_ns))
            sum += j->cost_ns;
    }
    return sum;
}
