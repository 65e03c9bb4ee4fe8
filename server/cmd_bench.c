/* `bench`: times whole runs of one network and sets them against the machine's arithmetic peak,
 * measured between the runs on as many threads: both see the same clock and the same neighbours. */
#include "engine/context.h"
#include "engine/peak.h"
#include "server/clock.h"
#include "server/cmd.h"
#include "server/crew.h"
#include "server/open_model.h"
#include "server/table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_RUNS = 1 << 20, MIN_RUNS = 5, PROFILED = 32, PEAK_SLICES = 4 };
static const uint64_t WARM_NS = 100 * SRV_NS_PER_MS;
static const uint64_t PEAK_EVERY_NS = 100 * SRV_NS_PER_MS;
/* Short enough to fit between two turns of a neighbour on the same core. */
static const double PEAK_SECONDS = 0.001;

struct bench {
    const struct cfg *cfg;
    struct eng_model *model;
    const struct eng_model_info *info;
    struct eng_context *context;
    struct srv_crew *crew;
    struct eng_team *team; /* open for as long as anything is measured */
    int batch, threads;
    enum eng_precision precision; /* of the arithmetic */
    uint32_t cpu_bits;
    float *ms; /* of each run */
    int n, cap;
    double peak; /* operations a second */
    const char *peak_name;
    uint64_t *step_ns; /* least of several runs, by layer's step */
    int steps;
};

/* Pixels of no picture, the same in every slot order and in every run. */
static void fill_input(struct bench *b)
{
    const struct eng_preprocess *p = &b->info->preprocess;
    size_t n = (size_t)p->height * (size_t)p->width * 3;
    uint32_t x = 12345;
    for (int slot = 0; slot < b->batch; slot++) {
        void *in = eng_context_input(b->context, slot);
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525u + 1013904223u;
            if (p->type == ENG_F32)
                ((float *)in)[i] = (float)(int32_t)x * 0x1p-31f;
            else
                ((uint8_t *)in)[i] = (uint8_t)(x >> 24);
        }
    }
}

static int run_once(struct bench *b, uint64_t *ret_ns)
{
    uint64_t start = srv_now_ns();
    int rc = eng_context_run(b->context, b->batch, b->team);
    *ret_ns = srv_now_ns() - start;
    return rc;
}

static int keep(struct bench *b, uint64_t ns)
{
    if (b->n == b->cap) {
        int cap = b->cap ? b->cap * 2 : 1024;
        float *ms = realloc(b->ms, (size_t)cap * sizeof(*ms));
        if (!ms)
            return -ENOMEM;
        b->ms = ms;
        b->cap = cap;
    }
    b->ms[b->n++] = (float)((double)ns / 1e6);
    return 0;
}

static void measure_peak(struct bench *b)
{
    double ops = eng_peak_measure(b->precision, b->cpu_bits, b->team, PEAK_SECONDS, &b->peak_name);
    if (ops > b->peak)
        b->peak = ops;
}

static int measure(struct bench *b)
{
    uint64_t ns, start = srv_now_ns(), next_peak = 0;
    int rc = 0;
    do
        rc = run_once(b, &ns);
    while (rc == 0 && srv_now_ns() - start < WARM_NS);
    start = srv_now_ns();
    uint64_t until = start + (uint64_t)(b->cfg->seconds * 1e9);
    while (rc == 0 && b->n < MAX_RUNS && (b->n < MIN_RUNS || srv_now_ns() < until)) {
        if (srv_now_ns() >= next_peak) {
            for (int i = 0; i < PEAK_SLICES; i++)
                measure_peak(b);
            next_peak = srv_now_ns() + PEAK_EVERY_NS;
        }
        rc = run_once(b, &ns);
        if (rc == 0)
            rc = keep(b, ns);
    }
    for (int i = 0; i < 2 * PEAK_SLICES; i++)
        measure_peak(b);
    return rc;
}

static int profile(struct bench *b)
{
    struct eng_layer layer;
    for (int i = 0; i < eng_model_layers(b->model); i++)
        if (eng_model_layer(b->model, i, &layer) == 0 && layer.step >= b->steps)
            b->steps = layer.step + 1;
    b->step_ns = malloc(((size_t)b->steps + 1) * sizeof(*b->step_ns));
    if (!b->step_ns)
        return -ENOMEM;
    memset(b->step_ns, 0xff, ((size_t)b->steps + 1) * sizeof(*b->step_ns));
    eng_context_profile(b->context, 1);
    int rc = 0;
    for (int k = 0; rc == 0 && k < PROFILED; k++) {
        uint64_t ns;
        rc = run_once(b, &ns);
        for (int i = 0; rc == 0 && i < b->steps; i++)
            if (eng_context_step_ns(b->context, i, &ns) == 0 && ns < b->step_ns[i])
                b->step_ns[i] = ns;
    }
    eng_context_profile(b->context, 0);
    return rc;
}

/* ---- results ---- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

struct summary {
    double min, median, p99, gops, share;
    long rss_kb;
};

static struct summary summarise(struct bench *b)
{
    struct rusage usage;
    qsort(b->ms, (size_t)b->n, sizeof(*b->ms), by_value);
    getrusage(RUSAGE_SELF, &usage);
    double ops = 2.0 * (double)b->info->mult_adds * b->batch;
    struct summary s = {.min = (double)b->ms[0],
                        .median = (double)b->ms[b->n / 2],
                        .p99 = (double)b->ms[(int)((b->n - 1) * 0.99)],
                        .rss_kb = usage.ru_maxrss};
    s.gops = ops / s.min / 1e6;
    s.share = ops / b->peak * 1e3 / s.min;
    return s;
}

/* A step's time belongs to its first layer; the layers that are fused into it show none. */
static int step_of(const struct bench *b, int index, struct eng_layer *ret, int *ret_first)
{
    struct eng_layer before;
    if (eng_model_layer(b->model, index, ret) < 0)
        return -1;
    *ret_first =
        index == 0 || eng_model_layer(b->model, index - 1, &before) < 0 || before.step != ret->step;
    return ret->step < b->steps ? ret->step : -1;
}

static void print_layers_json(const struct bench *b, FILE *out)
{
    fputs(",\n \"layers\":[", out);
    for (int i = 0; i < eng_model_layers(b->model); i++) {
        struct eng_layer l;
        int first, step = step_of(b, i, &l, &first);
        fputs(i ? ",\n  {\"name\":" : "\n  {\"name\":", out);
        srv_print_json_string(out, l.name);
        fprintf(out, ",\"kind\":\"%s\",\"step\":%d,\"mult_adds\":%llu,\"kernel\":\"%s\"", l.kind,
                l.step, (unsigned long long)l.mult_adds, l.kernel);
        if (step >= 0 && first)
            fprintf(out, ",\"us\":%.2f", (double)b->step_ns[step] / 1e3);
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
        int first, step = step_of(b, i, &l, &first);
        snprintf(shape, sizeof(shape), "%dx%dx%d", l.out_h, l.out_w, l.out_c);
        if (step >= 0 && first) {
            double ops = 0, ns = (double)b->step_ns[step];
            struct eng_layer fused;
            for (int k = i; eng_model_layer(b->model, k, &fused) == 0 && fused.step == step; k++)
                ops += 2.0 * (double)fused.mult_adds * b->batch;
            snprintf(us, sizeof(us), "%.1f", ns / 1e3);
            if (ops > 0)
                snprintf(gops, sizeof(gops), "%.0f", ops / ns);
        } else if (step >= 0) {
            snprintf(us, sizeof(us), "fused");
        }
        fprintf(out, "%-32s %-10s %-16s %12llu %10s %9s  %s\n", srv_tail(l.name, 32), l.kind, shape,
                (unsigned long long)l.mult_adds, us, gops, l.kernel);
    }
}

static void print_json(const struct bench *b, const struct summary *s, FILE *out)
{
    fputs("{\"model\":", out);
    srv_print_json_string(out, b->info->name);
    fprintf(out,
            ",\"min_ms\":%.4f,\"median_ms\":%.4f,\"p99_ms\":%.4f,\"gops\":%.1f,"
            "\"peak_share\":%.4f,\"isa\":\"%s\",\"threads\":%d,\"batch\":%d,"
            "\"precision\":\"%s\",\"runs\":%d,\"mult_adds\":%llu,\"parameters\":%llu,"
            "\"peak_gops\":%.1f,\"peak_instruction\":\"%s\",\"weight_bytes\":%zu,"
            "\"context_bytes\":%zu,\"max_rss_kb\":%ld",
            s->min, s->median, s->p99, s->gops, s->share, b->info->isa, b->threads, b->batch,
            b->info->precision, b->n, (unsigned long long)b->info->mult_adds,
            (unsigned long long)b->info->parameters, b->peak / 1e9, b->peak_name,
            b->info->weight_bytes, eng_context_bytes(b->context), s->rss_kb);
    if (b->cfg->layers)
        print_layers_json(b, out);
    fputs("}\n", out);
}

static void print_text(const struct bench *b, const struct summary *s, FILE *out)
{
    fprintf(out, "%s, %s, %s, %d thread%s, batch %d, %d runs\n", b->info->name, b->info->precision,
            b->info->isa, b->threads, b->threads > 1 ? "s" : "", b->batch, b->n);
    fprintf(out, "  min %.3f ms   median %.3f ms   p99 %.3f ms\n", s->min, s->median, s->p99);
    fprintf(out, "  %.1f GOP/s, %.1f %% of this machine's %.1f GOP/s (%s)\n", s->gops,
            s->share * 100, b->peak / 1e9, b->peak_name);
    fprintf(out, "  weights %.2f MB, context %.2f MB, peak resident %.1f MB\n",
            (double)b->info->weight_bytes / 1e6, (double)eng_context_bytes(b->context) / 1e6,
            (double)s->rss_kb / 1e3);
    if (b->cfg->layers)
        print_layers_text(b, out);
}

/* ---- the command ---- */

/* Helpers come when the kernel lets them; what is measured is the run with all of them. */
static void await_helpers(const struct bench *b)
{
    uint64_t until = srv_now_ns() + 1000 * (uint64_t)SRV_NS_PER_MS;
    while (b->team && eng_team_members(b->team) < b->threads && srv_now_ns() < until)
        sched_yield();
}

static int run_all(struct bench *b, char *err, size_t errlen)
{
    int rc = eng_context_create(&b->context, b->model, b->batch, b->threads, err, errlen);
    if (rc == 0)
        rc = srv_crew_create(&b->crew, b->threads);
    if (rc < 0)
        return rc;
    fill_input(b);
    b->team = srv_crew_begin(b->crew);
    await_helpers(b);
    rc = measure(b);
    if (rc == 0 && b->cfg->layers)
        rc = profile(b);
    srv_crew_end(b->crew);
    return rc;
}

int srv_cmd_bench(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct bench b = {.cfg = cfg, .batch = (int)cfg->batch, .threads = (int)cfg->threads};
    uint32_t allowed = 0;
    int rc = srv_open_model(&b.model, cfg, err, errlen);
    if (rc < 0)
        return rc;
    eng_cpu_parse(&allowed, cfg->isa);
    b.cpu_bits = eng_cpu_detect() & allowed;
    b.info = eng_model_info(b.model);
    b.precision = srv_precision(b.info->precision);
    rc = run_all(&b, err, errlen);
    if (rc == 0) {
        struct summary s = summarise(&b);
        if (cfg->json)
            print_json(&b, &s, out);
        else
            print_text(&b, &s, out);
    }
    if (rc < 0 && !err[0])
        snprintf(err, errlen, "%s", strerror(-rc));
    srv_crew_destroy(b.crew);
    eng_context_destroy(b.context);
    eng_model_unref(b.model);
    free(b.ms);
    free(b.step_ns);
    return rc;
}
