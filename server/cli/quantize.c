/* `quantize`: a float model and a folder of pictures -> an int8 model, and how well it agrees. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quantize.h"
#include "server/base/quota.h"
#include "server/base/table.h"
#include "server/cli/chosen_model.h"
#include "server/cli/commands.h"
#include "server/cli/picture_paths.h"
#include "server/cli/team_threads.h"
#include "server/repository/new_version.h"

enum { WORST = 8 };

struct session {
    const struct cfg *cfg;
    struct eng_quantizer *q;
    struct eng_decoder *decoder;
    struct srv_team_threads *crew;
    struct srv_picture_paths pictures;
    struct srv_new_version made;
    int slots;
};

static enum eng_quantize_method method(const char *name)
{
    return strcmp(name, "minmax") == 0       ? ENG_QUANTIZE_MINMAX
           : strcmp(name, "percentile") == 0 ? ENG_QUANTIZE_PERCENTILE
                                             : ENG_QUANTIZE_MSE;
}

/* Decodes up to `slots` pictures from *at on; those that cannot be decoded leave the list. */
static int fill(struct session *s, int *at)
{
    int n = 0;
    while (n < s->slots && *at < s->pictures.n) {
        char why[256] = "";
        char *path = s->pictures.path[*at];
        int rc = srv_picture_decode(s->decoder, path, &eng_quantizer_info(s->q)->preprocess,
                                    eng_quantizer_input(s->q, n), why, sizeof(why));
        if (rc == 0) {
            n++;
            (*at)++;
            continue;
        }
        fprintf(stderr, "%s: %s; passed over\n", path, why);
        free(path);
        memmove(&s->pictures.path[*at], &s->pictures.path[*at + 1],
                (size_t)(s->pictures.n - *at - 1) * sizeof(*s->pictures.path));
        s->pictures.n--;
    }
    return n;
}

static int pass(struct session *s, const char *what, char *err, size_t errlen)
{
    int at = 0;
    srv_progress(what, 0, s->pictures.n);
    for (;;) {
        int n = fill(s, &at);
        if (n <= 0)
            return eng_quantizer_next(s->q, err, errlen);
        int rc = eng_quantizer_feed(s->q, n, srv_team_threads_begin(s->crew));
        srv_team_threads_end(s->crew);
        srv_progress(what, at, s->pictures.n);
        if (rc < 0)
            return rc;
    }
}

static int run(struct session *s, char *err, size_t errlen)
{
    static const char *const names[] = {"ranges of channels", "histograms", "comparison"};
    int rc = 0;
    for (int i = s->cfg->equalise ? 0 : 1; i < ENG_QUANTIZE_PASSES; i++) {
        rc = pass(s, names[i], err, errlen);
        if (rc < 0)
            break;
    }
    return rc;
}

static int open_all(struct session *s, const char *dir, char *err, size_t errlen)
{
    const struct cfg *cfg = s->cfg;
    struct eng_quantize_options o = {.method = method(cfg->range),
                                     .tail = cfg->tail,
                                     .equalise = cfg->equalise,
                                     .correct_bias = cfg->correct_bias,
                                     .cpu_bits = srv_allowed_cpu(cfg)};
    struct srv_quota quota;
    srv_quota_read(&quota, "");
    s->slots = quota.workers;
    int rc = srv_picture_paths_list(&s->pictures, cfg->images, (int)cfg->limit, err, errlen);
    if (rc == 0)
        rc = eng_quantizer_create(&s->q, dir, &o, s->slots, err, errlen);
    if (rc == 0)
        rc = eng_decoder_create(&s->decoder, o.cpu_bits);
    if (rc == 0)
        rc = srv_team_threads_create(&s->crew, s->slots);
    if (rc == 0)
        rc = srv_new_version_begin(&s->made, cfg->output, dir, "_int8", err, errlen);
    return rc;
}

static int by_sqnr(const void *a, const void *b)
{
    const struct eng_quantize_layer *x = a, *y = b;
    return (x->sqnr > y->sqnr) - (x->sqnr < y->sqnr);
}

/* The layers, worst first; how many. free() *ret. */
static int sorted_layers(const struct eng_quantizer *q, struct eng_quantize_layer **ret)
{
    int n = 0, all = eng_quantizer_layers(q);
    *ret = calloc((size_t)all + 1, sizeof(**ret));
    for (int i = 0; *ret && i < all; i++)
        if (eng_quantizer_layer(q, i, &(*ret)[n]) == 0)
            n++;
    if (*ret)
        qsort(*ret, (size_t)n, sizeof(**ret), by_sqnr);
    return n;
}

static double percent(int part, int all)
{
    return all ? 100.0 * part / all : 0;
}

static void print_text(const struct session *s, FILE *out)
{
    struct eng_quantize_report r;
    struct eng_quantize_layer *layers;
    int n = sorted_layers(s->q, &layers);
    eng_quantizer_report(s->q, &r);
    fprintf(out, "%s: %d pictures, ranges by %s, %d pairs of layers equalised\n", s->made.last,
            r.images, s->cfg->range, r.equalised);
    fprintf(out, "same best class as the float model   %6.2f %%\n", percent(r.same_top1, r.images));
    fprintf(out, "its best class among the best five   %6.2f %%\n",
            percent(r.top1_in_top5, r.images));
    fprintf(out, "classes that the best fives share    %6.2f\n", r.top5_shared);
    fprintf(out, "signal to noise of the logits        %6.2f dB\n\n", r.logit_sqnr);
    fprintf(out, "%-40s %-10s %8s\n", "worst layers", "kind", "SQNR dB");
    for (int i = 0; layers && i < n && i < WORST; i++)
        fprintf(out, "%-40s %-10s %8.2f\n", srv_tail(layers[i].name, 40), layers[i].kind,
                layers[i].sqnr);
    free(layers);
}

static void print_json(const struct session *s, FILE *out)
{
    struct eng_quantize_report r;
    int n = eng_quantizer_layers(s->q), first = 1;
    eng_quantizer_report(s->q, &r);
    fputs("{\"path\":", out);
    srv_print_json_string(out, s->made.last);
    fprintf(out,
            ",\"images\":%d,\"same_top1\":%d,\"top1_in_top5\":%d,\"top5_shared\":%.4f,"
            "\"logit_sqnr_db\":%.3f,\"equalised_pairs\":%d,\n \"layers\":[",
            r.images, r.same_top1, r.top1_in_top5, r.top5_shared,
            isfinite(r.logit_sqnr) ? r.logit_sqnr : 999, r.equalised);
    for (int i = 0; i < n; i++) {
        struct eng_quantize_layer l;
        if (eng_quantizer_layer(s->q, i, &l) < 0)
            continue;
        fputs(first ? "\n  {\"name\":" : ",\n  {\"name\":", out);
        srv_print_json_string(out, l.name);
        fprintf(out, ",\"kind\":\"%s\",\"sqnr_db\":%.3f}", l.kind, isfinite(l.sqnr) ? l.sqnr : 999);
        first = 0;
    }
    fputs("]}\n", out);
}

static int quantize(struct session *s, const char *dir, char *err, size_t errlen)
{
    char source[400], name[256];
    int rc = open_all(s, dir, err, errlen);
    if (rc == 0)
        rc = run(s, err, errlen);
    srv_model_name_of(dir, name, sizeof(name));
    snprintf(source, sizeof(source), "%s, quantised by mobilenetd", name);
    if (rc == 0)
        rc = eng_quantizer_save(s->q, s->made.made, source, err, errlen);
    if (rc == 0)
        rc = srv_new_version_commit(&s->made, err, errlen);
    return rc;
}

int srv_cmd_quantize(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct session s = {.cfg = cfg};
    char dir[4096];
    if (!cfg->images[0]) {
        snprintf(err, errlen, "--images names no folder of pictures");
        return -EINVAL;
    }
    int rc = srv_chosen_model_dir(dir, sizeof(dir), cfg, err, errlen);
    if (rc == 0)
        rc = quantize(&s, dir, err, errlen);
    if (rc == 0 && cfg->json)
        print_json(&s, out);
    else if (rc == 0)
        print_text(&s, out);
    srv_new_version_abandon(&s.made);
    srv_team_threads_destroy(s.crew);
    eng_decoder_destroy(s.decoder);
    eng_quantizer_destroy(s.q);
    srv_picture_paths_finish(&s.pictures);
    return rc;
}
