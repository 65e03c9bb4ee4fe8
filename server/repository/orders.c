/* A list with a bound. */
#include "server/repository/orders.h"

#include <stdio.h>
#include <stdlib.h>

void srv_orders_init(struct srv_orders *l)
{
    l->tail = &l->first;
}

void srv_orders_finish(struct srv_orders *l)
{
    while (l->first)
        srv_orders_drop_first(l);
    srv_wake_finish(&l->changed);
}

struct srv_order *srv_orders_add(struct srv_orders *l, enum srv_order_kind kind)
{
    struct srv_order *o = l->n < SRV_ORDERS_MAX ? calloc(1, sizeof(*o)) : NULL;
    if (!o)
        return NULL;
    o->kind = kind;
    *l->tail = o;
    l->tail = &o->next;
    l->n++;
    return o;
}

struct srv_order *srv_orders_change(struct srv_orders *l, const char *name, int load,
                                    srv_ordered_fn *done, void *arg)
{
    struct srv_order *o = srv_orders_add(l, SRV_ORDER_CHANGE);
    if (!o)
        return NULL;
    o->change = load ? SRV_CHANGE_LOAD : SRV_CHANGE_UNLOAD;
    snprintf(o->name, sizeof(o->name), "%s", name);
    o->done = done;
    o->arg = arg;
    srv_wake_send(&l->changed);
    return o;
}

void srv_order_forget(struct srv_order *o)
{
    o->done = NULL;
}

void srv_order_answer(struct srv_order *o, int status, const char *sentence)
{
    srv_ordered_fn *done = o->done;
    o->done = NULL;
    if (done)
        done(o->arg, status, sentence);
}

void srv_orders_drop_first(struct srv_orders *l)
{
    struct srv_order *o = l->first;
    l->first = o->next;
    if (!l->first)
        l->tail = &l->first;
    l->n--;
    free(o);
}

void srv_orders_abort(struct srv_orders *l)
{
    for (struct srv_order *o = l->first; o; o = o->next)
        srv_order_answer(o, 503, "the server is stopping");
}
