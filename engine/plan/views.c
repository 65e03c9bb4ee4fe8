/* Which rows a unit makes and where values lie, for drivers: whole, in bands, or in strips. */
#include "engine/plan/bands.h"

#include <string.h>

#include "engine/plan/strips.h"

int eng_row_of_band(int h, int b, int n)
{
    return (int)(((int64_t)h * b + n / 2) / n);
}

/* ---- strips ---- */

/* The step of the chain whose output has a buffer, or -1. */
static int maker_of(const struct eng_call *c, int value)
{
    const struct eng_strips *s = c->strip->strips;
    int step = eng_value_of(c, value)->first;
    return step >= s->first && step < s->end - 1 && c->run->plan->steps[step].out == value ? step
                                                                                           : -1;
}

static int strip_view(const struct eng_call *c, int value, char **ret_at, size_t *ret_stride)
{
    int step = c->strip ? maker_of(c, value) : -1;
    if (step < 0)
        return 0;
    const struct eng_strips *s = c->strip->strips;
    const struct eng_strip_buffer *b = &s->buffers[step - s->first];
    size_t above =
        (size_t)c->strip->cuts[step - s->first].lo * eng_row_bytes(eng_value_of(c, value));
    *ret_at = c->strip->buffers + b->offset - above;
    *ret_stride = b->stride;
    return 1;
}

static void strip_rows(const struct eng_call *c, int u, int *y0, int *y1)
{
    const struct eng_strips *s = c->strip->strips;
    const struct eng_strip_cut *cut = &c->strip->cuts[c->step - c->run->plan->steps - s->first];
    *y0 = eng_min(cut->y0 + u % c->split->dw_bands * c->split->dw_rows, cut->y1);
    *y1 = eng_min(*y0 + c->split->dw_rows, cut->y1);
}

/* ---- bands ---- */

int eng_band_rows(const struct eng_call *c, int out_h, int u, int *y0, int *y1)
{
    const struct eng_split *s = c->split;
    if (c->strip) {
        strip_rows(c, u, y0, y1);
        return c->strip->band;
    }
    int band = u / s->dw_bands, first = eng_row_of_band(out_h, band, c->bands->n);
    int end = eng_row_of_band(out_h, band + 1, c->bands->n);
    *y0 = eng_min(first + u % s->dw_bands * s->dw_rows, end);
    *y1 = eng_min(*y0 + s->dw_rows, end);
    return band;
}

static char *arena_of(const struct eng_call *c, int band)
{
    return c->band_arena + c->bands->bytes * (size_t)band;
}

struct eng_view eng_view_of(const struct eng_call *c, int value, int image, int band)
{
    const struct eng_value *v = eng_value_of(c, value);
    struct eng_view strip;
    if (strip_view(c, value, &strip.at, &strip.stride))
        return strip;
    if (band >= 0 && c->bands) {
        const struct eng_band *b = &c->bands->of[value * c->bands->n + band];
        if (b->hi > 0)
            return (struct eng_view){
                arena_of(c, band) + b->offset - (size_t)b->lo * eng_row_bytes(v), b->stride};
    }
    return (struct eng_view){eng_value_at(c, value, image), v->stride};
}

/* Calls f for the piece of each block that rows y0 .. y1-1 have in the halo of another band. */
static void each_halo(const struct eng_call *c, int value, int band, int y0, int y1,
                      void (*f)(char *to, const char *from, size_t bytes))
{
    struct eng_view strip;
    if (!c->bands || strip_view(c, value, &strip.at, &strip.stride))
        return;
    const struct eng_value *v = eng_value_of(c, value);
    const struct eng_band *bands = &c->bands->of[value * c->bands->n];
    if (bands[band].hi == 0)
        return;
    struct eng_view from = eng_view_of(c, value, 0, band);
    for (int other = 0; other < c->bands->n; other++) {
        int lo = bands[other].lo > y0 ? bands[other].lo : y0, hi = eng_min(bands[other].hi, y1);
        if (other == band || lo >= hi)
            continue;
        struct eng_view to = eng_view_of(c, value, 0, other);
        size_t at = (size_t)lo * eng_row_bytes(v), bytes = (size_t)(hi - lo) * eng_row_bytes(v);
        for (size_t b = 0; b < (size_t)v->blocks; b++)
            f(to.at + b * to.stride + at, from.at + b * from.stride + at, bytes);
    }
}

static void claim(char *to, const char *from, size_t bytes)
{
    (void)from;
    for (size_t i = 0; i < bytes; i += ENG_ALIGN)
        __builtin_prefetch(to + i, 1);
}

static void push(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

void eng_band_claim(const struct eng_call *c, int value, int band, int y0, int y1)
{
    each_halo(c, value, band, y0, y1, claim);
}

void eng_band_push(const struct eng_call *c, int value, int band, int y0, int y1)
{
    each_halo(c, value, band, y0, y1, push);
}
