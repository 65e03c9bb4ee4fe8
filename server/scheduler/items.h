/* Work items that wait for a worker, the earliest deadline first. Under the lock of whoever has the
 * list. */
#ifndef SRV_ITEMS_H
#define SRV_ITEMS_H

#include <stddef.h>
#include <stdint.h>

struct srv_req;

/* A piece of work on a request's bytes that is too long for the loop. */
struct srv_work_item {
    struct srv_work_item *next, *prev;
    struct srv_req *req;
    void (*run)(struct srv_req *r, void *arg);  /* on a worker */
    void (*back)(struct srv_req *r, void *arg); /* on the loop */
    void *arg;
    uint64_t deadline_ns;
    int late; /* it was past that before a worker had it, and did not run */
};

struct srv_items {
    struct srv_work_item *first, *last;
    size_t n;
};

/* Behind those of the same deadline. */
void srv_items_put(struct srv_items *l, struct srv_work_item *t);
struct srv_work_item *srv_items_take(struct srv_items *l); /* NULL: none */
/* Those that are late, linked by `next`; *ret_next is lowered to the next deadline. */
struct srv_work_item *srv_items_expire(struct srv_items *l, uint64_t now, uint64_t *ret_next);

#endif
