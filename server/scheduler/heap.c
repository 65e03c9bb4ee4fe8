/* Jobs know their place, so that one leaves from the middle without a search. */
#include "server/scheduler/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/base/clock.h"

enum { FIRST_ROOM = 16 };

void srv_heap_finish(struct srv_heap *h)
{
    assert(h->n == 0);
    free(h->jobs);
    h->jobs = NULL;
    h->room = 0;
}

int srv_heap_reserve(struct srv_heap *h, size_t n)
{
    size_t need = h->n + n;
    if (need <= h->room)
        return 0;
    size_t room = h->room ? h->room : FIRST_ROOM;
    while (room < need)
        room *= 2;
    struct srv_job **jobs = realloc(h->jobs, room * sizeof(struct srv_job *));
    if (!jobs)
        return -ENOMEM;
    h->jobs = jobs;
    h->room = room;
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

static void place(struct srv_heap *h, size_t i, struct srv_job *j)
{
    h->jobs[i] = j;
    j->heap_index = i;
}

static void rise(struct srv_heap *h, size_t i)
{
    struct srv_job *j = h->jobs[i];
    while (i > 0 && before(j, h->jobs[(i - 1) / 2])) {
        place(h, i, h->jobs[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, j);
}

static void sink(struct srv_heap *h, size_t i)
{
    struct srv_job *j = h->jobs[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && before(h->jobs[child + 1], h->jobs[child]))
            child++;
        if (!before(h->jobs[child], j))
            break;
        place(h, i, h->jobs[child]);
        i = child;
    }
    place(h, i, j);
}

void srv_heap_push(struct srv_heap *h, struct srv_job *j)
{
    assert(h->n < h->room);
    h->jobs[h->n] = j;
    rise(h, h->n++);
}

void srv_heap_remove(struct srv_heap *h, struct srv_job *j)
{
    size_t i = j->heap_index;
    assert(i < h->n && h->jobs[i] == j);
    struct srv_job *last = h->jobs[--h->n];
    if (last == j)
        return;
    place(h, i, last);
    sink(h, i);
    rise(h, last->heap_index);
}

uint64_t srv_heap_expire(struct srv_heap *h, uint64_t now, struct srv_job **list)
{
    size_t kept = 0, was = h->n;
    uint64_t next = SRV_NEVER;
    for (size_t i = 0; i < was; i++) {
        struct srv_job *j = h->jobs[i];
        if (j->deadline_ns <= now) {
            j->next = *list;
            *list = j;
        } else {
            if (j->deadline_ns < next)
                next = j->deadline_ns;
            place(h, kept++, j);
        }
    }
    h->n = kept;
    if (kept < was)
        for (size_t i = kept / 2; i-- > 0;)
            sink(h, i);
    return next;
}
