/* Variants in the order of their multiply-adds, which is that of their accuracy. */
#include "server/repository/family.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOO_DEAR                                                                                   \
    1.25 /* a lower variant that costs so much more than the one above is of no use                \
          */

static int classes(const struct srv_model *m)
{
    return m->info->outputs - m->info->class_offset;
}

static int answers_alike(const struct srv_model *a, const struct srv_model *b)
{
    return classes(a) == classes(b) && a->info->activation == b->info->activation &&
           !a->info->no_classes[0] == !b->info->no_classes[0];
}

/* Of several with the same multiply-adds the fastest. */
static int is_better(const struct srv_model *a, const struct srv_model *b)
{
    if (a->info->mult_adds != b->info->mult_adds)
        return a->info->mult_adds > b->info->mult_adds;
    return a->run_ns < b->run_ns;
}

/* The best of the family that is worse than `above` (NULL: of all). */
static struct srv_model *next_below(struct srv_model *const *models, int n, const char *name,
                                    const struct srv_model *above)
{
    struct srv_model *best = NULL;
    for (int i = 0; i < n; i++) {
        struct srv_model *m = models[i];
        if (strcmp(m->info->family, name) != 0 ||
            (above && (m->info->mult_adds >= above->info->mult_adds || !answers_alike(m, above) ||
                       m->run_ns > above->run_ns * TOO_DEAR)))
            continue;
        if (!best || is_better(m, best))
            best = m;
    }
    return best;
}

int srv_family_create(struct srv_family **ret, struct srv_model *const *models, int n,
                      const char *name)
{
    struct srv_family *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    struct srv_model *m = NULL;
    while (f->n < SRV_VARIANTS_MAX && (m = next_below(models, n, name, m)))
        f->variants[f->n++] = srv_model_ref(m);
    f->refs = 1;
    f->name = f->n > 0 ? f->variants[0]->info->family : "";
    *ret = f;
    return 0;
}

struct srv_family *srv_family_ref(struct srv_family *f)
{
    f->refs++;
    return f;
}

void srv_family_unref(struct srv_family *f)
{
    if (!f || --f->refs > 0)
        return;
    for (int i = 0; i < f->n; i++)
        srv_model_unref(f->variants[i]);
    free(f->control);
    free(f);
}

int srv_family_level(const struct srv_family *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->variants[i]->info->variant, name) == 0 ||
            strcmp(f->variants[i]->info->name, name) == 0)
            return i;
    return -ENOENT;
}
