/* Reads /proc/self/mountinfo for where the controllers are mounted and /proc/self/cgroup for the
 * group, then walks up to the mount: the tightest quota on the way holds. In a container without
 * its own cgroup namespace the group's path does not exist below the mount; the mount itself is
 * then the container's group. */
#include "server/base/quota.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096 };

struct group {
    char mount[PATH]; /* where the controller is mounted; "" = not at all */
    char path[PATH];  /* of our group below it */
};

static int affinity_count(void)
{
    int n = 0;
    size_t cpus = 1024;
    for (; cpus <= 65536; cpus *= 2) { /* EINVAL while the mask is smaller than the kernel's */
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set) == 0)
            n = CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set);
        CPU_FREE(set);
        if (n > 0)
            return n;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* Is `word` one of the comma-separated words of `list`? */
static int has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += len)
        if ((p == list || p[-1] == ',') && (p[len] == 0 || p[len] == ',' || p[len] == '\n'))
            return 1;
    return 0;
}

static void find_mounts(struct group *v1, struct group *v2, const char *root)
{
    char name[PATH], line[PATH];
    snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    FILE *f = fopen(name, "re");
    while (f && fgets(line, sizeof(line), f)) {
        char where[PATH], type[64], options[1024];
        const char *tail = strstr(line, " - ");
        if (!tail || sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1 ||
            sscanf(tail, " - %63s %*s %1023s", type, options) != 2)
            continue;
        struct group *g = NULL;
        if (strcmp(type, "cgroup2") == 0)
            g = v2;
        else if (strcmp(type, "cgroup") == 0 && has_word(options, "cpu"))
            g = v1;
        if (g && !g->mount[0])
            snprintf(g->mount, sizeof(g->mount), "%s", where);
    }
    if (f)
        fclose(f);
}

static void find_paths(struct group *v1, struct group *v2, const char *root)
{
    char name[PATH], line[PATH];
    snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    FILE *f = fopen(name, "re");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        struct group *g = NULL;
        if (!*controllers)
            g = v2;
        else if (has_word(controllers, "cpu"))
            g = v1;
        if (g)
            snprintf(g->path, sizeof(g->path), "%s", path);
    }
    if (f)
        fclose(f);
}

static int read_text(char *buf, size_t len, const char *root, const char *dir, const char *sub,
                     const char *file)
{
    char name[4 * PATH];
    snprintf(name, sizeof(name), "%s%s%s/%s", root, dir, sub, file);
    FILE *f = fopen(name, "re");
    if (!f)
        return -1;
    int ok = fgets(buf, (int)len, f) != NULL;
    fclose(f);
    return ok ? 0 : -1;
}

/* CPUs of one group; 0 = no limit, negative = the group is not there. */
static double group_limit(int version, const char *root, const char *mount, const char *path)
{
    char a[64], b[64];
    double quota = 0, period = 0;
    if (version == 2) {
        if (read_text(a, sizeof(a), root, mount, path, "cpu.max") < 0)
            return -1;
        if (sscanf(a, "%lf %lf", &quota, &period) != 2)
            return 0; /* "max 100000" */
    } else {
        if (read_text(a, sizeof(a), root, mount, path, "cpu.cfs_quota_us") < 0 ||
            read_text(b, sizeof(b), root, mount, path, "cpu.cfs_period_us") < 0)
            return -1;
        quota = strtod(a, NULL);
        period = strtod(b, NULL);
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double tightest(int version, const char *root, const struct group *g)
{
    if (!g->mount[0])
        return 0;
    char path[PATH];
    snprintf(path, sizeof(path), "%s", g->path);
    double best = 0;
    for (;;) {
        if (strcmp(path, "/") == 0)
            path[0] = 0;
        double limit = group_limit(version, root, g->mount, path);
        if (limit > 0 && (best == 0 || limit < best))
            best = limit;
        char *slash = strrchr(path, '/');
        if (!slash)
            return best;
        *slash = 0;
    }
}

void srv_quota_read(struct srv_quota *ret, const char *root)
{
    struct group *g = calloc(2, sizeof(*g));
    double v1 = 0, v2 = 0;
    if (g) {
        find_mounts(&g[0], &g[1], root);
        find_paths(&g[0], &g[1], root);
        v1 = tightest(1, root, &g[0]);
        v2 = tightest(2, root, &g[1]);
        free(g);
    }
    ret->affinity = affinity_count();
    ret->version = "none";
    ret->limit = 0;
    if (v1 > 0) {
        ret->limit = v1;
        ret->version = "v1";
    }
    if (v2 > 0 && (v1 == 0 || v2 < v1)) {
        ret->limit = v2;
        ret->version = "v2";
    }
    ret->workers = ret->affinity;
    if (ret->limit > 0 && ret->limit < ret->affinity)
        ret->workers = (int)(ret->limit + 0.5);
    if (ret->workers < 1)
        ret->workers = 1;
}
