/* Which values go in bands, and where. A value does if its maker works by bands and so do all its
 * readers; each band holds what its part of every reader's window asks for. */
#include "engine/plan/bands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan/memory.h"
#include "engine/plan/strips.h"

enum {
    LEAST_ROWS = 3,    /* of a band of a map: with fewer it would be mostly halo */
    LEAST_PIXELS = 32, /* fewer do not hide the weights, which each member then reads */
};
static const size_t MAX_BAND_ARENA = (size_t)1 << 34;

/* How a step works in bands: not; from banded input into one tensor for all, in two phases; by
 * bands of its output. */
enum way { APART, INTO_ONE, BY_BANDS };

struct design {
    const struct eng_plan *p;
    struct eng_bands *b;
    enum way *way;  /* [steps] */
    char *in_bands; /* [values] */
};

const struct eng_gemm_params *eng_gemm_of(const struct eng_step *s)
{
    return s->driver == &eng_drive_gemm ? s->params : NULL;
}

static const struct eng_dw *window_of(const struct eng_step *s)
{
    const struct eng_gemm_params *g = eng_gemm_of(s);
    if (s->driver == &eng_drive_dw)
        return s->params;
    return g && g->source == ENG_SOURCE_DW ? &g->dw : NULL;
}

void eng_rows_under(const struct eng_step *s, int y0, int y1, int *lo, int *hi)
{
    const struct eng_dw *dw = window_of(s);
    *lo = y0;
    *hi = y1;
    if (!dw)
        return;
    *lo = y0 * dw->geo.stride - dw->geo.top;
    *hi = (y1 - 1) * dw->geo.stride - dw->geo.top + 3;
    *lo = *lo < 0 ? 0 : *lo;
    *hi = eng_min(*hi, dw->geo.in_h);
}

int eng_knows_rows(const struct eng_step *s)
{
    if (eng_gemm_of(s))
        return eng_gemm_of(s)->source != ENG_SOURCE_IM2COL;
    return s->driver == &eng_drive_conv3 || s->driver == &eng_drive_dw ||
           s->driver == &eng_drive_add || s->driver == &eng_drive_lut;
}

static int is_large(const struct eng_value *v, int n)
{
    return v->rep == ENG_REP_C16 && v->h >= LEAST_ROWS * n && v->h * v->w >= LEAST_PIXELS * n;
}

static void choose_ways(struct design *d)
{
    const struct eng_plan *p = d->p;
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        const struct eng_dw *dw = window_of(s);
        if (eng_knows_rows(s) && is_large(&p->values[s->out], d->b->n))
            d->way[i] = BY_BANDS;
        else if (eng_gemm_of(s) && dw && dw->out_h >= d->b->n)
            d->way[i] = INTO_ONE;
    }
}

static void choose_values(struct design *d)
{
    const struct eng_plan *p = d->p;
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_value *v = &p->values[p->steps[i].out];
        d->in_bands[p->steps[i].out] = d->way[i] == BY_BANDS && !v->keep && v->rep == ENG_REP_C16;
    }
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; d->way[i] == APART && k < p->steps[i].n_in; k++)
            if (p->steps[i].in[k] >= 0)
                d->in_bands[p->steps[i].in[k]] = 0;
    /* A step without anything in bands on either side is left to its driver. */
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        int any = d->in_bands[s->out];
        for (int k = 0; k < s->n_in; k++)
            any |= s->in[k] >= 0 && d->in_bands[s->in[k]];
        if (!any)
            d->way[i] = APART;
    }
}

/* Widens the bands of a value to rows y0 .. y1-1. */
static void hold(struct eng_band *band, int y0, int y1)
{
    if (y1 <= y0)
        return;
    band->lo = band->hi ? eng_min(band->lo, y0) : y0;
    band->hi = y1 > band->hi ? y1 : band->hi;
}

static void choose_rows(struct design *d)
{
    const struct eng_plan *p = d->p;
    int n = d->b->n;
    for (int v = 0; v < p->n_values; v++)
        for (int b = 0; d->in_bands[v] && b < n; b++)
            hold(&d->b->of[v * n + b], eng_row_of_band(p->values[v].h, b, n),
                 eng_row_of_band(p->values[v].h, b + 1, n));
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        const struct eng_dw *dw = window_of(s);
        int h = dw ? dw->out_h : p->values[s->out].h;
        for (int k = 0; d->way[i] != APART && k < s->n_in; k++)
            for (int b = 0; d->in_bands[s->in[k]] && b < n; b++) {
                int lo, hi;
                eng_rows_under(s, eng_row_of_band(h, b, n), eng_row_of_band(h, b + 1, n), &lo, &hi);
                hold(&d->b->of[s->in[k] * n + b], lo, hi);
            }
    }
}

/* All bands share one set of offsets: each value takes what its largest band needs. */
static int place(struct design *d)
{
    const struct eng_plan *p = d->p;
    int n = d->b->n;
    struct eng_span *spans = calloc((size_t)p->n_values + 1, sizeof(*spans));
    if (!spans)
        return -ENOMEM;
    for (int v = 0; v < p->n_values; v++) {
        const struct eng_value *value = &p->values[v];
        int rows = 0;
        for (int b = 0; d->in_bands[v] && b < n; b++) {
            struct eng_band *band = &d->b->of[v * n + b];
            rows = band->hi - band->lo > rows ? band->hi - band->lo : rows;
        }
        size_t stride = eng_round_up((size_t)rows * eng_row_bytes(value), ENG_ALIGN);
        for (int b = 0; b < n; b++)
            d->b->of[v * n + b].stride = stride;
        spans[v] = (struct eng_span){.first = value->first, .last = value->last};
        if (rows > 0)
            spans[v].bytes = stride * (size_t)value->blocks + (size_t)2 * ENG_OVERREAD;
    }
    int rc = eng_memory_place(spans, p->n_values, MAX_BAND_ARENA, &d->b->bytes);
    if (rc < 0)
        goto done;
    for (int v = 0; v < p->n_values; v++)
        for (int b = 0; b < n; b++)
            d->b->of[v * n + b].offset = spans[v].offset + ENG_OVERREAD;
done:
    free(spans);
    return rc;
}

static void choose_splits(struct design *d)
{
    const struct eng_plan *p = d->p;
    int n = d->b->n;
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        struct eng_split *split = &d->b->splits[i];
        if (d->way[i] == APART)
            s->driver->split(s, 1, n, split);
        else
            eng_cost_bands(eng_gemm_of(s), p->values[s->out].h, n, d->way[i] == INTO_ONE, split);
    }
}

static int design(struct design *d)
{
    const struct eng_plan *p = d->p;
    d->way = calloc((size_t)p->n_steps + 1, sizeof(*d->way));
    d->in_bands = calloc((size_t)p->n_values + 1, 1);
    d->b->of = calloc((size_t)p->n_values * (size_t)d->b->n + 1, sizeof(*d->b->of));
    d->b->splits = calloc((size_t)p->n_steps + 1, sizeof(*d->b->splits));
    if (!d->way || !d->in_bands || !d->b->of || !d->b->splits)
        return -ENOMEM;
    choose_ways(d);
    choose_values(d);
    choose_rows(d);
    int rc = place(d);
    if (rc == 0 && d->b->bytes > 0)
        choose_splits(d);
    return rc;
}

int eng_bands_create(struct eng_bands **ret, const struct eng_plan *p, int members)
{
    struct design d = {.p = p};
    *ret = NULL;
    if (members < 2 || p->reference)
        return 0;
    d.b = calloc(1, sizeof(*d.b));
    if (!d.b)
        return -ENOMEM;
    d.b->n = eng_min(members, ENG_MAX_BANDS);
    int rc = design(&d);
    free(d.way);
    free(d.in_bands);
    if (rc < 0 || d.b->bytes == 0)
        eng_bands_destroy(d.b);
    else
        *ret = d.b;
    return rc;
}

void eng_bands_destroy(struct eng_bands *b)
{
    if (!b)
        return;
    free(b->of);
    free(b->splits);
    free(b);
}
