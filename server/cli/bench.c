/* `bench`: how fast a network runs here, against the machine's peak; one network, or the paper's
 * grid of sixteen; or, without a network, the image door. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "engine/tune.h"
#include "server/base/table.h"
#include "server/cli/accuracy.h"
#include "server/cli/bench_decode.h"
#include "server/cli/bench_grid.h"
#include "server/cli/bench_images.h"
#include "server/cli/chosen_model.h"
#include "server/cli/commands.h"
#include "server/cli/measure.h"
#include "server/cli/plot.h"

struct bench {
    const struct cfg *cfg;
    struct eng_model *model;
    const struct eng_model_info *info;
    struct srv_measure m;
    struct srv_accuracy accuracy;
    long rss_kb;
};

static void print_layers_json(const struct bench *b, FILE *out)
{
    fputs(",\n \"layers\":[", out);
    for (int i = 0; i < eng_model_layers(b->model); i++) {
        struct eng_layer l;
        if (eng_model_layer(b->model, i, &l) < 0)
            continue;
        uint64_t ns = srv_measure_layer_ns(&b->m, b->model, i, NULL);
        fputs(i ? ",\n  {\"name\":" : "\n  {\"name\":", out);
        srv_print_json_string(out, l.name);
        fprintf(out, ",\"kind\":\"%s\",\"step\":%d,\"mult_adds\":%llu,\"kernel\":\"%s\"", l.kind,
                l.step, (unsigned long long)l.mult_adds, l.kernel);
        if (ns)
            fprintf(out, ",\"us\":%.2f", (double)ns / 1e3);
        fputs("}", out);
    }
    fputs("]", out);
}

static void print_layers_text(const struct bench *b, FILE *out)
{
    fprintf(out, "\n%-32s %-10s %-16s %12s %10s %9s  %s\n", "layer", "kind", "output", "mult-adds",
            "us", "GOP/s", "kernel");
    for (int i = 0; i < eng_model_layers(b->model); i++) {
        struct eng_layer l;
        char shape[48], us[24] = "", gops[24] = "";
        double ops = 0;
        if (eng_model_layer(b->model, i, &l) < 0)
            continue;
        double ns = (double)srv_measure_layer_ns(&b->m, b->model, i, &ops);
        snprintf(shape, sizeof(shape), "%dx%dx%d", l.out_h, l.out_w, l.out_c);
        if (ns > 0)
            snprintf(us, sizeof(us), "%.1f", ns / 1e3);
        else if (l.step >= 0)
            snprintf(us, sizeof(us), "fused");
        if (ns > 0 && ops > 0)
            snprintf(gops, sizeof(gops), "%.0f", ops * (double)b->cfg->batch / ns);
        fprintf(out, "%-32s %-10s %-16s %12llu %10s %9s  %s\n", srv_tail(l.name, 32), l.kind, shape,
                (unsigned long long)l.mult_adds, us, gops, l.kernel);
    }
}

static void print_json(const struct bench *b, FILE *out)
{
    const struct srv_measure *m = &b->m;
    fputs("{\"model\":", out);
    srv_print_json_string(out, b->info->name);
    fprintf(out,
            ",\"min_ms\":%.4f,\"median_ms\":%.4f,\"p99_ms\":%.4f,\"gops\":%.1f,"
            "\"peak_share\":%.4f,\"isa\":\"%s\",\"threads\":%d,\"batch\":%d,"
            "\"precision\":\"%s\",\"runs\":%d,\"mult_adds\":%llu,\"parameters\":%llu,"
            "\"peak_gops\":%.1f,\"peak_instruction\":\"%s\",\"weight_bytes\":%zu,"
            "\"context_bytes\":%zu,\"max_rss_kb\":%ld",
            m->min_ms, m->median_ms, m->p99_ms, m->gops, m->peak_share, b->info->isa,
            (int)b->cfg->threads, (int)b->cfg->batch, b->info->precision, m->runs,
            (unsigned long long)b->info->mult_adds, (unsigned long long)b->info->parameters,
            m->peak / 1e9, m->peak_name, b->info->weight_bytes, m->context_bytes, b->rss_kb);
    fprintf(out, ",\"tuned\":%d", eng_tuning_changes(b->model));
    srv_accuracy_print(&b->accuracy, 1, out);
    if (b->cfg->layers)
        print_layers_json(b, out);
    fputs("}\n", out);
}

static void print_text(const struct bench *b, FILE *out)
{
    const struct srv_measure *m = &b->m;
    fprintf(out, "%s, %s, %s, %d thread%s, batch %d, %d runs\n", b->info->name, b->info->precision,
            b->info->isa, (int)b->cfg->threads, b->cfg->threads > 1 ? "s" : "", (int)b->cfg->batch,
            m->runs);
    fprintf(out, "  min %.3f ms   median %.3f ms   p99 %.3f ms\n", m->min_ms, m->median_ms,
            m->p99_ms);
    fprintf(out, "  %.1f GOP/s, %.1f %% of this machine's %.1f GOP/s (%s)\n", m->gops,
            m->peak_share * 100, m->peak / 1e9, m->peak_name);
    fprintf(out, "  weights %.2f MB, context %.2f MB, peak resident %.1f MB\n",
            (double)b->info->weight_bytes / 1e6, (double)m->context_bytes / 1e6,
            (double)b->rss_kb / 1e3);
    if (b->cfg->tuned)
        fprintf(out, "  tuned: %d cuts differ from the cost model's\n",
                eng_tuning_changes(b->model));
    srv_accuracy_print(&b->accuracy, 0, out);
    if (b->cfg->layers)
        print_layers_text(b, out);
}

/* The layers' bars of --plot. */
static int plot(const struct bench *b, char *err, size_t errlen)
{
    int n = eng_model_layers(b->model);
    struct srv_plot_bar *bars = calloc((size_t)n + 1, sizeof(*bars));
    char title[160];
    if (!bars)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        struct eng_layer l;
        if (eng_model_layer(b->model, i, &l) < 0)
            continue;
        bars[i] =
            (struct srv_plot_bar){l.name, l.kind, (double)l.mult_adds,
                                  (double)srv_measure_layer_ns(&b->m, b->model, i, NULL) / 1e3};
    }
    snprintf(title, sizeof(title), "%s, %s, %s: %.3f ms", b->info->name, b->info->precision,
             b->info->isa, b->m.min_ms);
    int rc =
        srv_plot_layers(b->cfg->plot, title, "microseconds (of a fused step: at its first layer)",
                        bars, n, err, errlen);
    free(bars);
    return rc;
}

static int bench_one(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct bench b = {.cfg = cfg};
    struct rusage usage;
    struct srv_measure_options o = {.threads = (int)cfg->threads,
                                    .batch = (int)cfg->batch,
                                    .seconds = cfg->seconds,
                                    .layers = cfg->layers || cfg->plot[0],
                                    .tune = cfg->tuned,
                                    .cpu_bits = srv_allowed_cpu(cfg)};
    int rc = srv_chosen_model(&b.model, cfg, err, errlen);
    if (rc < 0)
        return rc;
    b.info = eng_model_info(b.model);
    rc = srv_measure_run(&b.m, b.model, &o, err, errlen);
    getrusage(RUSAGE_SELF, &usage);
    b.rss_kb = usage.ru_maxrss;
    if (rc == 0)
        rc = srv_accuracy_run(&b.accuracy, b.model, cfg, err, errlen);
    if (rc == 0) {
        if (cfg->json)
            print_json(&b, out);
        else
            print_text(&b, out);
        if (cfg->plot[0])
            rc = plot(&b, err, errlen);
    }
    srv_measure_finish(&b.m);
    eng_model_unref(b.model);
    return rc;
}

int srv_cmd_bench(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    if (cfg->images[0])
        return srv_bench_images(cfg, out, err, errlen);
    if (cfg->decode[0])
        return srv_bench_decode(cfg, out, err, errlen);
    return cfg->grid ? srv_bench_grid(cfg, out, err, errlen) : bench_one(cfg, out, err, errlen);
}
