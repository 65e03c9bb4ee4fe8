/* See picture_paths.h. */
#include "server/cli/picture_paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/read_file.h"

enum { MAX_DEPTH = 8, MAX_FILE = 64 << 20, BAR = 30 };

static int append(struct srv_picture_paths *p, const char *path)
{
    if ((p->n & (p->n - 1)) == 0) { /* 0, 1, 2, 4, 8 …: full */
        size_t room = p->n ? 2 * (size_t)p->n : 1;
        char **grown = realloc(p->path, room * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        p->path = grown;
    }
    p->path[p->n] = strdup(path);
    return p->path[p->n] ? (p->n++, 0) : -ENOMEM;
}

static int walk(struct srv_picture_paths *p, const char *dir, int depth);

/* A file is appended, a folder walked through; what cannot be looked at is passed over. */
static int visit(struct srv_picture_paths *p, const char *dir, const char *name, int depth)
{
    char path[4096];
    struct stat st;
    if (name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        stat(path, &st) < 0)
        return 0;
    if (S_ISREG(st.st_mode))
        return append(p, path);
    return S_ISDIR(st.st_mode) && depth < MAX_DEPTH ? walk(p, path, depth + 1) : 0;
}

static int walk(struct srv_picture_paths *p, const char *dir, int depth)
{
    DIR *d = opendir(dir);
    int rc = 0;
    if (!d)
        return -errno;
    while (rc == 0) {
        const struct dirent *e = readdir(d);
        if (!e)
            break;
        rc = visit(p, dir, e->d_name, depth);
    }
    closedir(d);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void thin_out(struct srv_picture_paths *p, int limit)
{
    if (p->n <= limit)
        return;
    int kept = 0;
    for (int i = 0; i < p->n; i++) {
        if (kept < limit && (long)kept * p->n / limit == i)
            p->path[kept++] = p->path[i];
        else
            free(p->path[i]);
    }
    p->n = kept;
}

int srv_picture_paths_list(struct srv_picture_paths *ret, const char *dir, int limit, char *err,
                           size_t errlen)
{
    struct srv_picture_paths p = {0};
    int rc = walk(&p, dir, 0);
    if (rc == 0 && p.n == 0)
        rc = -ENOENT;
    if (rc < 0) {
        snprintf(err, errlen, "%s: %s", dir, p.n || rc != -ENOENT ? strerror(-rc) : "no pictures");
        srv_picture_paths_finish(&p);
        return rc;
    }
    qsort(p.path, (size_t)p.n, sizeof(*p.path), by_name);
    thin_out(&p, limit);
    *ret = p;
    return 0;
}

int srv_picture_paths_halve(struct srv_picture_paths *p, struct srv_picture_paths *ret)
{
    int kept = 0;
    *ret = (struct srv_picture_paths){.path = malloc(((size_t)p->n / 2 + 1) * sizeof(*ret->path))};
    if (!ret->path)
        return -ENOMEM;
    for (int i = 0; i < p->n; i++) {
        if (i % 2)
            ret->path[ret->n++] = p->path[i];
        else
            p->path[kept++] = p->path[i];
    }
    p->n = kept;
    return 0;
}

void srv_picture_paths_finish(struct srv_picture_paths *p)
{
    for (int i = 0; i < p->n; i++)
        free(p->path[i]);
    free(p->path);
    *p = (struct srv_picture_paths){0};
}

int srv_picture_decode(struct eng_decoder *d, const char *path, const struct eng_preprocess *p,
                       void *tensor, char *err, size_t errlen)
{
    void *bytes;
    size_t len;
    int rc = srv_read_file(&bytes, &len, path, MAX_FILE, err, errlen);
    if (rc < 0)
        return rc;
    rc = eng_decoder_run(d, bytes, len, p, NULL, tensor, NULL, err, errlen);
    free(bytes);
    return rc;
}

void srv_progress(const char *what, int done, int all)
{
    char bar[BAR + 1];
    if (!isatty(STDERR_FILENO) || all < 1)
        return;
    for (int i = 0; i < BAR; i++)
        bar[i] = (long)done * BAR / all > i ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r%-24.24s [%s] %3ld %%%s", what, bar, (long)done * 100 / all,
            done >= all ? "\n" : "");
}
