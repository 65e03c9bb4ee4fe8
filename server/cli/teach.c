/* `teach`: new classes for an old backbone. One folder of pictures a class; every fifth picture of
 * a class is held out to tell how good the head is, then the head is fitted to all of them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/context.h"
#include "engine/teach.h"
#include "server/base/quota.h"
#include "server/base/table.h"
#include "server/cli/chosen_model.h"
#include "server/cli/commands.h"
#include "server/cli/picture_paths.h"
#include "server/cli/team_threads.h"
#include "server/repository/new_version.h"
#include "server/repository/teach_fit.h"

enum { MAX_CLASSES = 10000, MAX_PICTURES = 1000000 };

struct lesson {
    const struct cfg *cfg;
    struct eng_model *model;
    struct eng_context *context;
    struct eng_decoder *decoder;
    struct srv_team_threads *crew;
    struct srv_new_version made;
    char **classes; /* folder names */
    int n_classes, slots;
    char **path; /* [n], with its class */
    int *label, *held;
    float *x; /* [n][d] */
    int n, d;
    float *w, *b;
    int tested, right;
};

static void finish(struct lesson *l)
{
    for (int i = 0; i < l->n_classes; i++)
        free(l->classes[i]);
    for (int i = 0; i < l->n; i++)
        free(l->path[i]);
    free(l->classes);
    free(l->path);
    free(l->label);
    free(l->held);
    free(l->x);
    free(l->w);
    free(l->b);
    srv_new_version_abandon(&l->made);
    srv_team_threads_destroy(l->crew);
    eng_decoder_destroy(l->decoder);
    eng_context_destroy(l->context);
    eng_model_unref(l->model);
}

/* ---- folders ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A folder that shows itself is a class. */
static int add_class(struct lesson *l, const char *dir, const char *name)
{
    char path[4096];
    struct stat st;
    if (name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    l->classes[l->n_classes] = strdup(name);
    if (!l->classes[l->n_classes])
        return -ENOMEM;
    l->n_classes++;
    return 0;
}

static int find_classes(struct lesson *l, char *err, size_t errlen)
{
    const char *dir = l->cfg->images;
    DIR *d = opendir(dir);
    int rc = d ? 0 : -errno;
    if (!d) {
        snprintf(err, errlen, "%s: %s", dir, strerror(-rc));
        return rc;
    }
    l->classes = calloc(MAX_CLASSES, sizeof(*l->classes));
    rc = l->classes ? 0 : -ENOMEM;
    while (rc == 0 && l->n_classes < MAX_CLASSES) {
        const struct dirent *e = readdir(d);
        if (!e)
            break;
        rc = add_class(l, dir, e->d_name);
    }
    closedir(d);
    if (rc == 0 && l->n_classes < 2) {
        snprintf(err, errlen, "%s: %d folders, where two classes or more are needed", dir,
                 l->n_classes);
        return -EINVAL;
    }
    if (rc == 0)
        qsort(l->classes, (size_t)l->n_classes, sizeof(*l->classes), by_name);
    return rc;
}

static int add_pictures(struct lesson *l, int class, char *err, size_t errlen)
{
    char dir[4096];
    struct srv_picture_paths album;
    snprintf(dir, sizeof(dir), "%.2000s/%.2000s", l->cfg->images, l->classes[class]);
    int rc = srv_picture_paths_list(&album, dir, MAX_PICTURES, err, errlen);
    if (rc < 0)
        return rc;
    size_t room = (size_t)l->n + (size_t)album.n;
    char **path = realloc(l->path, room * sizeof(*path));
    if (path)
        l->path = path;
    int *label = realloc(l->label, room * sizeof(*label));
    if (label)
        l->label = label;
    int *held = realloc(l->held, room * sizeof(*held));
    if (held)
        l->held = held;
    if (path && label && held) {
        for (int i = 0; i < album.n; i++) {
            l->path[l->n] = album.path[i];
            l->label[l->n] = class;
            l->held[l->n++] = srv_teach_is_held(i, album.n);
        }
        album.n = 0; /* the paths are ours now */
    }
    srv_picture_paths_finish(&album);
    return path && label && held ? 0 : -ENOMEM;
}

/* ---- embeddings ---- */

static void drop_picture(struct lesson *l, int index)
{
    size_t rest = (size_t)(l->n - index - 1);
    free(l->path[index]);
    memmove(&l->path[index], &l->path[index + 1], rest * sizeof(*l->path));
    memmove(&l->label[index], &l->label[index + 1], rest * sizeof(*l->label));
    memmove(&l->held[index], &l->held[index + 1], rest * sizeof(*l->held));
    l->n--;
}

static int fill(struct lesson *l, int at)
{
    int n = 0;
    while (n < l->slots && at + n < l->n) {
        char why[256] = "";
        int rc =
            srv_picture_decode(l->decoder, l->path[at + n], &eng_model_info(l->model)->preprocess,
                               eng_context_input(l->context, n), why, sizeof(why));
        if (rc == 0) {
            n++;
            continue;
        }
        fprintf(stderr, "%s: %s; passed over\n", l->path[at + n], why);
        drop_picture(l, at + n);
    }
    return n;
}

static int embed(struct lesson *l)
{
    size_t d = (size_t)l->d;
    l->x = calloc((size_t)l->n * d + 1, sizeof(*l->x));
    if (!l->x)
        return -ENOMEM;
    for (int at = 0, n; (n = fill(l, at)) > 0; at += n) {
        int rc = srv_team_threads_run(l->crew, l->context, n);
        if (rc < 0)
            return rc;
        for (int i = 0; i < n; i++)
            memcpy(l->x + (size_t)(at + i) * d, eng_context_embedding(l->context, i),
                   d * sizeof(*l->x));
        srv_progress("embeddings", at + n, l->n);
    }
    return 0;
}

/* Each class must be left with a picture to learn from. */
static int check_classes(const struct lesson *l, char *err, size_t errlen)
{
    for (int k = 0; k < l->n_classes; k++) {
        int n = 0;
        for (int i = 0; i < l->n; i++)
            n += l->label[i] == k && !l->held[i];
        if (n == 0) {
            snprintf(err, errlen, "class %.120s has no picture that can be decoded", l->classes[k]);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- the head ---- */

static int learn(struct lesson *l, char *err, size_t errlen)
{
    struct eng_teach_data all = {l->n, l->d, l->n_classes, l->x, l->label};
    int rc = check_classes(l, err, errlen);
    if (rc < 0)
        return rc;
    l->w = calloc((size_t)l->n_classes * (size_t)l->d, sizeof(*l->w));
    l->b = calloc((size_t)l->n_classes, sizeof(*l->b));
    if (!l->w || !l->b)
        return -ENOMEM;
    return srv_teach_fit(&all, l->held, l->w, l->b, &l->tested, &l->right);
}

/* ---- the command ---- */

static int open_all(struct lesson *l, const char *dir, char *err, size_t errlen)
{
    struct eng_model_options o = {.cpu_bits = srv_allowed_cpu(l->cfg)};
    struct srv_quota quota;
    srv_quota_read(&quota, "");
    l->slots = quota.workers;
    int rc = eng_model_load(&l->model, dir, &o, err, errlen);
    if (rc < 0)
        return rc;
    l->d = eng_model_info(l->model)->embedding;
    if (l->d == 0) {
        snprintf(err, errlen, "the model has no embedding in front of its classes");
        return ENG_E_UNSUPPORTED;
    }
    rc = eng_context_create(&l->context, l->model, l->slots, l->slots, err, errlen);
    if (rc == 0)
        rc = eng_decoder_create(&l->decoder, o.cpu_bits);
    if (rc == 0)
        rc = srv_team_threads_create(&l->crew, l->slots);
    if (rc == 0)
        rc = find_classes(l, err, errlen);
    for (int k = 0; k < l->n_classes; k++) {
        if (rc < 0)
            break;
        rc = add_pictures(l, k, err, errlen);
    }
    return rc < 0 ? rc
                  : srv_new_version_begin(&l->made, l->cfg->output, dir, "_taught", err, errlen);
}

static int save(struct lesson *l, const char *dir, char *err, size_t errlen)
{
    char name[256], source[400];
    srv_model_name_of(dir, name, sizeof(name));
    snprintf(source, sizeof(source), "%s, taught %d classes by mobilenetd", name, l->n_classes);
    struct eng_teach_head head = {.d = l->d,
                                  .classes = l->n_classes,
                                  .w = l->w,
                                  .b = l->b,
                                  .labels = (const char *const *)l->classes,
                                  .source = source};
    int rc = eng_teach_save(dir, l->made.made, &head, err, errlen);
    return rc < 0 ? rc : srv_new_version_commit(&l->made, err, errlen);
}

static void print(const struct lesson *l, FILE *out)
{
    double share = l->tested ? (double)l->right / l->tested : 0;
    if (l->cfg->json) {
        fputs("{\"path\":", out);
        srv_print_json_string(out, l->made.last);
        fprintf(out,
                ",\"classes\":%d,\"images\":%d,\"embedding\":%d,\"held_out\":%d,\"right\":%d,"
                "\"accuracy\":%.4f}\n",
                l->n_classes, l->n, l->d, l->tested, l->right, share);
        return;
    }
    fprintf(out, "%s: %d classes from %d pictures, embeddings of %d\n", l->made.last, l->n_classes,
            l->n, l->d);
    if (l->tested)
        fprintf(out, "held out: %d of %d right (%.1f %%); the model itself has learned from all\n",
                l->right, l->tested, share * 100);
    else
        fprintf(out, "too few pictures to hold any out\n");
}

int srv_cmd_teach(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct lesson l = {.cfg = cfg};
    char dir[4096];
    if (!cfg->images[0]) {
        snprintf(err, errlen, "--images names no folder with a folder of pictures a class");
        return -EINVAL;
    }
    int rc = srv_chosen_model_dir(dir, sizeof(dir), cfg, err, errlen);
    if (rc == 0)
        rc = open_all(&l, dir, err, errlen);
    if (rc == 0)
        rc = embed(&l);
    if (rc == 0)
        rc = learn(&l, err, errlen);
    if (rc == 0)
        rc = save(&l, dir, err, errlen);
    if (rc == 0)
        print(&l, out);
    finish(&l);
    return rc;
}
