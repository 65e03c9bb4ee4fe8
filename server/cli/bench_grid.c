/* The paper's sixteen networks. Two rounds, the better of both: a neighbour that woke up in one of
 * them does not bend the line. */
#include "server/cli/bench_grid.h"

#include "server/cli/chosen_model.h"
#include "server/cli/measure.h"
#include "server/cli/plot.h"

enum { ALPHAS = 4, RHOS = 4, N = ALPHAS * RHOS, ROUNDS = 2 };
static const double alphas[ALPHAS] = {1.0, 0.75, 0.5, 0.25};
static const int rhos[RHOS] = {224, 192, 160, 128};

struct point {
    double alpha, mult_adds, min_ms, median_ms, share;
    int rho;
    char isa[16], precision[8], name[16];
};

static int measure_point(struct point *p, const struct cfg *cfg, char *err, size_t errlen)
{
    struct eng_model *m;
    struct srv_measure r = {0};
    struct cfg one = *cfg;
    struct srv_measure_options o = {.threads = (int)cfg->threads,
                                    .tune = cfg->tuned,
                                    .batch = (int)cfg->batch,
                                    .seconds = cfg->seconds / ROUNDS,
                                    .cpu_bits = srv_allowed_cpu(cfg)};
    one.alpha = p->alpha;
    one.rho = p->rho;
    int rc = srv_chosen_model_built(&m, &one, err, errlen);
    if (rc < 0)
        return rc;
    const struct eng_model_info *info = eng_model_info(m);
    rc = srv_measure_run(&r, m, &o, err, errlen);
    if (rc == 0) {
        p->mult_adds = (double)info->mult_adds;
        snprintf(p->isa, sizeof(p->isa), "%s", info->isa);
        snprintf(p->precision, sizeof(p->precision), "%s", info->precision);
        snprintf(p->name, sizeof(p->name), p->alpha < 1 ? "%g/%d" : "%.1f/%d", p->alpha, p->rho);
        if (p->min_ms <= 0 || r.min_ms < p->min_ms) {
            p->min_ms = r.min_ms;
            p->median_ms = r.median_ms;
            p->share = r.peak_share;
        }
    }
    srv_measure_finish(&r);
    eng_model_unref(m);
    return rc;
}

/* Time over the time that the line through the origin and 1.0/224 gives to as many multiply-adds.
 */
static double over_line(const struct point *all, int i)
{
    return all[i].min_ms / (all[0].min_ms * all[i].mult_adds / all[0].mult_adds);
}

static void print_json(const struct point *all, const struct cfg *cfg, FILE *out)
{
    fprintf(out, "{\"precision\":\"%s\",\"isa\":\"%s\",\"threads\":%d,\"batch\":%d,\"grid\":[",
            all[0].precision, all[0].isa, (int)cfg->threads, (int)cfg->batch);
    for (int i = 0; i < N; i++)
        fprintf(out,
                "%s\n {\"alpha\":%g,\"rho\":%d,\"mult_adds\":%.0f,\"min_ms\":%.4f,"
                "\"median_ms\":%.4f,\"peak_share\":%.4f,\"over_line\":%.3f}",
                i ? "," : "", all[i].alpha, all[i].rho, all[i].mult_adds, all[i].min_ms,
                all[i].median_ms, all[i].share, over_line(all, i));
    fputs("]}\n", out);
}

static void print_text(const struct point *all, const struct cfg *cfg, FILE *out)
{
    fprintf(out, "%s, %s, %d thread%s, batch %d\n", all[0].precision, all[0].isa, (int)cfg->threads,
            cfg->threads > 1 ? "s" : "", (int)cfg->batch);
    fprintf(out, "%6s %5s %12s %10s %10s %7s %10s\n", "alpha", "rho", "M mult-adds", "min ms",
            "median ms", "peak %", "over line");
    for (int i = 0; i < N; i++)
        fprintf(out, "%6.2f %5d %12.1f %10.4f %10.4f %7.1f %9.0f%%\n", all[i].alpha, all[i].rho,
                all[i].mult_adds / 1e6, all[i].min_ms, all[i].median_ms, all[i].share * 100,
                (over_line(all, i) - 1) * 100);
}

static int plot(const struct point *all, const struct cfg *cfg, char *err, size_t errlen)
{
    struct srv_plot_point points[N];
    char title[160];
    for (int i = 0; i < N; i++)
        points[i] = (struct srv_plot_point){all[i].name, all[i].mult_adds, all[i].min_ms, i / RHOS};
    snprintf(title, sizeof(title),
             "MobileNet V1, %s, %s, %d thread%s, batch %d: fastest of many runs", all[0].precision,
             all[0].isa, (int)cfg->threads, cfg->threads > 1 ? "s" : "", (int)cfg->batch);
    return srv_plot_points(cfg->plot, title, points, N, 0, err, errlen);
}

int srv_bench_grid(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct point all[N] = {0};
    int rc = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++) {
            all[i].alpha = alphas[i / RHOS];
            all[i].rho = rhos[i % RHOS];
            rc = measure_point(&all[i], cfg, err, errlen);
            if (rc < 0)
                break;
        }
    }
    if (rc < 0)
        return rc;
    if (cfg->json)
        print_json(all, cfg, out);
    else
        print_text(all, cfg, out);
    return cfg->plot[0] ? plot(all, cfg, err, errlen) : 0;
}
