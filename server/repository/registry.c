/* What names, versions and labels mean. */
#include "server/repository/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *srv_models_dir(const char *option)
{
    struct stat st;
    if (option[0])
        return option;
    return stat("models", &st) == 0 && S_ISDIR(st.st_mode) ? "models"
                                                           : "/var/lib/mobilenetd/models";
}

struct srv_family *srv_registry_family(const struct srv_registry *r, const char *name)
{
    for (int i = 0; i < r->n_families; i++)
        if (strcmp(r->families[i]->name, name) == 0)
            return r->families[i];
    return NULL;
}

void srv_registry_destroy(struct srv_registry *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_families; i++)
        srv_family_unref(r->families[i]);
    for (int i = 0; i < r->n; i++)
        srv_model_unref(r->models[i]);
    for (int i = 0; i < r->n_failures; i++) {
        free(r->failures[i].name);
        free(r->failures[i].version);
        free(r->failures[i].error);
    }
    for (int i = 0; i < r->n_unloaded; i++)
        free(r->unloaded[i]);
    free(r->unloaded);
    free(r->default_name);
    free(r->failures);
    free(r->services);
    free(r->models);
    free(r->families);
    free(r);
}

static void inherit_label(struct srv_label *l, const struct srv_service *old)
{
    for (int i = 0; i < old->n_labels; i++) {
        const struct srv_label *o = &old->labels[i];
        if (strcmp(o->name, l->name) != 0)
            continue;
        l->share_due = o->share_due;
        l->compare_due = o->compare_due;
        l->requests = o->requests;
        l->compared = o->compared;
        l->disagreed = o->disagreed;
        l->uncompared = o->uncompared;
    }
}

void srv_registry_inherit(struct srv_registry *next, const struct srv_registry *old)
{
    for (int i = 0; i < next->n_services; i++) {
        struct srv_service *s = &next->services[i];
        const struct srv_service *o = srv_registry_service(old, s->name);
        for (int k = 0; o && k < s->n_labels; k++)
            inherit_label(&s->labels[k], o);
    }
}

/* ---- finding ---- */

struct srv_service *srv_registry_service(const struct srv_registry *r, const char *name)
{
    for (int i = 0; i < r->n_services; i++)
        if (strcmp(r->services[i].name, name) == 0)
            return &r->services[i];
    return NULL;
}

struct srv_label *srv_registry_label(const struct srv_registry *r, const char *name,
                                     const char *label)
{
    struct srv_service *s = srv_registry_service(r, name);
    for (int i = 0; s && i < s->n_labels; i++)
        if (strcmp(s->labels[i].name, label) == 0)
            return &s->labels[i];
    return NULL;
}

const struct srv_model_failure *srv_registry_failure(const struct srv_registry *r, const char *name,
                                                     const char *version)
{
    for (int i = 0; i < r->n_failures; i++)
        if (strcmp(r->failures[i].name, name) == 0 &&
            (!version || strcmp(r->failures[i].version, version) == 0))
            return &r->failures[i];
    return NULL;
}

/* NAME is FAMILY_VARIANT. */
static int is_variant(const struct eng_model_info *m, const char *name)
{
    size_t len = strlen(m->family);
    return len > 0 && strncmp(name, m->family, len) == 0 && name[len] == '_' &&
           strcmp(name + len + 1, m->variant) == 0;
}

static int choose_name(const struct srv_registry *r, const char *name, struct srv_choice *ret)
{
    struct srv_service *s = srv_registry_service(r, name);
    for (int i = 0; !s && !srv_registry_family(r, name) && i < r->n_services; i++)
        if (is_variant(r->services[i].standard->info, name))
            s = &r->services[i];
    if (s) {
        *ret = (struct srv_choice){
            .model = s->standard, .called = s->standard->info->name, .service = s};
        return 0;
    }
    struct srv_family *f = srv_registry_family(r, name);
    if (!f)
        return -ENOENT;
    *ret = (struct srv_choice){.model = f->variants[0], .called = f->name, .family = f};
    ret->service = srv_registry_service(r, f->variants[0]->info->name);
    return 0;
}

/* The name that was asked for, in words of the model that lives on with the request. */
static void name_model(struct srv_choice *c, struct srv_model *m)
{
    c->called =
        c->family && strcmp(c->called, m->info->family) == 0 ? m->info->family : m->info->name;
    c->model = m;
    c->family = NULL; /* who gets a version gets no other */
}

static int choose_version(const struct srv_registry *r, const char *version, struct srv_choice *ret)
{
    struct srv_service *s = ret->service;
    struct srv_model *m = NULL;
    for (int i = 0; i < s->n_labels; i++)
        if (strcmp(s->labels[i].name, version) == 0) {
            ret->label = &s->labels[i];
            m = s->labels[i].model;
        }
    for (int i = s->first; !m && i < s->first + s->n; i++)
        if (strcmp(r->models[i]->info->version, version) == 0)
            m = r->models[i];
    if (!m && strcmp(version, "stable") == 0)
        m = s->standard;
    if (!m)
        return -ESRCH;
    name_model(ret, m);
    return 0;
}

int srv_registry_choose(const struct srv_registry *r, const char *name, const char *version,
                        struct srv_choice *ret)
{
    struct srv_choice c = {.model = r->fallback};
    int rc = 0;
    if (name[0])
        rc = choose_name(r, name, &c);
    else if (!r->fallback)
        rc = -ENOENT;
    else {
        c.called = r->fallback_name;
        c.family = r->fallback_family;
        c.service = srv_registry_service(r, c.model->info->name);
    }
    c.pinned = version[0] != 0;
    if (rc == 0 && c.pinned)
        rc = choose_version(r, version, &c);
    if (rc == 0)
        *ret = c;
    return rc;
}

void srv_registry_share(struct srv_choice *c)
{
    struct srv_service *s = c->service;
    if (c->pinned || (c->family && c->family->level > 0))
        return; /* what is degraded is not compared with what is not */
    for (int i = 0; i < s->n_labels; i++) {
        struct srv_label *l = &s->labels[i];
        l->share_due += l->share;
        if (l->share_due < 1 || c->label)
            continue;
        l->share_due -= 1;
        c->label = l;
        name_model(c, l->model);
    }
}

struct srv_model *srv_registry_find(const struct srv_registry *r, const char *name,
                                    const char **ret_name)
{
    struct srv_choice c;
    if (srv_registry_choose(r, name, "", &c) < 0)
        return NULL;
    *ret_name = c.called;
    return c.model;
}

/* 0: there is no room for it, and "…" stands there. */
static int add_name(const char *name, char *ret, size_t retlen)
{
    size_t used = strlen(ret);
    int whole = used + strlen(name) + sizeof(", , \u2026") < retlen;
    snprintf(ret + used, retlen - used, "%s%s", used ? ", " : "", whole ? name : "\u2026");
    return whole;
}

void srv_registry_names(const struct srv_registry *r, char *ret, size_t retlen)
{
    int room = 1;
    ret[0] = 0;
    for (int i = 0; i < r->n_families && room; i++)
        room = add_name(r->families[i]->name, ret, retlen);
    for (int i = 0; i < r->n_services && room; i++)
        room = add_name(r->services[i].name, ret, retlen);
}
