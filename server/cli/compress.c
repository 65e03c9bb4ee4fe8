/* `compress`: a model's files made smaller, and a table of what that saves and costs: bytes, time
 * to load, time of a run, answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress.h"
#include "engine/context.h"
#include "server/base/clock.h"
#include "server/base/table.h"
#include "server/cli/chosen_model.h"
#include "server/cli/commands.h"
#include "server/cli/compress_prune.h"
#include "server/cli/picture_paths.h"
#include "server/repository/new_version.h"

enum { LOADS = 5 };

/* One of the two models that are compared. */
struct side {
    struct eng_model *model;
    struct eng_context *context;
    uint64_t bytes, load[LOADS], *run; /* ns; a run for each picture */
    int right, best;                   /* best: of the picture at hand */
};

struct session {
    const struct cfg *cfg;
    struct srv_new_version made;
    struct eng_compress_sizes sizes;
    struct side side[2]; /* original, compressed */
    struct eng_decoder *decoder;
    struct srv_prune prune;
    struct srv_picture_paths pictures, lesson; /* lesson: what is pruned by */
    int *truth;                                /* of each picture; -1: not known */
    int seen, known, same, same_logits;
};

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double median_ms(uint64_t *ns, int n)
{
    if (n == 0)
        return 0;
    qsort(ns, (size_t)n, sizeof(*ns), by_time);
    return (double)ns[n / 2] / 1e6;
}

/* ---- pictures and their classes ---- */

static void learn_truth(struct session *s, char *line)
{
    char *tab = strchr(line, '\t'), *end;
    if (!tab)
        return;
    *tab = '\0';
    long class = strtol(tab + 1, &end, 10);
    if (end == tab + 1 || class < 0 || class > 1000000)
        return;
    for (int i = 0; i < s->pictures.n; i++) {
        const char *slash = strrchr(s->pictures.path[i], '/');
        if (strcmp(slash ? slash + 1 : s->pictures.path[i], line) == 0)
            s->truth[i] = (int)class;
    }
}

static int read_truth(struct session *s, char *err, size_t errlen)
{
    char line[4096];
    const char *path = s->cfg->truth;
    if (!path[0])
        return 0;
    FILE *f = fopen(path, "re");
    if (!f) {
        int code = errno;
        snprintf(err, errlen, "%s: %s", path, strerror(code));
        return -code;
    }
    while (fgets(line, sizeof(line), f))
        learn_truth(s, line);
    fclose(f);
    return 0;
}

static int list_pictures(struct session *s, char *err, size_t errlen)
{
    if (!s->cfg->images[0])
        return 0;
    int rc = srv_picture_paths_list(&s->pictures, s->cfg->images, (int)s->cfg->limit, err, errlen);
    if (rc == 0 && s->cfg->prune > 0)
        rc = srv_picture_paths_halve(&s->pictures, &s->lesson);
    if (rc < 0)
        return rc;
    size_t n = (size_t)s->pictures.n;
    s->truth = malloc((n + 1) * sizeof(*s->truth));
    for (int i = 0; i < 2; i++)
        s->side[i].run = calloc(n + 1, sizeof(*s->side[i].run));
    if (!s->truth || !s->side[0].run || !s->side[1].run)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        s->truth[i] = -1;
    rc = read_truth(s, err, errlen);
    return rc < 0 ? rc : eng_decoder_create(&s->decoder, srv_allowed_cpu(s->cfg));
}

/* ---- the comparison ---- */

/* 1: the picture counts. */
static int run_side(struct session *s, struct side *side, const char *path, uint64_t *ret_ns)
{
    struct eng_prediction best = {0};
    char why[256] = "";
    const struct eng_preprocess *p = &eng_model_info(side->model)->picture;
    if (srv_picture_decode(s->decoder, path, p, eng_context_picture(side->context, 0), why,
                           sizeof(why)) < 0) {
        fprintf(stderr, "%s: %s; passed over\n", path, why);
        return 0;
    }
    uint64_t start = srv_now_ns();
    if (eng_context_run(side->context, 1, NULL) < 0)
        return 0;
    *ret_ns = srv_now_ns() - start;
    eng_context_topk(side->context, 0, 1, &best);
    side->best = best.class_number;
    return 1;
}

static void compare_picture(struct session *s, int index)
{
    struct side *a = &s->side[0], *b = &s->side[1];
    const char *path = s->pictures.path[index];
    if (!run_side(s, a, path, &a->run[s->seen]) || !run_side(s, b, path, &b->run[s->seen]))
        return;
    size_t bytes = (size_t)eng_model_info(a->model)->outputs * sizeof(float);
    s->same += a->best == b->best;
    s->same_logits +=
        memcmp(eng_context_logits(a->context, 0), eng_context_logits(b->context, 0), bytes) == 0;
    s->known += s->truth[index] >= 0;
    for (int i = 0; i < 2; i++)
        s->side[i].right += s->side[i].best == s->truth[index];
    s->seen++;
}

static int load_side(struct side *side, int turn, const char *dir,
                     const struct eng_model_options *o, char *err, size_t errlen)
{
    uint64_t start = srv_now_ns();
    eng_model_unref(side->model);
    side->model = NULL;
    start = srv_now_ns();
    int rc = eng_model_load(&side->model, dir, o, err, errlen);
    side->load[turn] = srv_now_ns() - start;
    return rc;
}

static int compare(struct session *s, const char *from, char *err, size_t errlen)
{
    struct eng_model_options o = {.cpu_bits = srv_allowed_cpu(s->cfg)};
    int rc = 0;
    s->side[0].bytes = s->sizes.before;
    s->side[1].bytes = s->sizes.after;
    for (int i = 0; i < 2 * LOADS; i++) {
        rc = load_side(&s->side[i % 2], i / 2, i % 2 ? s->made.made : from, &o, err, errlen);
        if (rc < 0)
            break;
    }
    if (rc < 0 || s->pictures.n == 0)
        return rc;
    for (int i = 0; i < 2; i++) {
        rc = eng_context_create(&s->side[i].context, s->side[i].model, 1, 1, err, errlen);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < s->pictures.n; i++) {
        srv_progress("comparison", i, s->pictures.n);
        compare_picture(s, i);
    }
    srv_progress("comparison", s->pictures.n, s->pictures.n);
    return 0;
}

/* ---- the table ---- */

static void print_text(struct session *s, FILE *out)
{
    static const char *const names[] = {"original", "compressed"};
    char buf[2][32];
    fprintf(out, "%s: %s\n", s->made.last,
            strcmp(eng_model_info(s->side[0].model)->digest,
                   eng_model_info(s->side[1].model)->digest) == 0
                ? "the same network, with the same digest"
                : "another network");
    fprintf(out, "%-10s %14s %8s %14s %9s %9s %10s\n", "", "bytes", "share", "weights, bytes",
            "load ms", "run ms", "right");
    for (int i = 0; i < 2; i++) {
        struct side *side = &s->side[i];
        fprintf(out, "%-10s %14s %6.1f %% %14s %9.2f %9.3f ", names[i],
                srv_group_digits(side->bytes, buf[0]),
                100.0 * (double)side->bytes / (double)s->side[0].bytes,
                srv_group_digits(eng_model_info(side->model)->weight_bytes, buf[1]),
                median_ms(side->load, LOADS), median_ms(side->run, s->seen));
        if (s->known > 0)
            fprintf(out, "%3d of %3d\n", side->right, s->known);
        else
            fprintf(out, "%10s\n", "-");
    }
    if (s->seen > 0)
        fprintf(out, "same best class on %d of %d pictures, logits equal in every bit on %d\n",
                s->same, s->seen, s->same_logits);
    if (s->prune.pruner)
        srv_prune_text(&s->prune, out);
}

static void print_json(struct session *s, FILE *out)
{
    static const char *const names[] = {"original", "compressed"};
    fputs("{\"path\":", out);
    srv_print_json_string(out, s->made.last);
    for (int i = 0; i < 2; i++) {
        struct side *side = &s->side[i];
        const struct eng_model_info *info = eng_model_info(side->model);
        fprintf(out,
                ",\n \"%s\":{\"bytes\":%llu,\"digest\":\"%s\",\"load_ms\":%.3f,\"run_ms\":%.4f,"
                "\"right\":%d}",
                names[i], (unsigned long long)side->bytes, info->digest,
                median_ms(side->load, LOADS), median_ms(side->run, s->seen), side->right);
    }
    if (s->prune.pruner) {
        fputs(",\n ", out);
        srv_prune_json(&s->prune, out);
    }
    fprintf(out, ",\n \"images\":%d,\"known\":%d,\"same_top1\":%d,\"same_logits\":%d}\n", s->seen,
            s->known, s->same, s->same_logits);
}

/* Options that do not go together. */
static int check_options(const struct cfg *cfg, char *err, size_t errlen)
{
    const char *why = NULL;
    if (cfg->prune > 0 && !cfg->images[0])
        why = "--prune learns from pictures: --images names no folder of them";
    else if (cfg->prune > 0 && cfg->codebook > 0)
        why = "--prune and --codebook exclude each other";
    if (why)
        snprintf(err, errlen, "%s", why);
    return why ? -EINVAL : 0;
}

static int compress(struct session *s, char *err, size_t errlen)
{
    char dir[4096];
    const struct cfg *cfg = s->cfg;
    int rc = check_options(cfg, err, errlen);
    if (rc == 0)
        rc = srv_chosen_model_dir(dir, sizeof(dir), cfg, err, errlen);
    if (rc == 0)
        rc = list_pictures(s, err, errlen);
    if (rc == 0)
        rc = srv_new_version_begin(&s->made, cfg->output, dir, "_small", err, errlen);
    if (rc == 0 && cfg->prune > 0)
        rc = srv_prune_run(&s->prune, &s->sizes, dir, s->made.made, cfg->prune, &s->lesson,
                           s->decoder, err, errlen);
    else if (rc == 0)
        rc = eng_compress_folder(&s->sizes, dir, s->made.made, (int)cfg->codebook, err, errlen);
    if (rc == 0)
        rc = compare(s, dir, err, errlen);
    return rc < 0 ? rc : srv_new_version_commit(&s->made, err, errlen);
}

int srv_cmd_compress(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct session s = {.cfg = cfg};
    int rc = compress(&s, err, errlen);
    if (rc == 0 && cfg->json)
        print_json(&s, out);
    else if (rc == 0)
        print_text(&s, out);
    srv_new_version_abandon(&s.made);
    for (int i = 0; i < 2; i++) {
        eng_context_destroy(s.side[i].context);
        eng_model_unref(s.side[i].model);
        free(s.side[i].run);
    }
    free(s.truth);
    eng_decoder_destroy(s.decoder);
    srv_prune_finish(&s.prune);
    srv_picture_paths_finish(&s.pictures);
    srv_picture_paths_finish(&s.lesson);
    return rc;
}
