/* Scans NAME/VERSION folders, loads what is new, keeps what is unchanged. */
#include "server/models.h"

#include "server/warm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH = 4096 };

const char *srv_models_dir(const char *option)
{
    struct stat st;
    if (option[0])
        return option;
    return stat("models", &st) == 0 && S_ISDIR(st.st_mode) ? "models"
                                                           : "/var/lib/mobilenetd/models";
}

static int is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Versions are whole numbers without leading zeros; 0 for anything else. */
static unsigned long version_number(const char *s)
{
    size_t len = strspn(s, "0123456789");
    return len > 0 && len < 18 && !s[len] && s[0] != '0' ? strtoul(s, NULL, 10) : 0;
}

static unsigned long latest_version(const char *dir)
{
    unsigned long best = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        unsigned long v = version_number(e->d_name);
        char path[PATH];
        if (v > best && snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < PATH &&
            is_dir(path))
            best = v;
    }
    if (d)
        closedir(d);
    return best;
}

/* Order-independent mix of every file's name, size, inode and time of change. */
static uint64_t folder_stamp(const char *dir)
{
    uint64_t stamp = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH];
        struct stat st;
        if (e->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= PATH ||
            stat(path, &st) < 0)
            continue;
        uint64_t h = 14695981039346656037u; /* FNV-1a */
        const uint64_t words[] = {(uint64_t)st.st_size, st.st_ino, (uint64_t)st.st_mtim.tv_sec,
                                  (uint64_t)st.st_mtim.tv_nsec};
        for (const char *c = e->d_name; *c; c++)
            h = (h ^ (unsigned char)*c) * 1099511628211u;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            h = (h ^ words[i]) * 1099511628211u;
        stamp += h;
    }
    if (d)
        closedir(d);
    return stamp;
}

static struct srv_model *find_unchanged(const struct srv_registry *old, const char *name,
                                        const char *version, uint64_t stamp)
{
    for (int i = 0; old && i < old->n; i++) {
        struct srv_model *m = old->models[i];
        if (m->stamp == stamp && strcmp(m->info->name, name) == 0 &&
            strcmp(m->info->version, version) == 0)
            return srv_model_ref(m);
    }
    return NULL;
}

static int load_model(struct srv_model **ret, const char *dir, uint64_t stamp,
                      const struct srv_registry_options *o, char *err, size_t errlen)
{
    struct eng_model *eng;
    struct srv_model *m;
    struct eng_model_options options = {.cpu_bits = o->cpu_bits};
    int rc = eng_model_load(&eng, dir, &options, err, errlen);
    if (rc < 0)
        return rc;
    rc = srv_model_create(&m, eng, stamp);
    if (rc < 0) {
        eng_model_unref(eng);
        snprintf(err, errlen, "out of memory");
        return rc;
    }
    rc = srv_model_warm(m, o->max_batch, o->workers, err, errlen);
    if (rc < 0) {
        srv_model_unref(m);
        return rc;
    }
    *ret = m;
    return 0;
}

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
    if (!all)
        return -ENOMEM;
    r->models = all;
    all[r->n++] = m_take;
    return 0;
}

/* One NAME of the repository. Only lack of memory is an error: a broken model is a failure on the
 * list and leaves the others in service. */
static int add_name(struct srv_registry *r, const struct srv_registry_options *o, const char *name,
                    const struct srv_registry *old)
{
    char dir[PATH], version[24], err[256] = "";
    struct srv_model *m = NULL;
    if (snprintf(dir, sizeof(dir), "%s/%s", o->dir, name) >= PATH)
        return add_failure(r, name, "", "its path is too long");
    if (!is_dir(dir))
        return 0;
    unsigned long latest = latest_version(dir);
    if (latest == 0)
        return 0; /* not a model's folder */
    snprintf(version, sizeof(version), "%lu", latest);
    if (snprintf(dir, sizeof(dir), "%s/%s/%s", o->dir, name, version) >= PATH)
        return add_failure(r, name, version, "its path is too long");
    uint64_t stamp = folder_stamp(dir);
    m = find_unchanged(old, name, version, stamp);
    if (!m) {
        int rc = load_model(&m, dir, stamp, o, err, sizeof(err));
        if (rc < 0)
            return add_failure(r, name, version, err[0] ? err : strerror(-rc));
    }
    int rc = add_model(r, m);
    if (rc < 0)
        srv_model_unref(m);
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

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

static int scan(struct srv_registry *r, const struct srv_registry_options *o,
                const struct srv_registry *old, char *err, size_t errlen)
{
    struct dirent **names;
    int n = scandir(o->dir, &names, not_hidden, by_name), rc = 0;
    if (n < 0) {
        rc = -errno;
        snprintf(err, errlen, "model repository %s: %s", o->dir, strerror(errno));
        return rc;
    }
    int alone = is_among(o->only, names, n);
    for (int i = 0; i < n; i++) {
        if (rc == 0 && (!alone || strcmp(names[i]->d_name, o->only) == 0))
            rc = add_name(r, o, names[i]->d_name, old);
        free(names[i]);
    }
    free(names);
    if (rc < 0)
        snprintf(err, errlen, "out of memory for the models");
    return rc;
}

static struct srv_family *find_family(const struct srv_registry *r, const char *name)
{
    for (int i = 0; i < r->n_families; i++)
        if (strcmp(r->families[i]->name, name) == 0)
            return r->families[i];
    return NULL;
}

static int make_families(struct srv_registry *r, char *err, size_t errlen)
{
    r->families = calloc((size_t)r->n + 1, sizeof(struct srv_family *));
    int rc = r->families ? 0 : -ENOMEM;
    for (int i = 0; i < r->n && rc == 0; i++) {
        const char *name = r->models[i]->info->family;
        if (!name[0] || find_family(r, name))
            continue;
        rc = srv_family_create(&r->families[r->n_families], r->models, r->n, name);
        if (rc == 0)
            r->n_families++;
    }
    if (rc < 0)
        snprintf(err, errlen, "out of memory for the models");
    return rc;
}

static int choose_default(struct srv_registry *r, const struct srv_registry_options *o, char *err,
                          size_t errlen)
{
    if (r->n == 0 && r->n_failures > 0) {
        snprintf(err, errlen, "no model of %s can be served: %s/%s: %s", o->dir,
                 r->failures[0].name, r->failures[0].version, r->failures[0].error);
        return -EINVAL;
    }
    if (r->n == 0) {
        snprintf(err, errlen,
                 "no models in %s (expected NAME/VERSION/ folders; deploy/pull gets some)", o->dir);
        return -ENOENT;
    }
    const char *name = o->default_model;
    if (!name[0])
        name =
            r->models[0]->info->family[0] ? r->models[0]->info->family : r->models[0]->info->name;
    r->fallback = srv_registry_pick(r, name, &r->fallback_name, &r->fallback_family);
    if (r->fallback)
        return 0;
    snprintf(err, errlen, "default_model = %s is neither a model nor a family of %s", name, o->dir);
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
    int rc = scan(r, options, old, err, errlen);
    if (rc == 0)
        rc = make_families(r, err, errlen);
    if (rc == 0)
        rc = choose_default(r, options, err, errlen);
    if (rc < 0) {
        srv_registry_destroy(r);
        return rc;
    }
    *ret = r;
    return 0;
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
    free(r->failures);
    free(r->models);
    free(r->families);
    free(r);
}

/* NAME is FAMILY_VARIANT. */
static int is_variant(const struct eng_model_info *m, const char *name)
{
    size_t len = strlen(m->family);
    return len > 0 && strncmp(name, m->family, len) == 0 && name[len] == '_' &&
           strcmp(name + len + 1, m->variant) == 0;
}

struct srv_model *srv_registry_pick(const struct srv_registry *r, const char *name,
                                    const char **ret_name, struct srv_family **ret_family)
{
    *ret_family = NULL;
    if (!name[0] && r->fallback) {
        *ret_name = r->fallback_name;
        *ret_family = r->fallback_family;
        return r->fallback;
    }
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->models[i]->info->name, name) == 0) {
            *ret_name = r->models[i]->info->name;
            return r->models[i];
        }
    struct srv_family *f = name[0] ? find_family(r, name) : NULL;
    if (f) {
        *ret_name = f->name;
        *ret_family = f;
        return f->variants[0];
    }
    for (int i = 0; i < r->n; i++)
        if (is_variant(r->models[i]->info, name)) {
            *ret_name = r->models[i]->info->name;
            return r->models[i];
        }
    return NULL;
}

struct srv_model *srv_registry_find(const struct srv_registry *r, const char *name,
                                    const char **ret_name)
{
    struct srv_family *family;
    return srv_registry_pick(r, name, ret_name, &family);
}
