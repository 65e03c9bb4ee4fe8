/* What clients make the server hold, in bytes, charged before it is allocated: one budget (option
 * max_inflight_bytes) with an account for each connection and each key.
 *
 * What an account may hold follows what is left of the budget: with the part x left, x^4 of the
 * whole. One alone gets a quarter; after 4, 20 and 150 that take all they get and keep it, who
 * comes next may still have 1/30, 1/240 and 1/3500 of the budget. A share in proportion to what is
 * left (dynamic thresholds: A. K. Choudhury, E. L. Hahne, "Dynamic queue length thresholds for
 * shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998) would be taken to
 * nothing by as few as ten, since nobody can be made to give back.
 *
 * Any thread charges and discharges; accounts are made, looked for and dropped on the loop. */
#ifndef SRV_ACCOUNT_H
#define SRV_ACCOUNT_H

#include <stdatomic.h>
#include <stddef.h>

enum srv_use {
    SRV_USE_REQUEST,  /* bodies that came, tensors and jobs made of them, rows of answers */
    SRV_USE_MESSAGE,  /* gRPC messages that are not complete, bytes that are not looked at yet */
    SRV_USE_INFLATED, /* bodies that came compressed */
    SRV_USE_PICTURE,  /* pictures that must be decoded as a whole */
    SRV_USE_ANSWER,   /* written and not sent */
    SRV_USE_STREAM,   /* of HTTP/2, whatever it does */
    SRV_USES
};
extern const char *const srv_use_names[SRV_USES]; /* "request", … */

enum { SRV_ACCOUNT_NAME_MAX = 64 };

struct srv_budget {
    atomic_size_t limit, used, of[SRV_USES];
    atomic_ullong refusals;
    struct srv_account *keys; /* those with something open, linked by `next` */
};

struct srv_account {
    struct srv_account *next, *prev; /* of keys */
    struct srv_budget *budget;
    int refs;
    atomic_size_t used;
    char name[SRV_ACCOUNT_NAME_MAX]; /* of a key */
};

/* Who pays. connection and key may be NULL: the budget's limit alone counts. */
struct srv_payer {
    struct srv_budget *budget;
    struct srv_account *connection, *key;
};

void srv_budget_init(struct srv_budget *b, size_t limit);
void srv_budget_set_limit(struct srv_budget *b, size_t limit); /* what is charged stays */
/* What one account that is alone may always hold: a quarter. */
size_t srv_budget_most(const struct srv_budget *b);

/* With one reference; NULL: out of memory. All references are back before the budget goes. */
struct srv_account *srv_account_create(struct srv_budget *b);
/* That of a key, with a reference more. NULL: out of memory. */
struct srv_account *srv_account_of_key(struct srv_budget *b, const char *name);
struct srv_account *srv_account_ref(struct srv_account *a); /* NULL is fine, here and below */
void srv_account_unref(struct srv_account *a);

/* 0, or -EDQUOT: there is no room now, and nothing is charged. */
int srv_charge(const struct srv_payer *p, enum srv_use use, size_t n);
/* For what is soon given back, whoever it is for: not more than half of what is left. -EDQUOT;
 * -EFBIG: nor could it ever. */
int srv_charge_briefly(struct srv_budget *b, enum srv_use use, size_t n);
/* What is there already, or is small and must be said. */
void srv_charge_anyway(const struct srv_payer *p, enum srv_use use, size_t n);
void srv_discharge(const struct srv_payer *p, enum srv_use use, size_t n);
/* A block changes its size; to shrink is never refused. */
int srv_charge_change(const struct srv_payer *p, enum srv_use use, size_t from, size_t to);

#endif
