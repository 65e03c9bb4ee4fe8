/* Times whole runs of one network against the machine's arithmetic peak. */
#include "server/cli/measure.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/context.h"
#include "engine/peak.h"
#include "engine/tune.h"
#include "server/base/clock.h"
#include "server/cli/chosen_model.h"
#include "server/cli/team_threads.h"

enum { MAX_RUNS = 1 << 20, MIN_RUNS = 5, PROFILED = 32, PEAK_SLICES = 4 };
static const uint64_t PEAK_EVERY_NS = 100 * SRV_NS_PER_MS;
/* Short enough to fit between two turns of a neighbour on the same core. */
static const double PEAK_SECONDS = 0.001;

struct bench {
    const struct srv_measure_options *o;
    struct eng_model *model;
    const struct eng_model_info *info;
    struct eng_context *context;
    struct srv_team_threads *crew;
    struct eng_team *team;        /* open for as long as anything is measured */
    enum eng_precision precision; /* of the arithmetic */
    float *ms;                    /* of each run */
    int n, cap;
    struct srv_measure r;
};

/* Pixels of no picture, the same in every slot order and in every run; by the image door. */
static void fill_input(struct bench *b)
{
    const struct eng_preprocess *p = &b->info->picture;
    size_t n = (size_t)p->height * (size_t)p->width * 3;
    uint32_t x = 12345;
    for (int slot = 0; slot < b->o->batch; slot++) {
        void *in = eng_context_picture(b->context, slot);
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
    int rc = eng_context_run(b->context, b->o->batch, b->team);
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
    double ops =
        eng_peak_measure(b->precision, b->o->cpu_bits, b->team, PEAK_SECONDS, &b->r.peak_name);
    if (ops > b->r.peak)
        b->r.peak = ops;
}

static int measure(struct bench *b)
{
    uint64_t ns, start = srv_now_ns(), next_peak = 0;
    uint64_t warm = (uint64_t)(b->o->seconds * 1e8); /* a tenth */
    int rc = 0;
    do
        rc = run_once(b, &ns);
    while (rc == 0 && srv_now_ns() - start < warm);
    start = srv_now_ns();
    uint64_t until = start + (uint64_t)(b->o->seconds * 1e9);
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
        if (eng_model_layer(b->model, i, &layer) == 0 && layer.step >= b->r.steps)
            b->r.steps = layer.step + 1;
    b->r.step_ns = malloc(((size_t)b->r.steps + 1) * sizeof(*b->r.step_ns));
    if (!b->r.step_ns)
        return -ENOMEM;
    memset(b->r.step_ns, 0xff, ((size_t)b->r.steps + 1) * sizeof(*b->r.step_ns));
    eng_context_profile(b->context, 1);
    int rc = 0;
    for (int k = 0; k < PROFILED; k++) {
        uint64_t ns;
        rc = run_once(b, &ns);
        if (rc < 0)
            break;
        for (int i = 0; i < b->r.steps; i++)
            if (eng_context_step_ns(b->context, i, &ns) == 0 && ns < b->r.step_ns[i])
                b->r.step_ns[i] = ns;
    }
    eng_context_profile(b->context, 0);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void summarise(struct bench *b)
{
    double ops = 2.0 * (double)b->info->mult_adds * b->o->batch;
    qsort(b->ms, (size_t)b->n, sizeof(*b->ms), by_value);
    b->r.runs = b->n;
    b->r.min_ms = (double)b->ms[0];
    b->r.median_ms = (double)b->ms[b->n / 2];
    b->r.p99_ms = (double)b->ms[(int)((b->n - 1) * 0.99)];
    b->r.gops = ops / b->r.min_ms / 1e6;
    b->r.peak_share = ops / b->r.peak * 1e3 / b->r.min_ms;
    b->r.context_bytes = eng_context_bytes(b->context);
}

/* Helpers come when the kernel lets them; what is measured is the run with all of them. */
static void await_helpers(const struct bench *b)
{
    uint64_t until = srv_now_ns() + 1000 * (uint64_t)SRV_NS_PER_MS;
    while (b->team && eng_team_members(b->team) < b->o->threads && srv_now_ns() < until)
        sched_yield();
}

static int tune(struct bench *b, char *err, size_t errlen)
{
    struct eng_tuner *t;
    int rc = eng_tuner_create(&t, b->model, b->o->threads, err, errlen);
    if (rc < 0)
        return rc;
    do {
        b->team = srv_team_threads_begin(b->crew);
        await_helpers(b);
        rc = eng_tuner_step(t, b->team);
        srv_team_threads_end(b->crew);
    } while (rc == 1);
    eng_tuner_destroy(t);
    return rc;
}

static int run_all(struct bench *b, char *err, size_t errlen)
{
    int rc = srv_team_threads_create(&b->crew, b->o->threads);
    if (rc == 0 && b->o->tune)
        rc = tune(b, err, errlen);
    if (rc == 0)
        rc = eng_context_create(&b->context, b->model, b->o->batch, b->o->threads, err, errlen);
    if (rc < 0)
        return rc;
    fill_input(b);
    b->team = srv_team_threads_begin(b->crew);
    await_helpers(b);
    rc = measure(b);
    if (rc == 0 && b->o->layers)
        rc = profile(b);
    srv_team_threads_end(b->crew);
    return rc;
}

int srv_measure_run(struct srv_measure *ret, struct eng_model *m,
                    const struct srv_measure_options *options, char *err, size_t errlen)
{
    struct bench b = {.o = options, .model = m, .info = eng_model_info(m)};
    b.precision = srv_precision(b.info->precision);
    int rc = run_all(&b, err, errlen);
    if (rc == 0) {
        summarise(&b);
        *ret = b.r;
        b.r.step_ns = NULL;
    } else if (!err[0]) {
        snprintf(err, errlen, "%s", strerror(-rc));
    }
    srv_team_threads_destroy(b.crew);
    eng_context_destroy(b.context);
    srv_measure_finish(&b.r);
    free(b.ms);
    return rc;
}

void srv_measure_finish(struct srv_measure *m)
{
    free(m->step_ns);
    m->step_ns = NULL;
}

uint64_t srv_measure_layer_ns(const struct srv_measure *m, const struct eng_model *model, int layer,
                              double *ret_ops)
{
    struct eng_layer l, other;
    double ops = 0;
    if (!m->step_ns || eng_model_layer(model, layer, &l) < 0 || l.step < 0 || l.step >= m->steps ||
        m->step_ns[l.step] == UINT64_MAX)
        return 0;
    if (layer > 0 && eng_model_layer(model, layer - 1, &other) == 0 && other.step == l.step)
        return 0;
    for (int i = layer; eng_model_layer(model, i, &other) == 0 && other.step == l.step; i++)
        ops += 2.0 * (double)other.mult_adds;
    if (ret_ops)
        *ret_ops = ops;
    return m->step_ns[l.step];
}
