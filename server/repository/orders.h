/* What is to be done about the models that are served: a list in the order in which it came, of
 * which the first is being carried out. Whoever `changed` wakes carries them out, one after the
 * other, on a thread of its own, and puts the result into force. Loop thread. */
#ifndef SRV_ORDERS_H
#define SRV_ORDERS_H

#include "server/base/wake.h"
#include "server/repository/registry.h"

enum { SRV_ORDERS_MAX = 256 };

enum srv_order_kind {
    SRV_ORDER_EVERYTHING, /* configuration, keys, certificates, models are read again */
    SRV_ORDER_MODELS,     /* those of the whole repository */
    SRV_ORDER_CHANGE,     /* one is loaded or unloaded */
    SRV_ORDER_LOOK,       /* has the repository changed? */
};

/* Called once, on the loop, never from srv_orders_change() itself: status is 0, or in HTTP's
 * numbers with a sentence. */
typedef void srv_ordered_fn(void *arg, int status, const char *sentence);

struct srv_order {
    struct srv_order *next;
    enum srv_order_kind kind;
    enum srv_change change;
    char name[256];       /* of a model */
    srv_ordered_fn *done; /* NULL: nobody waits for it */
    void *arg;
};

struct srv_orders {
    struct srv_order *first, **tail;
    int n;
    struct srv_wake changed; /* started by who carries them out */

    /* counted by who carries them out */
    uint64_t reloads, reload_failures;
    uint64_t loads, unloads; /* by calls */
};

void srv_orders_init(struct srv_orders *l);
/* Forgets what is left, and frees it. The handle of `changed` is closed. */
void srv_orders_finish(struct srv_orders *l);

/* Loads (1) or unloads (0) the model of this name. Returns a handle for srv_order_forget(); NULL:
 * too many wait, or out of memory. */
struct srv_order *srv_orders_change(struct srv_orders *l, const char *name, int load,
                                    srv_ordered_fn *done, void *arg);
/* Nobody waits for the answer any more: `done` will not be called. */
void srv_order_forget(struct srv_order *o);

/* ---- for who carries them out ---- */

/* Without an answer; NULL as above. */
struct srv_order *srv_orders_add(struct srv_orders *l, enum srv_order_kind kind);
void srv_order_answer(struct srv_order *o, int status, const char *sentence);
/* The first one is over. */
void srv_orders_drop_first(struct srv_orders *l);
/* The server stops: whoever waits is told so. */
void srv_orders_abort(struct srv_orders *l);

#endif
