/* Which steps go in strips, how many waves, and the waves themselves. */
#include "engine/plan/strips.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/plan/bands.h"

struct design {
    const struct eng_plan *p;
    struct eng_strips *s;
};

static const struct eng_value *output_of(const struct design *d, int step)
{
    return &d->p->values[d->p->steps[step].out];
}

static struct eng_strip_cut *cut_of(const struct eng_strips *s, int band, int wave, int step)
{
    int n = s->end - s->first;
    return &s->cuts[(band * s->waves + wave) * n + step - s->first];
}

static int reads(const struct eng_step *s, int value)
{
    for (int k = 0; k < s->n_in; k++)
        if (s->in[k] == value)
            return 1;
    return 0;
}

/* ---- which steps ---- */

static int can_end(const struct design *d, int step)
{
    const struct eng_value *v = output_of(d, step);
    return eng_knows_rows(&d->p->steps[step]) && v->rep == ENG_REP_C16;
}

/* The step's map may live in strips of a chain that ends before step `end`. */
static int is_inner(const struct design *d, int step, int end)
{
    const struct eng_value *v = output_of(d, step);
    return can_end(d, step) && !v->keep && v->last < end && v->first == step;
}

/* Steps of the chain from `first` on for which strips pay: one past the last of them. */
static int end_of_chain(const struct design *d, int first)
{
    int end = first;
    for (int i = first; i < d->p->n_steps && can_end(d, i); i++) {
        int inner = 1;
        for (int k = first; k < i; k++)
            inner = inner && is_inner(d, k, i + 1);
        if (inner)
            end = i + 1;
        if (!eng_cost_is_large_map(output_of(d, i)))
            break;
    }
    return end;
}

/* Its input stays where it is until the last wave: any other may give its place to the chain's
 * output, which is made after its last reader, but layer by layer. */
static int can_begin(const struct design *d, int step)
{
    const struct eng_step *s = &d->p->steps[step];
    for (int k = 0; k < s->n_in; k++)
        if (s->in[k] < 0 || !d->p->values[s->in[k]].keep)
            return 0;
    return can_end(d, step) && eng_cost_is_large_map(output_of(d, step));
}

static void choose_chain(struct design *d)
{
    d->s->first = d->s->end = 0;
    for (int i = 0; i < d->p->n_steps; i++) {
        int end = can_begin(d, i) ? end_of_chain(d, i) : i;
        if (end - i >= 2) {
            d->s->first = i;
            d->s->end = end;
            return;
        }
    }
}

/* ---- which rows ---- */

/* What the readers of a step's output ask for in a wave. */
static void asked(const struct design *d, int band, int wave, int step, int *lo, int *hi)
{
    *lo = output_of(d, step)->h;
    *hi = 0;
    for (int t = step + 1; t < d->s->end; t++) {
        const struct eng_strip_cut *cut = cut_of(d->s, band, wave, t);
        int a, b;
        if (cut->y0 >= cut->y1 || !reads(&d->p->steps[t], d->p->steps[step].out))
            continue;
        eng_rows_under(&d->p->steps[t], cut->y0, cut->y1, &a, &b);
        *lo = eng_min(*lo, a);
        *hi = b > *hi ? b : *hi;
    }
}

static void cut_band(const struct design *d, int band)
{
    struct eng_strips *s = d->s;
    int h = output_of(d, s->end - 1)->h;
    int y0 = eng_row_of_band(h, band, s->bands), y1 = eng_row_of_band(h, band + 1, s->bands);
    for (int w = 0; w < s->waves; w++)
        *cut_of(s, band, w, s->end - 1) = (struct eng_strip_cut){
            .y0 = y0 + (y1 - y0) * w / s->waves, .y1 = y0 + (y1 - y0) * (w + 1) / s->waves};
    for (int step = s->end - 2; step >= s->first; step--) {
        int done = -1;
        for (int w = 0; w < s->waves; w++) {
            struct eng_strip_cut *cut = cut_of(s, band, w, step);
            int lo, hi;
            asked(d, band, w, step, &lo, &hi);
            if (done < 0)
                done = lo;
            cut->lo = eng_min(lo, done);
            cut->y0 = done;
            cut->y1 = hi > done ? hi : done;
            done = cut->y1;
        }
    }
}

/* Most rows of a step: that it makes in a wave, that its buffer holds. */
static void most_rows(const struct design *d, int step, int *made, int *held)
{
    *made = *held = 0;
    for (int i = 0; i < d->s->bands * d->s->waves; i++) {
        const struct eng_strip_cut *cut = cut_of(d->s, i / d->s->waves, i % d->s->waves, step);
        *made = cut->y1 - cut->y0 > *made ? cut->y1 - cut->y0 : *made;
        *held = cut->y1 - cut->lo > *held ? cut->y1 - cut->lo : *held;
    }
}

static void place(struct design *d)
{
    struct eng_strips *s = d->s;
    s->bytes = 0;
    for (int step = s->first; step < s->end; step++) {
        struct eng_strip_buffer *b = &s->buffers[step - s->first];
        const struct eng_value *v = output_of(d, step);
        int made, held;
        most_rows(d, step, &made, &held);
        eng_cost_strip(eng_gemm_of(&d->p->steps[step]), made, &s->splits[step - s->first]);
        *b = (struct eng_strip_buffer){0};
        if (step == s->end - 1)
            continue;
        /* an odd number of lines: blocks do not fall into one set of the cache */
        b->stride = eng_round_up((size_t)held * eng_row_bytes(v), ENG_ALIGN) | ENG_ALIGN;
        b->offset = s->bytes + ENG_OVERREAD;
        s->bytes += b->stride * (size_t)v->blocks + (size_t)2 * ENG_OVERREAD;
    }
    s->bytes = eng_round_up(s->bytes, ENG_ALIGN);
}

static int cut(struct design *d, int waves)
{
    struct eng_strips *s = d->s;
    free(s->cuts);
    s->waves = waves;
    s->cuts =
        calloc((size_t)s->bands * (size_t)waves * (size_t)(s->end - s->first), sizeof(*s->cuts));
    if (!s->cuts)
        return -ENOMEM;
    for (int band = 0; band < s->bands; band++)
        cut_band(d, band);
    place(d);
    return 0;
}

/* As few waves as keep the buffers in L2; ret: 0 if none do. */
static int choose_waves(struct design *d)
{
    int most = output_of(d, d->s->end - 1)->h / d->s->bands;
    for (int waves = 2; waves <= most; waves++) {
        int rc = cut(d, waves);
        if (rc < 0)
            return rc;
        if (d->s->bytes <= eng_cost_strip_bytes(d->s->bands))
            return 1;
    }
    return 0;
}

static int design(struct design *d)
{
    struct eng_strips *s = d->s;
    choose_chain(d);
    s->buffers = calloc((size_t)d->p->n_steps + 1, sizeof(*s->buffers));
    s->splits = calloc((size_t)d->p->n_steps + 1, sizeof(*s->splits));
    if (!s->buffers || !s->splits)
        return -ENOMEM;
    while (s->end - s->first >= 2) {
        int rc = choose_waves(d);
        if (rc != 0)
            return rc;
        s->end--;
    }
    return 0;
}

int eng_strips_create(struct eng_strips **ret, const struct eng_plan *p, int bands)
{
    *ret = NULL;
    if (p->reference)
        return 0;
    struct design d = {.p = p, .s = calloc(1, sizeof(*d.s))};
    if (!d.s)
        return -ENOMEM;
    d.s->bands = bands;
    int rc = design(&d);
    if (rc == 1)
        *ret = d.s;
    else
        eng_strips_destroy(d.s);
    return rc < 0 ? rc : 0;
}

void eng_strips_destroy(struct eng_strips *s)
{
    if (!s)
        return;
    free(s->cuts);
    free(s->buffers);
    free(s->splits);
    free(s);
}

/* ---- in a run ---- */

/* Rows that the wave before has made and this one sees move to the head of the buffer. */
static void keep_rows(const struct eng_call *c, int wave, int step)
{
    const struct eng_strips *s = c->strip->strips;
    const struct eng_strip_buffer *b = &s->buffers[step - s->first];
    if (wave == 0 || b->stride == 0)
        return;
    const struct eng_strip_cut *now = cut_of(s, c->strip->band, wave, step);
    const struct eng_strip_cut *before = cut_of(s, c->strip->band, wave - 1, step);
    const struct eng_value *v = eng_value_of(c, c->step->out);
    size_t skip = (size_t)(now->lo - before->lo) * eng_row_bytes(v);
    size_t bytes = (size_t)(now->y0 - now->lo) * eng_row_bytes(v);
    char *at = c->strip->buffers + b->offset;
    for (int k = 0; skip > 0 && k < v->blocks; k++, at += b->stride)
        memmove(at, at + skip, bytes);
}

static void run_wave(const struct eng_strips_job *job, struct eng_call *c, int wave, int member)
{
    const struct eng_strips *s = job->strips;
    uint64_t start = job->ns ? eng_clock_ns() : 0;
    for (int step = s->first; step < s->end; step++) {
        c->step = &c->run->plan->steps[step];
        c->split = &s->splits[step - s->first];
        keep_rows(c, wave, step);
        c->step->driver->phase[0](c, 0, c->split->dw_bands, member);
        if (job->ns) {
            uint64_t end = eng_clock_ns();
            atomic_fetch_add(&job->ns[step], (end - start) / (unsigned)job->share);
            start = end;
        }
    }
}

void eng_strips_run(void *arg, int begin, int end, int member)
{
    const struct eng_strips_job *job = arg;
    struct eng_strips const *s = job->strips;
    for (int band = begin; band < end; band++) {
        struct eng_strip_at at = {.strips = s, .band = band};
        struct eng_call call = *job->call;
        at.buffers = job->buffers + s->bytes * (size_t)(call.member0 + member);
        call.strip = &at;
        for (int wave = 0; wave < s->waves; wave++) {
            at.cuts = cut_of(s, band, wave, s->first);
            run_wave(job, &call, wave, member);
        }
    }
}
