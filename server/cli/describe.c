/* `describe`: a network as the paper describes one: layers, multiply-adds, parameters, and where
 * they go. Howard et al. 2017, equations 2 to 5 and tables 1 and 2. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "server/base/table.h"
#include "server/cli/accuracy.h"
#include "server/cli/chosen_model.h"
#include "server/cli/commands.h"
#include "server/cli/measure.h"
#include "server/cli/plot.h"
#include "server/cli/predict.h"

enum { MAX_KINDS = 16 };

struct kind {
    const char *name;
    int layers;
    uint64_t mult_adds, parameters;
};

struct totals {
    struct kind kinds[MAX_KINDS];
    int n;
    uint64_t mult_adds, parameters;
    uint64_t activations; /* values that layers write, of one image */
    double predicted_us;
    uint64_t full; /* multiply-adds if every depthwise + pointwise pair were a convolution */
};

static struct kind *kind_of(struct totals *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->kinds[i].name, name) == 0)
            return &t->kinds[i];
    if (t->n == MAX_KINDS)
        return &t->kinds[MAX_KINDS - 1];
    t->kinds[t->n].name = name;
    return &t->kinds[t->n++];
}

/* A depthwise layer and the pointwise behind it stand for a convolution of DK*DK*M*N*DF*DF. */
static uint64_t full_cost(const struct eng_model *m, int index, const struct eng_layer *l)
{
    struct eng_layer next;
    if (strcmp(l->kind, "depthwise") == 0 && eng_model_layer(m, index + 1, &next) == 0 &&
        strcmp(next.kind, "pointwise") == 0)
        return next.mult_adds * (uint64_t)l->kernel_h * (uint64_t)l->kernel_w;
    struct eng_layer before;
    if (strcmp(l->kind, "pointwise") == 0 && index > 0 &&
        eng_model_layer(m, index - 1, &before) == 0 && strcmp(before.kind, "depthwise") == 0)
        return 0;
    return l->mult_adds;
}

static void add_up(const struct eng_model *m, const struct srv_predict *p, struct totals *t)
{
    memset(t, 0, sizeof(*t));
    for (int i = 0; i < eng_model_layers(m); i++) {
        struct eng_layer l;
        if (eng_model_layer(m, i, &l) < 0)
            continue;
        struct kind *k = kind_of(t, l.kind);
        k->layers++;
        k->mult_adds += l.mult_adds;
        k->parameters += l.parameters;
        t->mult_adds += l.mult_adds;
        t->parameters += l.parameters;
        t->activations += (uint64_t)l.out_h * (uint64_t)l.out_w * (uint64_t)l.out_c;
        t->full += full_cost(m, i, &l);
        t->predicted_us += srv_predict_layer_us(p, &l);
    }
}

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 0;
}

static void print_layers(const struct eng_model *m, const struct srv_predict *p,
                         const struct srv_measure *r, FILE *out)
{
    fprintf(out, "%-32s %-10s %6s %-16s %-16s %13s %11s %12s", "layer", "kind", "stride", "input",
            "output", "mult-adds", "parameters", "predicted us");
    fprintf(out, r ? " %9s  %s\n" : "%.0s  %s\n", "us", "kernel");
    for (int i = 0; i < eng_model_layers(m); i++) {
        struct eng_layer l;
        char in[48], shape[48], cost[32], parameters[32];
        if (eng_model_layer(m, i, &l) < 0)
            continue;
        snprintf(in, sizeof(in), "%dx%dx%d", l.in_h, l.in_w, l.in_c);
        snprintf(shape, sizeof(shape), "%dx%dx%d", l.out_h, l.out_w, l.out_c);
        fprintf(out, "%-32s %-10s %6d %-16s %-16s %13s %11s %12.1f", srv_tail(l.name, 32), l.kind,
                l.stride, in, shape, srv_group_digits(l.mult_adds, cost),
                srv_group_digits(l.parameters, parameters), srv_predict_layer_us(p, &l));
        double us = r ? (double)srv_measure_layer_ns(r, m, i, NULL) / 1e3 : 0;
        if (us > 0)
            fprintf(out, " %9.1f", us);
        else if (r)
            fprintf(out, " %9s", l.step >= 0 ? "fused" : "");
        fprintf(out, "  %s", l.kernel);
        if (l.density < 1)
            fprintf(out, ", %.0f %% of the weights", 100 * l.density);
        fputc('\n', out);
    }
}

static void print_scores(const struct eng_model_info *info, FILE *out)
{
    const char *end = eng_activation_name(info->end), *from = info->activation_from;
    if (info->no_classes[0]) {
        fprintf(out, "no classifier: %s\n\n", info->no_classes);
        return;
    }
    fprintf(out, "scores: %s, ", eng_activation_name(info->activation));
    if (strcmp(from, "graph") == 0)
        fputs("as the graph ends\n\n", out);
    else
        fprintf(out, "%s; the graph ends in %s\n\n",
                strcmp(from, "manifest") == 0 ? "as model.json says" : "for nothing else is said",
                info->end == ENG_ACTIVATION_NONE ? "neither softmax nor sigmoid" : end);
}

static void print_text(const struct eng_model *m, const struct totals *t,
                       const struct srv_predict *p, const struct srv_measure *r,
                       const struct srv_accuracy *accuracy, FILE *out)
{
    const struct eng_model_info *info = eng_model_info(m);
    char a[32], b[32];
    fprintf(out, "%s version %s: %s, %s, %dx%d, %d outputs, %s\n", info->name, info->version,
            info->format, info->precision, info->preprocess.height, info->preprocess.width,
            info->outputs, info->isa);
    print_scores(info, out);
    print_layers(m, p, r, out);
    fprintf(out, "\n%-12s %7s %16s %7s %14s %7s\n", "kind", "layers", "mult-adds", "%",
            "parameters", "%");
    for (int i = 0; i < t->n; i++) {
        const struct kind *k = &t->kinds[i];
        fprintf(out, "%-12s %7d %16s %7.2f %14s %7.2f\n", k->name, k->layers,
                srv_group_digits(k->mult_adds, a), percent(k->mult_adds, t->mult_adds),
                srv_group_digits(k->parameters, b), percent(k->parameters, t->parameters));
    }
    fprintf(out, "%-12s %7d %16s %7s %14s\n", "total", eng_model_layers(m),
            srv_group_digits(t->mult_adds, a), "", srv_group_digits(t->parameters, b));
    fprintf(out, "\n%.1f million mult-adds, %.2f million parameters", (double)t->mult_adds / 1e6,
            (double)t->parameters / 1e6);
    if (t->full > t->mult_adds)
        fprintf(out, "; as full convolutions %.1f million, %.1f times as many",
                (double)t->full / 1e6, (double)t->full / (double)t->mult_adds);
    fprintf(out, "\n%s activations written, weights %.2f MB packed\n",
            srv_group_digits(t->activations, a), (double)info->weight_bytes / 1e6);
    srv_accuracy_print(accuracy, 0, out);
    fprintf(out, "predicted %.3f ms on one thread, at %.1f GOP/s that its arithmetic reaches\n",
            t->predicted_us / 1e3, p->peak / 1e9);
    if (r)
        fprintf(
            out,
            "measured %.3f ms on one thread, %.1f %% of the machine's peak; at the peak it would "
            "be %.3f ms; activations and scratch %.2f MB\n",
            r->min_ms, r->peak_share * 100, r->min_ms * r->peak_share,
            (double)r->context_bytes / 1e6);
}

static void print_layer_json(const struct eng_layer *l, double predicted, double us, FILE *out)
{
    fputs("{\"name\":", out);
    srv_print_json_string(out, l->name);
    fprintf(out,
            ",\"kind\":\"%s\",\"stride\":%d,\"kernel_size\":[%d,%d],\"input\":[%d,%d,%d],"
            "\"output\":[%d,%d,%d],\"mult_adds\":%llu,\"parameters\":%llu,\"kernel\":\"%s\","
            "\"step\":%d,\"density\":%.4g,\"predicted_us\":%.2f",
            l->kind, l->stride, l->kernel_h, l->kernel_w, l->in_h, l->in_w, l->in_c, l->out_h,
            l->out_w, l->out_c, (unsigned long long)l->mult_adds, (unsigned long long)l->parameters,
            l->kernel, l->step, l->density, predicted);
    if (us > 0)
        fprintf(out, ",\"us\":%.2f", us);
    fputs("}", out);
}

static void print_info_json(const struct eng_model_info *info, FILE *out)
{
    const struct {
        const char *key, *value;
    } strings[] = {
        {"name", info->name},       {"version", info->version},     {"family", info->family},
        {"variant", info->variant}, {"licence", info->licence},     {"format", info->format},
        {"isa", info->isa},         {"precision", info->precision}, {"sha256", info->digest},
    };
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        fprintf(out, "%c\"%s\":", i ? ',' : '{', strings[i].key);
        srv_print_json_string(out, strings[i].value);
    }
    fprintf(out, ",\"height\":%d,\"width\":%d,\"outputs\":%d,\"class_offset\":%d,\"embedding\":%d",
            info->preprocess.height, info->preprocess.width, info->outputs, info->class_offset,
            info->embedding);
    fprintf(out, ",\"ends_in\":\"%s\",\"activation\":\"%s\",\"activation_from\":\"%s\"",
            eng_activation_name(info->end), eng_activation_name(info->activation),
            info->activation_from);
    fputs(",\"no_classes\":", out);
    srv_print_json_string(out, info->no_classes);
}

static void print_json(const struct eng_model *m, const struct totals *t,
                       const struct srv_predict *p, const struct srv_measure *r,
                       const struct srv_accuracy *accuracy, FILE *out)
{
    const struct eng_model_info *info = eng_model_info(m);
    print_info_json(info, out);
    fprintf(out,
            ",\"mult_adds\":%llu,\"parameters\":%llu,\"full_mult_adds\":%llu,"
            "\"activations\":%llu,\"weight_bytes\":%zu,\"predicted_ms\":%.4f",
            (unsigned long long)t->mult_adds, (unsigned long long)t->parameters,
            (unsigned long long)t->full, (unsigned long long)t->activations, info->weight_bytes,
            t->predicted_us / 1e3);
    if (r)
        fprintf(out, ",\"min_ms\":%.4f,\"peak_share\":%.4f,\"context_bytes\":%zu", r->min_ms,
                r->peak_share, r->context_bytes);
    srv_accuracy_print(accuracy, 1, out);
    fputs(",\n \"kinds\":[", out);
    for (int i = 0; i < t->n; i++) {
        const struct kind *k = &t->kinds[i];
        fprintf(out,
                "%s{\"kind\":\"%s\",\"layers\":%d,\"mult_adds\":%llu,\"mult_adds_percent\":%.2f,"
                "\"parameters\":%llu,\"parameters_percent\":%.2f}",
                i ? "," : "", k->name, k->layers, (unsigned long long)k->mult_adds,
                percent(k->mult_adds, t->mult_adds), (unsigned long long)k->parameters,
                percent(k->parameters, t->parameters));
    }
    fputs("],\n \"layers\":[", out);
    for (int i = 0; i < eng_model_layers(m); i++) {
        struct eng_layer l;
        if (eng_model_layer(m, i, &l) < 0)
            continue;
        fputs(i ? ",\n  " : "\n  ", out);
        print_layer_json(&l, srv_predict_layer_us(p, &l),
                         r ? (double)srv_measure_layer_ns(r, m, i, NULL) / 1e3 : 0, out);
    }
    fputs("]}\n", out);
}

static int plot(const struct eng_model *m, const struct totals *t, const struct srv_predict *p,
                const struct srv_measure *r, const char *path, char *err, size_t errlen)
{
    int n = eng_model_layers(m);
    struct srv_plot_bar *bars = calloc((size_t)n + 1, sizeof(*bars));
    char title[200];
    if (!bars)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        struct eng_layer l;
        if (eng_model_layer(m, i, &l) < 0)
            continue;
        double us =
            r ? (double)srv_measure_layer_ns(r, m, i, NULL) / 1e3 : srv_predict_layer_us(p, &l);
        bars[i] = (struct srv_plot_bar){l.name, l.kind, (double)l.mult_adds, us};
    }
    snprintf(title, sizeof(title), "%s: %.1f million multiply-adds, %.2f million parameters",
             eng_model_info(m)->name, (double)t->mult_adds / 1e6, (double)t->parameters / 1e6);
    const char *times =
        r ? "microseconds (of a fused step: at its first layer)" : "microseconds, predicted";
    int rc = srv_plot_layers(path, title, times, bars, n, err, errlen);
    free(bars);
    return rc;
}

static int describe(const struct cfg *cfg, struct eng_model *m, FILE *out, char *err, size_t errlen)
{
    struct totals t;
    struct srv_predict p;
    struct srv_measure measured = {0}, *r = NULL;
    struct srv_accuracy accuracy;
    struct srv_measure_options o = {
        .threads = 1, .batch = 1, .seconds = 1, .layers = 1, .cpu_bits = srv_allowed_cpu(cfg)};
    int rc = cfg->measure ? srv_measure_run(&measured, m, &o, err, errlen) : 0;
    if (rc < 0)
        return rc;
    if (cfg->measure)
        r = &measured;
    srv_predict_init(&p, m, o.cpu_bits, measured.peak);
    add_up(m, &p, &t);
    rc = srv_accuracy_run(&accuracy, m, cfg, err, errlen);
    if (rc == 0 && cfg->json)
        print_json(m, &t, &p, r, &accuracy, out);
    else if (rc == 0)
        print_text(m, &t, &p, r, &accuracy, out);
    if (rc == 0 && cfg->plot[0])
        rc = plot(m, &t, &p, r, cfg->plot, err, errlen);
    srv_measure_finish(&measured);
    return rc;
}

int srv_cmd_describe(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct eng_model *m;
    int rc = srv_chosen_model(&m, cfg, err, errlen);
    if (rc < 0)
        return rc;
    rc = describe(cfg, m, out, err, errlen);
    eng_model_unref(m);
    return rc;
}
