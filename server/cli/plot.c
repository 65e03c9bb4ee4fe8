/* SVG by printf. */
#include "server/cli/plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const colours[] = {"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728",
                                      "#9467bd", "#8c564b", "#7f7f7f"};
enum { N_COLOURS = sizeof(colours) / sizeof(colours[0]) };

static void text(FILE *f, double x, double y, const char *anchor, const char *s)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *s; s++) {
        if (*s == '<')
            fputs("&lt;", f);
        else if (*s == '&')
            fputs("&amp;", f);
        else
            putc(*s, f);
    }
    fputs("</text>\n", f);
}

static void line(FILE *f, double x1, double y1, double x2, double y2, const char *colour)
{
    fprintf(f,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"1\"/>\n",
            x1, y1, x2, y2, colour);
}

static void begin(FILE *f, double width, double height, const char *title)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<g font-size=\"14\">\n",
            width, height);
    text(f, 12, 20, "start", title);
    fputs("</g>\n", f);
}

/* Into a file of another name first: a plot is there whole or not at all. */
static int write_file(const char *path, void (*draw)(FILE *f, const void *arg), const void *arg,
                      char *err, size_t errlen)
{
    char part[4096];
    if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part)) {
        snprintf(err, errlen, "the name of the plot is too long");
        return -ENAMETOOLONG;
    }
    FILE *f = fopen(part, "w");
    int rc = f ? 0 : -errno;
    if (f) {
        draw(f, arg);
        fputs("</svg>\n", f);
        if (fflush(f) != 0 || ferror(f))
            rc = -EIO;
        if (fclose(f) != 0)
            rc = -EIO;
    }
    if (rc == 0 && rename(part, path) < 0)
        rc = -errno;
    if (rc < 0) {
        if (f)
            unlink(part);
        snprintf(err, errlen, "%s: %s", path, strerror(-rc));
    }
    return rc;
}

/* ---- layers ---- */

struct layers {
    const char *title, *times;
    const struct srv_plot_bar *bars;
    int n;
};

/* By order of first appearance of its kind. */
static int colour_of(const struct layers *l, int index)
{
    int colour = 0;
    for (int i = 0; i < index; i++) {
        int first = 1;
        if (strcmp(l->bars[i].kind, l->bars[index].kind) == 0)
            break;
        for (int k = 0; k < i; k++)
            first &= strcmp(l->bars[k].kind, l->bars[i].kind) != 0;
        colour += first;
    }
    return colour % N_COLOURS;
}

static void draw_layers(FILE *f, const void *arg)
{
    enum { TOP = 52, ROW = 16, NAMES = 190, HALF = 280, GAP = 74 };
    const struct layers *l = arg;
    double most_ops = 1, most_us = 0;
    for (int i = 0; i < l->n; i++) {
        most_ops = fmax(most_ops, l->bars[i].mult_adds);
        most_us = fmax(most_us, l->bars[i].us);
    }
    double width = NAMES + HALF + GAP + (most_us > 0 ? HALF + GAP : 0);
    begin(f, width, TOP + ROW * l->n + 12, l->title);
    text(f, NAMES, TOP - 10, "start", "million multiply-adds");
    if (most_us > 0)
        text(f, NAMES + HALF + GAP, TOP - 10, "start", l->times);
    for (int i = 0; i < l->n; i++) {
        const struct srv_plot_bar *b = &l->bars[i];
        double y = TOP + ROW * i;
        char label[48];
        size_t len = strlen(b->name);
        text(f, NAMES - 8, y + 11, "end", len > 28 ? b->name + len - 28 : b->name);
        const double values[2] = {b->mult_adds / most_ops, most_us > 0 ? b->us / most_us : 0};
        for (int k = 0; k < 2; k++) {
            double x = NAMES + k * (HALF + GAP);
            if (values[k] <= 0)
                continue;
            fprintf(f,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\">"
                    "<title>%s</title></rect>\n",
                    x, y + 2, values[k] * HALF, ROW - 4, colours[colour_of(l, i)], b->kind);
            snprintf(label, sizeof(label), k ? "%.1f" : "%.2f", k ? b->us : b->mult_adds / 1e6);
            text(f, x + values[k] * HALF + 4, y + 11, "start", label);
        }
    }
}

int srv_plot_layers(const char *path, const char *title, const char *times,
                    const struct srv_plot_bar *bars, int n, char *err, size_t errlen)
{
    struct layers l = {title, times, bars, n};
    return write_file(path, draw_layers, &l, err, errlen);
}

/* ---- points ---- */

struct points {
    const char *title;
    const struct srv_plot_point *points;
    int n, reference;
};

enum { LEFT = 70, TOP = 40, SIDE_X = 640, SIDE_Y = 420 };

/* Decades of an axis: powers of ten around lo .. hi. */
struct axis {
    double lo, hi, origin, length;
};

static double place(const struct axis *a, double v)
{
    return a->origin + a->length * (log10(v) - log10(a->lo)) / (log10(a->hi) - log10(a->lo));
}

static struct axis axis_of(const struct points *p, int vertical)
{
    double lo = INFINITY, hi = 0;
    for (int i = 0; i < p->n; i++) {
        double v = vertical ? p->points[i].ms : p->points[i].mult_adds / 1e6;
        lo = fmin(lo, v);
        hi = fmax(hi, v);
    }
    struct axis a = {.lo = lo / 1.5, .hi = hi * 1.5};
    a.origin = vertical ? TOP + SIDE_Y : LEFT;
    a.length = vertical ? -SIDE_Y : SIDE_X;
    return a;
}

static void draw_ticks(FILE *f, const struct axis *x, const struct axis *y)
{
    static const double steps[] = {1, 2, 5};
    for (int decade = -6; decade < 7; decade++) {
        for (int k = 0; k < 3; k++) {
            double v = steps[k] * pow(10, decade);
            char label[32];
            snprintf(label, sizeof(label), "%g", v);
            if (v >= x->lo && v <= x->hi) {
                line(f, place(x, v), TOP, place(x, v), TOP + SIDE_Y, "#dddddd");
                text(f, place(x, v), TOP + SIDE_Y + 16, "middle", label);
            }
            if (v >= y->lo && v <= y->hi) {
                line(f, LEFT, place(y, v), LEFT + SIDE_X, place(y, v), "#dddddd");
                text(f, LEFT - 6, place(y, v) + 4, "end", label);
            }
        }
    }
    text(f, LEFT + SIDE_X / 2.0, TOP + SIDE_Y + 34, "middle", "million multiply-adds");
    fprintf(f, "<g transform=\"translate(18,%.0f) rotate(-90)\">", TOP + SIDE_Y / 2.0);
    text(f, 0, 0, "middle", "milliseconds");
    fputs("</g>\n", f);
}

static void draw_points(FILE *f, const void *arg)
{
    const struct points *p = arg;
    struct axis x = axis_of(p, 0), y = axis_of(p, 1);
    const struct srv_plot_point *r = &p->points[p->reference];
    double slope = r->ms / (r->mult_adds / 1e6);
    begin(f, LEFT + SIDE_X + 90, TOP + SIDE_Y + 48, p->title);
    draw_ticks(f, &x, &y);
    double from = fmax(x.lo, y.lo / slope), to = fmin(x.hi, y.hi / slope);
    line(f, place(&x, from), place(&y, from * slope), place(&x, to), place(&y, to * slope),
         "#555555");
    for (int i = 0; i < p->n; i++) {
        const struct srv_plot_point *q = &p->points[i];
        double px = place(&x, q->mult_adds / 1e6), py = place(&y, q->ms);
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", px, py,
                colours[q->series % N_COLOURS]);
        /* Neighbours are mostly of the next series: every other one writes to the left. */
        if (q->series % 2)
            text(f, px - 7, py, "end", q->name);
        else
            text(f, px + 7, py + 8, "start", q->name);
    }
}

int srv_plot_points(const char *path, const char *title, const struct srv_plot_point *points, int n,
                    int reference, char *err, size_t errlen)
{
    struct points p = {title, points, n, reference};
    return write_file(path, draw_points, &p, err, errlen);
}
