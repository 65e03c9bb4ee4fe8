/* See new_version.h. */
#include "server/repository/new_version.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void srv_model_name_of(const char *version_dir, char *ret, size_t len)
{
    char *full = realpath(version_dir, NULL);
    char *slash = full ? strrchr(full, '/') : NULL;
    if (slash)
        *slash = '\0';
    slash = full ? strrchr(full, '/') : NULL;
    snprintf(ret, len, "%s", slash && slash[1] ? slash + 1 : "model");
    free(full);
}

static int make_folders(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return mkdir(part, 0777) < 0 && errno != EEXIST ? -errno : 0;
}

static int begin(struct srv_new_version *m, char *err, size_t errlen)
{
    snprintf(m->made, sizeof(m->made), "%.4080s/.new", m->dir);
    srv_new_version_abandon(m);
    snprintf(m->made, sizeof(m->made), "%.4080s/.new", m->dir);
    int rc = make_folders(m->made);
    if (rc < 0)
        snprintf(err, errlen, "cannot make the folder %s: %s", m->made, strerror(-rc));
    return rc;
}

int srv_new_version_begin(struct srv_new_version *m, const char *output, const char *from,
                          const char *suffix, char *err, size_t errlen)
{
    char name[256];
    int n;
    memset(m, 0, sizeof(*m));
    srv_model_name_of(from, name, sizeof(name));
    if (output[0])
        n = snprintf(m->dir, sizeof(m->dir) - 8, "%s", output);
    else
        n = snprintf(m->dir, sizeof(m->dir) - 8, "./%s%s", name, suffix);
    if (n >= (int)sizeof(m->dir) - 8) {
        snprintf(err, errlen, "the output's path is too long");
        return -ENAMETOOLONG;
    }
    while (n > 1 && m->dir[n - 1] == '/')
        m->dir[--n] = '\0';
    snprintf(m->last, sizeof(m->last), "%.4080s/1", m->dir);
    if (access(m->last, F_OK) == 0) {
        snprintf(err, errlen, "%s is there already", m->last);
        return -EEXIST;
    }
    return begin(m, err, errlen);
}

/* The highest number among the folder's names; 0: none. */
static unsigned long highest_version(const char *dir)
{
    unsigned long most = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char *end;
        unsigned long n = strtoul(e->d_name, &end, 10);
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && !*end && n > most)
            most = n;
    }
    if (d)
        closedir(d);
    return most;
}

int srv_new_version_next(struct srv_new_version *m, const char *repository, const char *name,
                         char *err, size_t errlen)
{
    memset(m, 0, sizeof(*m));
    if (snprintf(m->dir, sizeof(m->dir), "%s/%s", repository, name) >= (int)sizeof(m->dir) - 32) {
        snprintf(err, errlen, "the model's path is too long");
        return -ENAMETOOLONG;
    }
    snprintf(m->last, sizeof(m->last), "%.4060s/%lu", m->dir, highest_version(m->dir) + 1);
    return begin(m, err, errlen);
}

int srv_new_version_commit(struct srv_new_version *m, char *err, size_t errlen)
{
    if (rename(m->made, m->last) < 0) {
        int rc = -errno;
        snprintf(err, errlen, "cannot make %s: %s", m->last, strerror(-rc));
        return rc;
    }
    m->made[0] = '\0';
    return 0;
}

void srv_new_version_abandon(struct srv_new_version *m)
{
    DIR *d = m->made[0] ? opendir(m->made) : NULL;
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d) {
        closedir(d);
        rmdir(m->made);
        rmdir(m->dir); /* if nothing else is in it */
    }
    m->made[0] = '\0';
}
