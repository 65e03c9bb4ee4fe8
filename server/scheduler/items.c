/* A list is enough: most come with the usual deadline, and so go to its end. */
#include "server/scheduler/items.h"

void srv_items_put(struct srv_items *l, struct srv_work_item *t)
{
    struct srv_work_item *before = l->last;
    while (before && before->deadline_ns > t->deadline_ns)
        before = before->prev;
    t->prev = before;
    t->next = before ? before->next : l->first;
    if (t->next)
        t->next->prev = t;
    else
        l->last = t;
    if (before)
        before->next = t;
    else
        l->first = t;
    l->n++;
}

struct srv_work_item *srv_items_take(struct srv_items *l)
{
    struct srv_work_item *t = l->first;
    if (!t)
        return NULL;
    l->first = t->next;
    if (l->first)
        l->first->prev = NULL;
    else
        l->last = NULL;
    l->n--;
    t->next = NULL;
    return t;
}

struct srv_work_item *srv_items_expire(struct srv_items *l, uint64_t now, uint64_t *ret_next)
{
    struct srv_work_item *late = NULL, **tail = &late;
    while (l->first && l->first->deadline_ns <= now) {
        struct srv_work_item *t = srv_items_take(l);
        t->late = 1;
        *tail = t;
        tail = &t->next;
    }
    if (l->first && l->first->deadline_ns < *ret_next)
        *ret_next = l->first->deadline_ns;
    return late;
}
