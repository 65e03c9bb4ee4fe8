/* A broken version is a failure on the list and leaves all others in service: the next lower one
 * where the latest are asked for, and what was served before where nothing else is left. */
#include "server/repository/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/repository/golden.h"
#include "server/repository/warm.h"

enum { PATH = 4096, VERSION_MAX = 24 };

struct reader {
    struct srv_registry *r;
    const struct srv_registry_options *o;
    const struct srv_registry *old;
};

static int is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- stamps ---- */

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++) /* FNV-1a */
        h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return h;
}

/* Order-independent mix of every file's name, size, inode and time of change; `depth` folders deep.
 */
static uint64_t folder_stamp(const char *dir, int depth)
{
    uint64_t stamp = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH];
        struct stat st;
        if (e->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= PATH ||
            stat(path, &st) < 0)
            continue;
        const uint64_t words[] = {(uint64_t)st.st_size, st.st_ino, (uint64_t)st.st_mtim.tv_sec,
                                  (uint64_t)st.st_mtim.tv_nsec,
                                  depth > 0 && S_ISDIR(st.st_mode) ? folder_stamp(path, depth - 1)
                                                                   : 0};
        stamp +=
            mix(mix(14695981039346656037u, e->d_name, strlen(e->d_name)), words, sizeof(words));
    }
    if (d)
        closedir(d);
    return stamp;
}

uint64_t srv_folder_stamp(const char *dir)
{
    return folder_stamp(dir, 2);
}

/* ---- paths ---- */

static int downwards(const void *a, const void *b)
{
    unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;
    return (x < y) - (x > y);
}

/* The versions of a folder, highest first; how many. */
static int list_versions(const char *dir, unsigned long **ret)
{
    unsigned long *all = NULL;
    int n = 0, room = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        unsigned long v = srv_version_number(e->d_name);
        char path[PATH];
        if (v == 0 || snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= PATH ||
            !is_dir(path))
            continue;
        if (n == room) {
            room = room ? room * 2 : 16;
            unsigned long *more = realloc(all, (size_t)room * sizeof(*all));
            if (!more) {
                free(all);
                closedir(d);
                return -ENOMEM;
            }
            all = more;
        }
        all[n++] = v;
    }
    if (d)
        closedir(d);
    if (n > 0)
        qsort(all, (size_t)n, sizeof(*all), downwards);
    *ret = all;
    return n;
}

static int is_single(const struct srv_registry_options *o)
{
    return o->single && o->single[0];
}

static int has_version_folders(const char *dir)
{
    unsigned long *versions = NULL;
    int n = list_versions(dir, &versions);
    free(versions);
    return n > 0;
}

/* Of a name, of which a single model has the whole folder. 0, or -ENAMETOOLONG. */
static int name_path(const struct reader *g, const char *name, char path[PATH])
{
    int n = is_single(g->o) ? snprintf(path, PATH, "%s", g->o->dir)
                            : snprintf(path, PATH, "%s/%s", g->o->dir, name);
    return n < PATH ? 0 : -ENAMETOOLONG;
}

/* A single model's version 1 may be that folder itself. */
static int version_path(const struct reader *g, const char *name, const char *version,
                        char path[PATH])
{
    char dir[PATH];
    if (name_path(g, name, dir) < 0)
        return -ENAMETOOLONG;
    int flat = is_single(g->o) && !has_version_folders(dir);
    int n = flat ? snprintf(path, PATH, "%s", dir) : snprintf(path, PATH, "%s/%s", dir, version);
    return n < PATH ? 0 : -ENAMETOOLONG;
}

/* ---- what the registry is made of ---- */

static int add_failure(struct srv_registry *r, const char *name, const char *version,
                       const char *error)
{
    struct srv_model_failure *f =
        realloc(r->failures, (size_t)(r->n_failures + 1) * sizeof(*r->failures));
    if (!f)
        return -ENOMEM;
    r->failures = f;
    f += r->n_failures++;
    *f = (struct srv_model_failure){strdup(name), strdup(version), strdup(error)};
    return f->name && f->version && f->error ? 0 : -ENOMEM;
}

static int add_model(struct srv_registry *r, struct srv_model *m_take)
{
    struct srv_model **all = realloc(r->models, (size_t)(r->n + 1) * sizeof(struct srv_model *));
    if (!all) {
        srv_model_unref(m_take);
        return -ENOMEM;
    }
    r->models = all;
    all[r->n++] = m_take;
    return 0;
}

static int add_unloaded(struct srv_registry *r, const char *name)
{
    char **all = realloc(r->unloaded, (size_t)(r->n_unloaded + 1) * sizeof(char *));
    if (!all)
        return -ENOMEM;
    r->unloaded = all;
    all[r->n_unloaded] = strdup(name);
    return all[r->n_unloaded++] ? 0 : -ENOMEM;
}

static int is_unloaded(const struct srv_registry *r, const char *name)
{
    for (int i = 0; r && i < r->n_unloaded; i++)
        if (strcmp(r->unloaded[i], name) == 0)
            return 1;
    return 0;
}

/* The service of the models from `first` on; its labels follow. */
static struct srv_service *add_service(struct srv_registry *r, int first)
{
    struct srv_service *all =
        realloc(r->services, (size_t)(r->n_services + 1) * sizeof(*r->services));
    if (!all)
        return NULL;
    r->services = all;
    struct srv_service *s = &all[r->n_services++];
    *s = (struct srv_service){.name = r->models[first]->info->name,
                              .first = first,
                              .n = r->n - first,
                              .standard = r->models[first]};
    return s;
}

/* ---- what stays ---- */

static struct srv_model *find_old(const struct reader *g, const char *name, const char *version)
{
    for (int i = 0; g->old && i < g->old->n; i++) {
        struct srv_model *m = g->old->models[i];
        if (strcmp(m->info->name, name) == 0 && strcmp(m->info->version, version) == 0)
            return m;
    }
    return NULL;
}

static int keep_service(const struct reader *g, const struct srv_service *s)
{
    struct srv_registry *r = g->r;
    int first = r->n, rc = 0;
    for (int i = 0; i < s->n; i++) {
        rc = add_model(r, srv_model_ref(g->old->models[s->first + i]));
        if (rc < 0)
            break;
    }
    struct srv_service *mine = rc == 0 ? add_service(r, first) : NULL;
    if (!mine)
        return -ENOMEM;
    mine->standard = s->standard;
    for (int i = 0; i < s->n_labels; i++) {
        const struct srv_label *l = &s->labels[i];
        struct srv_label *to = &mine->labels[mine->n_labels++];
        snprintf(to->name, sizeof(to->name), "%s", l->name);
        to->model = l->model;
        to->share = l->share;
        to->compare = l->compare;
    }
    return 0;
}

static int keep_name(const struct reader *g, const char *name)
{
    const struct srv_service *s = g->old ? srv_registry_service(g->old, name) : NULL;
    return s ? keep_service(g, s) : 0;
}

/* ---- one version ---- */

struct place {
    const char *dir, *name, *version;
    uint64_t stamp;
};

static int load_model(struct srv_model **ret, const struct place *p,
                      const struct srv_registry_options *o, char *err, size_t errlen)
{
    struct eng_model *eng;
    struct srv_model *m;
    struct eng_model_options options = {.cpu_bits = o->cpu_bits,
                                        .max_file_bytes = o->max_model_file,
                                        .name = p->name,
                                        .version = p->version};
    int rc = eng_model_load(&eng, p->dir, &options, err, errlen);
    if (rc < 0)
        return rc;
    rc = srv_model_create(&m, eng, p->stamp);
    if (rc < 0) {
        eng_model_unref(eng);
        snprintf(err, errlen, "out of memory");
        return rc;
    }
    rc = srv_model_warm(m, o->max_batch, o->workers, err, errlen);
    if (rc == 0)
        rc = srv_golden_check(m, p->dir, o->cpu_bits, err, errlen);
    if (rc < 0) {
        srv_model_unref(m);
        return rc;
    }
    *ret = m;
    return 0;
}

/* 1: it is served, from now on or from before; 0: not. */
static int add_version(const struct reader *g, const char *name, unsigned long number)
{
    char dir[PATH], version[VERSION_MAX], err[256] = "";
    snprintf(version, sizeof(version), "%lu", number);
    if (version_path(g, name, version, dir) < 0)
        return add_failure(g->r, name, version, "its path is too long");
    uint64_t stamp = folder_stamp(dir, 0);
    struct srv_model *old = find_old(g, name, version), *m = NULL;
    int rc = 0;
    if (old && old->stamp == stamp)
        m = srv_model_ref(old);
    else if ((rc = load_model(&m, &(struct place){dir, name, version, stamp}, g->o, err,
                              sizeof(err))) < 0) {
        rc = add_failure(g->r, name, version, err[0] ? err : strerror(-rc));
        if (rc < 0 || !old)
            return rc;
        m = srv_model_ref(old);
    }
    rc = add_model(g->r, m);
    return rc < 0 ? rc : 1;
}

/* ---- one name ---- */

static struct srv_model *served(const struct srv_registry *r, const struct srv_service *s,
                                unsigned long v)
{
    for (int i = s->first; i < s->first + s->n; i++)
        if (srv_version_number(r->models[i]->info->version) == v)
            return r->models[i];
    return NULL;
}

static int is_labelled(const struct srv_service *s, const struct srv_model *m)
{
    for (int i = 0; i < s->n_labels; i++)
        if (s->labels[i].model == m)
            return 1;
    return 0;
}

/* Standard is what is called stable, else the highest version that is called nothing, else the
 * highest. */
static void choose_standard(const struct srv_registry *r, struct srv_service *s)
{
    for (int i = 0; i < s->n_labels; i++)
        if (strcmp(s->labels[i].name, "stable") == 0) {
            s->standard = s->labels[i].model;
            return;
        }
    for (int i = s->first + s->n - 1; i >= s->first; i--)
        if (!is_labelled(s, r->models[i]))
            s->standard = r->models[i];
}

static int add_labels(struct srv_registry *r, struct srv_service *s, const struct srv_policy *p)
{
    for (int i = 0; i < p->n_labels; i++) {
        const struct srv_label_rule *rule = &p->labels[i];
        char version[VERSION_MAX], err[96];
        struct srv_model *m = served(r, s, rule->version);
        if (m) {
            struct srv_label *l = &s->labels[s->n_labels++];
            snprintf(l->name, sizeof(l->name), "%s", rule->name);
            l->model = m;
            l->share = rule->share;
            l->compare = rule->compare;
            continue;
        }
        snprintf(version, sizeof(version), "%lu", rule->version);
        if (srv_registry_failure(r, s->name, version))
            continue;
        snprintf(err, sizeof(err), "it is labelled %s, but is not among the versions to serve",
                 rule->name);
        int rc = add_failure(r, s->name, version, err);
        if (rc < 0)
            return rc;
    }
    choose_standard(r, s);
    return 0;
}

static int is_listed(const unsigned long *all, int n, unsigned long v)
{
    for (int i = 0; i < n; i++)
        if (all[i] == v)
            return 1;
    return 0;
}

static int add_missing(struct srv_registry *r, const char *name, const struct srv_policy *p,
                       const unsigned long *versions, int n)
{
    for (int i = 0; i < p->n_versions; i++) {
        char version[VERSION_MAX];
        if (is_listed(versions, n, p->versions[i]))
            continue;
        snprintf(version, sizeof(version), "%lu", p->versions[i]);
        if (add_failure(r, name, version, "there is no such folder") < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_versions(const struct reader *g, const char *name, const struct srv_policy *p,
                        const unsigned long *versions, int n)
{
    int first = g->r->n, failed = g->r->n_failures;
    for (int i = 0; i < n; i++) {
        int rc = srv_policy_wants(p, versions[i], g->r->n - first)
                     ? add_version(g, name, versions[i])
                     : 0;
        if (rc < 0)
            return rc;
    }
    int rc = add_missing(g->r, name, p, versions, n);
    if (rc < 0)
        return rc;
    if (g->r->n == first)
        return g->r->n_failures > failed ? keep_name(g, name) : 0;
    struct srv_service *s = add_service(g->r, first);
    return s ? add_labels(g->r, s, p) : -ENOMEM;
}

/* Those of a single model: without folders of versions the folder itself is version 1. */
static int single_versions(const char *dir, unsigned long **ret)
{
    int n = list_versions(dir, ret);
    if (n != 0)
        return n;
    *ret = malloc(sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    **ret = 1;
    return 1;
}

/* One NAME of the repository. Only lack of memory is an error. */
static int add_name(const struct reader *g, const char *name)
{
    char dir[PATH], err[256] = "";
    struct srv_policy policy;
    unsigned long *versions = NULL;
    if (name_path(g, name, dir) < 0)
        return add_failure(g->r, name, "", "its path is too long");
    if (!is_dir(dir))
        return 0;
    int n = is_single(g->o) ? single_versions(dir, &versions) : list_versions(dir, &versions);
    if (n <= 0) /* not a model's folder */
        return n;
    int rc = srv_policy_load(&policy, dir, err, sizeof(err));
    if (rc == 0)
        rc = add_versions(g, name, &policy, versions, n);
    else if ((rc = add_failure(g->r, name, "", err)) == 0)
        rc = keep_name(g, name);
    free(versions);
    return rc;
}

/* ---- all names ---- */

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int is_among(const char *name, struct dirent **names, int n)
{
    for (int i = 0; name && i < n; i++)
        if (strcmp(names[i]->d_name, name) == 0)
            return 1;
    return 0;
}

/* That of a folder in the repository, and nothing that leads elsewhere. */
static int is_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

static int read_single(const struct reader *g, char *err, size_t errlen)
{
    const struct srv_registry_options *o = g->o;
    if (!is_name(o->single)) {
        snprintf(err, errlen, "model_name = %s is not the name of a model", o->single);
        return -EINVAL;
    }
    if (!is_dir(o->dir)) {
        snprintf(err, errlen, "there is no folder %s with the model %s", o->dir, o->single);
        return -ENOENT;
    }
    return is_unloaded(g->old, o->single) ? add_unloaded(g->r, o->single) : add_name(g, o->single);
}

static int read_all(const struct reader *g, char *err, size_t errlen)
{
    const struct srv_registry_options *o = g->o;
    if (is_single(o))
        return read_single(g, err, errlen);
    struct dirent **names;
    int n = scandir(o->dir, &names, not_hidden, alphasort), rc = 0;
    if (n < 0) {
        rc = -errno;
        snprintf(err, errlen, "model repository %s: %s", o->dir, strerror(errno));
        return rc;
    }
    int alone = is_among(o->only, names, n);
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (rc == 0 && is_unloaded(g->old, name))
            rc = add_unloaded(g->r, name);
        else if (rc == 0 && (!alone || strcmp(name, o->only) == 0))
            rc = add_name(g, name);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* Everything but the one name stays as it is. */
static int keep_others(const struct reader *g)
{
    const struct srv_registry *old = g->old;
    const char *name = g->o->name;
    int rc = 0;
    for (int i = 0; i < old->n_services; i++) {
        if (strcmp(old->services[i].name, name) != 0)
            rc = keep_service(g, &old->services[i]);
        if (rc < 0)
            break;
    }
    for (int i = 0; i < old->n_failures; i++) {
        if (rc < 0)
            break;
        const struct srv_model_failure *f = &old->failures[i];
        if (strcmp(f->name, name) != 0)
            rc = add_failure(g->r, f->name, f->version, f->error);
    }
    for (int i = 0; i < old->n_unloaded; i++) {
        if (rc < 0)
            break;
        if (strcmp(old->unloaded[i], name) != 0)
            rc = add_unloaded(g->r, old->unloaded[i]);
    }
    return rc;
}

static int load_name(const struct reader *g)
{
    struct srv_registry *r = g->r;
    const char *name = g->o->name;
    int before = r->n_services, failed = r->n_failures;
    if (!is_name(name))
        return add_failure(r, name, "", "this is not the name of a model");
    if (is_single(g->o) && strcmp(name, g->o->single) != 0)
        return add_failure(r, name, "", "this server has one model, of another name");
    int rc = add_name(g, name);
    if (rc == 0 && r->n_services == before && r->n_failures == failed)
        rc = add_failure(r, name, "", "the repository has no version of it");
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct srv_service *)a)->name, ((const struct srv_service *)b)->name);
}

/* Services in the order of their names, and their models with them. */
static int order(struct srv_registry *r)
{
    struct srv_model **all = calloc((size_t)r->n + 1, sizeof(struct srv_model *));
    int n = 0;
    if (!all)
        return -ENOMEM;
    if (r->n_services > 1)
        qsort(r->services, (size_t)r->n_services, sizeof(*r->services), by_name);
    for (int i = 0; i < r->n_services; i++) {
        struct srv_service *s = &r->services[i];
        memcpy(all + n, r->models + s->first, (size_t)s->n * sizeof(struct srv_model *));
        s->first = n;
        n += s->n;
    }
    free(r->models);
    r->models = all;
    return 0;
}

int srv_folder_read(struct srv_registry *r, const struct srv_registry_options *o,
                    const struct srv_registry *old, char *err, size_t errlen)
{
    const struct reader g = {r, o, old};
    int rc;
    snprintf(err, errlen, "out of memory for the models");
    if (o->change == SRV_CHANGE_ALL)
        rc = read_all(&g, err, errlen);
    else
        rc = keep_others(&g);
    if (rc == 0 && o->change == SRV_CHANGE_LOAD)
        rc = load_name(&g);
    if (rc == 0 && o->change == SRV_CHANGE_UNLOAD)
        rc = add_unloaded(r, o->name);
    return rc == 0 ? order(r) : rc;
}
