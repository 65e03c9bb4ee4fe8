/* One sample, one histogram, in the form that the scraper asked for. */
#include "server/handlers/metrics_write.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/utf8.h"

static const struct {
    const char *name, *type, *labels, *help;
} metrics[SRV_METRICS] = {
#define METRIC(name, type, unit, labels, help) {#name, #type, labels, help},
#include "server/handlers/metrics.def"
};

/* OpenMetrics calls a counter's family what stands before _total. */
static int family_length(const struct srv_page *p, enum srv_metric m)
{
    size_t len = strlen(metrics[m].name);
    return (int)(p->open && strcmp(metrics[m].type, "counter") == 0 ? len - strlen("_total") : len);
}

void srv_page_head(const struct srv_page *p, enum srv_metric m)
{
    int len = family_length(p, m);
    fprintf(p->f, "# HELP mobilenetd_%.*s %s\n# TYPE mobilenetd_%.*s %s\n", len, metrics[m].name,
            metrics[m].help, len, metrics[m].name, metrics[m].type);
}

/* What clients of the repository wrote (names of folders, members of manifests) must not end the
 * value or the line, and must be UTF-8: one bad byte and the scraper takes nothing at all. */
static void put_value(FILE *f, const char *s)
{
    size_t n = 0;
    for (size_t left = strlen(s); left > 0; s += n, left -= n) {
        int valid = proto_utf8_char(s, left);
        n = valid > 0 ? (size_t)valid : 1;
        if (!valid)
            fputs("\xef\xbf\xbd", f);
        else if (*s == '\n')
            fputs("\\n", f);
        else
            fprintf(f, "%s%.*s", *s == '"' || *s == '\\' ? "\\" : "", (int)n, s);
    }
}

/* `KEY="VALUE",…`, a value for each label of the list. */
static void put_labels(FILE *f, enum srv_metric m, const char *const *values)
{
    const char *before = "";
    for (const char *key = metrics[m].labels; *key; before = ",") {
        size_t len = strcspn(key, " ");
        fprintf(f, "%s%.*s=\"", before, (int)len, key);
        put_value(f, *values++);
        putc('"', f);
        key += len + (key[len] == ' ');
    }
}

void srv_page_sample(const struct srv_page *p, enum srv_metric m, const char *const *values,
                     double value)
{
    int labelled = metrics[m].labels[0] != 0;
    fprintf(p->f, "mobilenetd_%s%s", metrics[m].name, labelled ? "{" : "");
    put_labels(p->f, m, values);
    fprintf(p->f, "%s %.15g\n", labelled ? "}" : "", value);
}

static void put_exemplar(FILE *f, const struct srv_exemplar *e)
{
    if (e->trace[0])
        fprintf(f, " # {trace_id=\"%s\"} %.9g %llu.%03u", e->trace, e->value,
                (unsigned long long)(e->at_ms / 1000), (unsigned)(e->at_ms % 1000));
}

void srv_page_histogram(const struct srv_page *p, enum srv_metric m, const char *const *values,
                        const struct srv_edges *e, const struct srv_buckets *b,
                        const struct srv_exemplar *exemplars)
{
    char *labels = NULL;
    size_t len = 0;
    const char *name = metrics[m].name;
    FILE *f = open_memstream(&labels, &len); /* the same for some twenty lines */
    if (!f)
        return;
    put_labels(f, m, values);
    if (fclose(f) == 0) {
        const char *comma = len ? "," : "", *open = len ? "{" : "", *close = len ? "}" : "";
        uint64_t n = 0;
        for (int i = 0; i <= e->n; i++) {
            n += b->n[i];
            fprintf(p->f, "mobilenetd_%s_bucket{%s%sle=\"", name, labels, comma);
            if (i == e->n)
                fputs("+Inf", p->f);
            else /* OpenMetrics knows floats alone */
                fprintf(p->f, e->at[i] == (int)e->at[i] ? "%.1f" : "%g", e->at[i]);
            fprintf(p->f, "\"} %llu", (unsigned long long)n);
            if (p->open && exemplars)
                put_exemplar(p->f, &exemplars[i]);
            putc('\n', p->f);
        }
        fprintf(p->f, "mobilenetd_%s_sum%s%s%s %.9g\n", name, open, labels, close, b->sum);
        fprintf(p->f, "mobilenetd_%s_count%s%s%s %llu\n", name, open, labels, close,
                (unsigned long long)n);
    }
    free(labels);
}
