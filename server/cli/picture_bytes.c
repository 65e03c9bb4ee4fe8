/* Reads whole files, by name. */
#include "server/cli/picture_bytes.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/read_file.h"

static void finish(struct srv_picture *p)
{
    free(p->name);
    free(p->bytes);
}

void srv_picture_bytes_finish(struct srv_picture_bytes *p)
{
    for (int i = 0; i < p->n; i++)
        finish(&p->list[i]);
    free(p->list);
    *p = (struct srv_picture_bytes){0};
}

void srv_picture_bytes_drop(struct srv_picture_bytes *p, int index)
{
    finish(&p->list[index]);
    memmove(&p->list[index], &p->list[index + 1],
            (size_t)(--p->n - index) * sizeof(struct srv_picture));
}

/* 1: read; 0: nothing to read there; -ENOMEM. */
static int read_file(struct srv_picture *ret, const char *dir, const char *name)
{
    char path[4096], why[64];
    struct srv_picture p = {0};
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return 0;
    int rc = srv_read_file(&p.bytes, &p.len, path, SIZE_MAX, why, sizeof(why));
    if (rc < 0)
        return rc == -ENOMEM ? rc : 0;
    p.name = strdup(name);
    if (!p.name) {
        finish(&p);
        return -ENOMEM;
    }
    *ret = p;
    return 1;
}

int srv_picture_bytes_read(struct srv_picture_bytes *ret, const char *dir, char *err, size_t errlen)
{
    struct dirent **names;
    struct srv_picture_bytes all = {0};
    int rc = 0, n = scandir(dir, &names, NULL, alphasort);
    if (n < 0) {
        rc = -errno;
        snprintf(err, errlen, "cannot read the folder %s: %s", dir, strerror(errno));
        return rc;
    }
    all.list = calloc((size_t)n + 1, sizeof(*all.list));
    rc = all.list ? 0 : -ENOMEM;
    for (int i = 0; i < n; i++) {
        if (rc >= 0 && names[i]->d_name[0] != '.') {
            rc = read_file(&all.list[all.n], dir, names[i]->d_name);
            all.n += rc > 0;
        }
        free(names[i]);
    }
    free(names);
    if (rc < 0) {
        srv_picture_bytes_finish(&all);
        snprintf(err, errlen, "out of memory for the pictures");
        return rc;
    }
    *ret = all;
    return 0;
}
