/* What teams lose to a scheduler that is not on their side: more members than processors, and a
 * member that is taken off its processor for 50 ms at a time, wherever it happens to stand.
 *
 * V1 1.0/224 int8, one image a run. The stop is a signal whose handler sleeps: as with SIGSTOP and
 * SIGCONT, the thread makes no step meanwhile and keeps what it holds. Prints figures; fails only
 * if a result differs from the one of a thread alone (a deadlock never comes back). */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/context.h"

enum { MOST = 8, RUNS = 200, STOP_EVERY = 10, CLASSES = 1000 };
static const long STOP_NS = 50000000;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void stand_still(int signal)
{
    (void)signal;
    nanosleep(&(struct timespec){.tv_nsec = STOP_NS}, NULL);
}

struct crew {
    struct eng_team *team;
    atomic_int over;
};

static void *help(void *arg)
{
    struct crew *c = arg;
    while (!atomic_load(&c->over))
        eng_team_help(c->team);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs that differ from `want`. `ms`: of each run, sorted at the end. */
static int run_all(struct eng_context *context, struct crew *c, pthread_t stopped, int stops,
                   const float *want, double ms[RUNS])
{
    int wrong = 0;
    for (int i = 0; i < RUNS; i++) {
        double from = now_ms();
        if (stops && i % STOP_EVERY == 0)
            pthread_kill(stopped, SIGUSR1);
        wrong += eng_context_run(context, 1, c->team) < 0;
        ms[i] = now_ms() - from;
        wrong += memcmp(eng_context_logits(context, 0), want, CLASSES * sizeof(*want)) != 0;
    }
    qsort(ms, RUNS, sizeof(*ms), by_value);
    return wrong;
}

/* 1 if a run failed or differed. */
static int measure(struct eng_model *m, int members, int stops, float *want)
{
    struct eng_context *context;
    struct crew c = {NULL, 0};
    pthread_t threads[MOST];
    char err[200];
    double ms[RUNS];
    if (eng_context_create(&context, m, 1, members, err, sizeof(err)) < 0 ||
        (members > 1 && eng_team_create(&c.team, members) < 0))
        return 1;
    memset(eng_context_input(context, 0), 77, (size_t)224 * 224 * 3);
    int n = 0;
    if (c.team)
        eng_team_begin(c.team);
    while (n < members - 1 && pthread_create(&threads[n], NULL, help, &c) == 0)
        n++;
    if (members == 1 && eng_context_run(context, 1, NULL) == 0)
        memcpy(want, eng_context_logits(context, 0), CLASSES * sizeof(*want));
    int wrong = run_all(context, &c, n ? threads[0] : pthread_self(), stops && n, want, ms);
    atomic_store(&c.over, 1);
    if (c.team)
        eng_team_end(c.team);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    eng_team_destroy(c.team);
    eng_context_destroy(context);
    double sum = 0;
    for (int i = 0; i < RUNS; i++)
        sum += ms[i];
    printf("%8d %8s %9.3f %9.3f %9.3f %9.3f %6d\n", members, stops ? "50 ms" : "none", ms[0],
           ms[RUNS / 2], sum / RUNS, ms[RUNS - 1], wrong);
    return wrong != 0;
}

int main(void)
{
    struct eng_model *m;
    struct eng_mobilenet_spec spec = {
        .generation = 1, .alpha = 1, .rho = 224, .classes = CLASSES, .seed = 1};
    struct eng_model_options options = {.precision = ENG_PRECISION_INT8,
                                        .cpu_bits = eng_cpu_detect()};
    float want[CLASSES];
    char err[200] = "";
    struct sigaction action = {.sa_handler = stand_still};
    sigaction(SIGUSR1, &action, NULL);
    if (eng_model_build(&m, &spec, &options, err, sizeof(err)) < 0) {
        fprintf(stderr, "bench_preempt: %s\n", err);
        return 1;
    }
    printf("%8s %8s %9s %9s %9s %9s %6s\n", "members", "stops", "min ms", "median", "mean", "worst",
           "wrong");
    int failed = measure(m, 1, 0, want);
    for (int members = 2; members <= MOST; members *= 2)
        failed |= measure(m, members, 0, want);
    failed |= measure(m, 2, 1, want) | measure(m, MOST, 1, want);
    eng_model_unref(m);
    return failed;
}
