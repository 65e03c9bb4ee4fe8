/* A family: the models whose manifests name it, best first, that answer under its name. Which of
 * them a batch runs is decided by the brown-out (brownout.h).
 *
 * Requests and the registry hold references. Belongs to the loop thread, but for `level`, which
 * workers read under the pool's lock. */
#ifndef SRV_FAMILY_H
#define SRV_FAMILY_H

#include "server/repository/model.h"

enum { SRV_VARIANTS_MAX = 16 };

struct srv_control;

struct srv_family {
    int refs;
    const char *name; /* of its models */
    int n;
    struct srv_model *variants[SRV_VARIANTS_MAX]; /* best first; holds a reference of each */
    int level; /* what runs now; written by the loop under the pool's lock */

    struct srv_control *control; /* the brown-out's; malloc'ed, and goes with the family */
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

#endif
