/* Families and the default of what folder.c has read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/repository/folder.h"
#include "server/repository/registry.h"

static int make_families(struct srv_registry *r)
{
    struct srv_model **all = calloc((size_t)r->n_services + 1, sizeof(struct srv_model *));
    r->families = calloc((size_t)r->n_services + 1, sizeof(struct srv_family *));
    int rc = 0;
    if (!all || !r->families) {
        rc = -ENOMEM;
        goto done;
    }
    for (int i = 0; i < r->n_services; i++)
        all[i] = r->services[i].standard;
    for (int i = 0; i < r->n_services; i++) {
        const char *name = all[i]->info->family;
        if (!name[0] || srv_registry_family(r, name))
            continue;
        rc = srv_family_create(&r->families[r->n_families], all, r->n_services, name);
        if (rc < 0)
            break;
        r->n_families++;
    }
done:
    free(all);
    return rc;
}

static int refuse_empty(const struct srv_registry *r, const struct srv_registry_options *o,
                        char *err, size_t errlen)
{
    if (r->n_failures == 0) {
        snprintf(err, errlen,
                 "no models in %s (expected NAME/VERSION/ folders; deploy/pull gets some)", o->dir);
        return -ENOENT;
    }
    snprintf(err, errlen, "no model of %s can be served: %s/%s: %s", o->dir, r->failures[0].name,
             r->failures[0].version, r->failures[0].error);
    return -EINVAL;
}

/* A new model, taught by anybody or copied in, must not come before the one that answered so far
 * because its name does. */
static const char *default_name(const struct srv_registry *r, const struct srv_registry_options *o,
                                const struct srv_registry *old)
{
    if (o->default_model[0])
        return o->default_model;
    if (old && old->default_name[0] && !o->default_anew)
        return old->default_name;
    if (r->n == 0)
        return "";
    const struct eng_model_info *first = r->services[0].standard->info;
    return first->family[0] ? first->family : first->name;
}

static int choose_default(struct srv_registry *r, const struct srv_registry_options *o,
                          const struct srv_registry *old, char *err, size_t errlen)
{
    struct srv_choice c;
    int may_lack = o->change != SRV_CHANGE_ALL || r->n_unloaded > 0;
    r->fallback_name = "";
    r->default_name = strdup(default_name(r, o, old));
    if (!r->default_name) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    if (r->n == 0)
        return may_lack ? 0 : refuse_empty(r, o, err, errlen);
    if (srv_registry_choose(r, r->default_name, "", &c) == 0) {
        r->fallback = c.model;
        r->fallback_name = c.called;
        r->fallback_family = c.family;
        return 0;
    }
    if (may_lack || !o->default_model[0])
        return 0;
    snprintf(err, errlen, "default_model = %s is neither a model nor a family of %s",
             r->default_name, o->dir);
    return -ENOENT;
}

int srv_registry_load(struct srv_registry **ret, const struct srv_registry_options *options,
                      const struct srv_registry *old, char *err, size_t errlen)
{
    struct srv_registry *r = calloc(1, sizeof(*r));
    if (!r) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    int rc = srv_folder_read(r, options, old, err, errlen);
    if (rc == 0)
        rc = make_families(r);
    if (rc == 0)
        rc = choose_default(r, options, old, err, errlen);
    if (rc < 0) {
        srv_registry_destroy(r);
        return rc;
    }
    *ret = r;
    return 0;
}
