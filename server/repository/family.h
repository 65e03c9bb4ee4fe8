/* A family: the models whose manifests name it, best first, that answer under its name. Which of
 * them a batch runs is decided by the control law of ladder.h.
 *
 * Requests and the registry hold references. Belongs to the loop thread, but for `level`, which
 * workers read under the pool's lock. */
#ifndef SRV_FAMILY_H
#define SRV_FAMILY_H

#include "server/base/histogram.h"
#include "server/scheduler/ladder.h"
#include "server/repository/model.h"

struct srv;

struct srv_family {
    int refs;
    const char *name; /* of its models */
    int n;
    struct srv_model *variants[SRV_LADDER_MAX]; /* best first; holds a reference of each */
    int level; /* what runs now; written by the loop under the pool's lock */

    struct srv_ladder law;
    double cost_ns[SRV_LADDER_MAX]; /* full path of an image: moving averages; 0 = none seen */
    struct srv_histogram recent[2]; /* time to the answer, since the last switch */
    uint64_t window_ns;             /* start of recent[0] */
    uint64_t degraded, opted_out;   /* images answered by a lower variant; refused instead */
};

/* Makes the family of `head`, the best model of it, from all models; -ENOMEM. Variants need the
 * classes of the head and fewer multiply-adds than the one above. */
int srv_family_create(struct srv_family **ret, struct srv_model *const *models, int n,
                      const char *name);
struct srv_family *srv_family_ref(struct srv_family *f); /* f */
void srv_family_unref(struct srv_family *f);             /* NULL is fine */

/* The level of a variant by its name in the manifest or by the model's; -ENOENT. */
int srv_family_level(const struct srv_family *f, const char *name);
/* The one to run for a request that may go down to `floor`. */
static inline struct srv_model *srv_family_variant(const struct srv_family *f, int floor)
{
    return f->variants[f->level < floor ? f->level : floor];
}

/* After a reload: goes on where the old family of this name was. */
void srv_family_inherit(struct srv_family *f, const struct srv_family *old);

#endif
