/* The budget's sum is exact: it is raised by compare and swap. An account may come a little over
 * its share where two threads charge it at once, for the share is no promise. */
#include "server/base/account.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const srv_use_names[SRV_USES] = {"request", "message", "inflated",
                                             "picture", "answer",  "stream"};

static size_t read_size(const atomic_size_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(atomic_size_t *to, size_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static void sub(atomic_size_t *from, size_t n)
{
    atomic_fetch_sub_explicit(from, n, memory_order_relaxed);
}

/* ---- the budget ---- */

void srv_budget_init(struct srv_budget *b, size_t limit)
{
    atomic_init(&b->limit, limit);
    atomic_init(&b->used, 0);
    for (int i = 0; i < SRV_USES; i++)
        atomic_init(&b->of[i], 0);
    atomic_init(&b->refusals, 0);
    b->keys = NULL;
}

void srv_budget_set_limit(struct srv_budget *b, size_t limit)
{
    atomic_store_explicit(&b->limit, limit, memory_order_relaxed);
}

size_t srv_budget_most(const struct srv_budget *b)
{
    return read_size(&b->limit) / 4; /* a = (1 - a)^4 at a = 0.2755 */
}

/* ---- accounts ---- */

struct srv_account *srv_account_create(struct srv_budget *b)
{
    struct srv_account *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->budget = b;
    a->refs = 1;
    atomic_init(&a->used, 0);
    return a;
}

struct srv_account *srv_account_of_key(struct srv_budget *b, const char *name)
{
    for (struct srv_account *a = b->keys; a; a = a->next)
        if (strncmp(a->name, name, sizeof(a->name) - 1) == 0)
            return srv_account_ref(a);
    struct srv_account *a = srv_account_create(b);
    if (!a)
        return NULL;
    snprintf(a->name, sizeof(a->name), "%s", name);
    a->next = b->keys;
    if (a->next)
        a->next->prev = a;
    b->keys = a;
    return a;
}

struct srv_account *srv_account_ref(struct srv_account *a)
{
    if (a)
        a->refs++;
    return a;
}

void srv_account_unref(struct srv_account *a)
{
    if (!a || --a->refs > 0)
        return;
    if (a->prev)
        a->prev->next = a->next;
    else if (a->budget->keys == a)
        a->budget->keys = a->next;
    if (a->next)
        a->next->prev = a->prev;
    free(a);
}

/* ---- charges ---- */

/* Nobody else is to be left with nothing. */
static size_t share_of(size_t left, size_t limit)
{
    double part = limit ? (double)left / (double)limit : 0;
    return (size_t)(part * part * part * part * (double)limit);
}

static int has_share(const struct srv_account *a, size_t n, size_t share)
{
    return !a || read_size(&a->used) + n <= share;
}

static int refuse(struct srv_budget *b)
{
    atomic_fetch_add_explicit(&b->refusals, 1, memory_order_relaxed);
    return -EDQUOT;
}

static void enter(const struct srv_payer *p, enum srv_use use, size_t n)
{
    add(&p->budget->of[use], n);
    if (p->connection)
        add(&p->connection->used, n);
    if (p->key)
        add(&p->key->used, n);
}

int srv_charge(const struct srv_payer *p, enum srv_use use, size_t n)
{
    struct srv_budget *b = p->budget;
    size_t limit = read_size(&b->limit), used = read_size(&b->used);
    do {
        if (n > limit || used > limit - n)
            return refuse(b);
        size_t share = share_of(limit - used - n, limit);
        if (!has_share(p->connection, n, share) || !has_share(p->key, n, share))
            return refuse(b);
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    enter(p, use, n);
    return 0;
}

int srv_charge_briefly(struct srv_budget *b, enum srv_use use, size_t n)
{
    const struct srv_payer p = {b, NULL, NULL};
    size_t limit = read_size(&b->limit), used = read_size(&b->used);
    if (n > limit / 2)
        return -EFBIG;
    if (used > limit || n > (limit - used) / 2)
        return refuse(b);
    return srv_charge(&p, use, n);
}

void srv_charge_anyway(const struct srv_payer *p, enum srv_use use, size_t n)
{
    add(&p->budget->used, n);
    enter(p, use, n);
}

void srv_discharge(const struct srv_payer *p, enum srv_use use, size_t n)
{
    sub(&p->budget->used, n);
    sub(&p->budget->of[use], n);
    if (p->connection)
        sub(&p->connection->used, n);
    if (p->key)
        sub(&p->key->used, n);
}

int srv_charge_change(const struct srv_payer *p, enum srv_use use, size_t from, size_t to)
{
    if (to > from)
        return srv_charge(p, use, to - from);
    srv_discharge(p, use, from - to);
    return 0;
}
