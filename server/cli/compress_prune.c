/* See compress_prune.h. */
#include "server/cli/compress_prune.h"

#include "server/base/quota.h"
#include "server/base/table.h"
#include "server/cli/team_threads.h"

static int fill(struct srv_prune *p, const struct srv_picture_paths *pictures,
                struct eng_decoder *d, int slots, int *at)
{
    int n = 0;
    for (; n < slots && *at < pictures->n; (*at)++) {
        char why[256] = "";
        const char *path = pictures->path[*at];
        if (srv_picture_decode(d, path, &eng_pruner_info(p->pruner)->preprocess,
                               eng_pruner_input(p->pruner, n), why, sizeof(why)) == 0)
            n++;
        else
            fprintf(stderr, "%s: %s; passed over\n", path, why);
    }
    return n;
}

static int learn(struct srv_prune *p, const struct srv_picture_paths *pictures,
                 struct eng_decoder *d, struct srv_team_threads *crew, int slots)
{
    int at = 0;
    for (;;) {
        int n = fill(p, pictures, d, slots, &at);
        if (n <= 0)
            return 0;
        int rc = eng_pruner_feed(p->pruner, n, srv_team_threads_begin(crew));
        srv_team_threads_end(crew);
        srv_progress("pictures", at, pictures->n);
        if (rc < 0)
            return rc;
        p->seen += n;
    }
}

static int take_steps(struct srv_prune *p, struct srv_team_threads *crew, char *err, size_t errlen)
{
    int rc = 0, steps = eng_pruner_steps(p->pruner);
    for (int i = 0; i < steps; i++) {
        srv_progress("pruning", i, steps);
        rc = eng_pruner_step(p->pruner, i, srv_team_threads_begin(crew), err, errlen);
        srv_team_threads_end(crew);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        srv_progress("pruning", steps, steps);
    return rc;
}

int srv_prune_run(struct srv_prune *p, struct eng_compress_sizes *ret, const char *from,
                  const char *to, double share, const struct srv_picture_paths *pictures,
                  struct eng_decoder *d, char *err, size_t errlen)
{
    struct srv_quota quota;
    struct srv_team_threads *crew = NULL;
    srv_quota_read(&quota, "");
    int rc = eng_pruner_create(&p->pruner, from, share, quota.workers, err, errlen);
    if (rc == 0)
        rc = srv_team_threads_create(&crew, quota.workers);
    if (rc == 0)
        rc = learn(p, pictures, d, crew, quota.workers);
    if (rc == 0)
        rc = take_steps(p, crew, err, errlen);
    if (rc == 0)
        rc = eng_pruner_save(ret, p->pruner, to, err, errlen);
    srv_team_threads_destroy(crew);
    return rc;
}

void srv_prune_finish(struct srv_prune *p)
{
    eng_pruner_destroy(p->pruner);
    p->pruner = NULL;
}

/* Of the multiply-adds of all those layers. */
static double share_gone(const struct srv_prune *p)
{
    double all = 0, gone = 0;
    for (int i = 0; i < eng_pruner_layers(p->pruner); i++) {
        struct eng_pruned_layer l;
        eng_pruner_layer(p->pruner, i, &l);
        all += l.mult_adds;
        gone += l.mult_adds * (l.inputs - l.kept) / l.inputs;
    }
    return all > 0 ? gone / all : 0;
}

void srv_prune_text(const struct srv_prune *p, FILE *out)
{
    fprintf(out, "\nlearned from %d pictures, compared on others\n", p->seen);
    fprintf(out, "%.1f %% of the multiply-adds of pointwise layers are gone\n",
            100 * share_gone(p));
    fprintf(out, "%-40s %8s %8s %14s %8s\n", "layer", "inputs", "outputs", "kept of each", "error");
    for (int i = 0; i < eng_pruner_layers(p->pruner); i++) {
        struct eng_pruned_layer l;
        eng_pruner_layer(p->pruner, i, &l);
        fprintf(out, "%-40s %8d %8d %5d %6.1f %% %6.2f %%\n", srv_tail(l.name, 40), l.inputs,
                l.outputs, l.kept, 100.0 * l.kept / l.inputs, 100 * l.error);
    }
}

void srv_prune_json(const struct srv_prune *p, FILE *out)
{
    fprintf(out, "\"learned_from\":%d,\"pruned\":%.4f,\n \"layers\":[", p->seen, share_gone(p));
    for (int i = 0; i < eng_pruner_layers(p->pruner); i++) {
        struct eng_pruned_layer l;
        eng_pruner_layer(p->pruner, i, &l);
        fputs(i ? ",\n  {\"name\":" : "\n  {\"name\":", out);
        srv_print_json_string(out, l.name);
        fprintf(out, ",\"inputs\":%d,\"outputs\":%d,\"kept\":%d,\"error\":%.5f}", l.inputs,
                l.outputs, l.kept, l.error);
    }
    fputs("]", out);
}
