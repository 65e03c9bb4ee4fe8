/* The control law against a simulated pool: a virtual clock, two cores, admission by predicted
 * cost. The costs are those of the four V1 variants as `bench --images --threads 1` measured them
 * on 100 photos (500x375, 100 KB, decoding included) on a machine that had other work, too.
 */
#include "server/scheduler/ladder.h"

#include "server/base/histogram.h"
#include "tests/unit/noise_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CORES = 2, VARIANTS = 4, QUEUE = 4096, ENOUGH = 100 };

#define MS 1000000ull
#define SECOND (1000 * MS)
#define OBJECTIVE (200 * MS)
#define OBJECTIVE_MS 200
#define ROOM_OF_TEST 0.85

static const double costs[VARIANTS] = {6.69e6, 4.52e6, 2.67e6, 2.01e6};

struct world {
    struct srv_ladder ladder;
    uint64_t now, free_at[CORES];
    uint64_t queue[QUEUE]; /* times of arrival */
    int head, waiting;
    uint64_t random;
    struct srv_histogram recent[2], answered; /* two windows of a second since the last switch */
    uint64_t window;
    uint64_t refused, served[VARIANTS], switches, worst_level;
    double arrived;
    uint64_t objective;
    int noisy;
    double dear; /* what costs seem to be, of what they are: learned, as cost.c does */
};

enum { SLICE_MS = 20 };

/* How much longer work takes that starts now; a slice of which there was nothing ends. */
static double slowdown(const struct world *w, uint64_t now)
{
    uint64_t slice = now / (SLICE_MS * MS);
    double share = 0;
    for (uint64_t i = 0; i < 3; i++)
        share += noise_trace[(slice + i) % sizeof(noise_trace)] / 3.0;
    return w->noisy ? 100.0 / (share > 5 ? share : 5) : 1;
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->now = SECOND;
    w->random = 88172645463325252ull;
    w->objective = OBJECTIVE;
    w->dear = 1;
}

/* 0..1, without either. */
static double chance(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return ((double)(w->random >> 11) + 0.5) / 9007199254740992.0;
}

/* -ln x of the exponential distribution, by the series of the area under 1/x. */
static double minus_log(double x)
{
    double sum = 0, y, power;
    while (x < 0.5) {
        x *= 2;
        sum += 0.6931471805599453;
    }
    y = 1 - x;
    power = y;
    for (int k = 1; k < 40; k++, power *= y)
        sum += power / k;
    return sum;
}

static int busy(const struct world *w)
{
    int n = 0;
    for (int i = 0; i < CORES; i++)
        n += w->free_at[i] > w->now;
    return n;
}

static void control(struct world *w, int arriving)
{
    if (w->now - w->window >= SECOND) {
        w->recent[1] = w->recent[0];
        memset(&w->recent[0], 0, sizeof(w->recent[0]));
        w->window = w->now;
    }
    double seen[VARIANTS];
    for (int v = 0; v < VARIANTS; v++)
        seen[v] = costs[v] * w->dear;
    uint64_t known = w->recent[0].count + w->recent[1].count;
    struct srv_ladder_input in = {
        .now_ns = w->now,
        .objective_ns = w->objective,
        .budget_ns = w->objective,
        .n = VARIANTS,
        .cost_ns = seen,
        .rate = CORES,
        .waiting = w->waiting + busy(w) + arriving,
        .arrived = arriving,
        .p99_ns = known >= ENOUGH ? srv_histogram_quantile(&w->recent[0], &w->recent[1], 0.99) : 0,
    };
    if (srv_ladder_step(&w->ladder, &in) != SRV_LADDER_STAY) {
        w->switches++;
        memset(w->recent, 0, sizeof(w->recent));
    }
    if ((uint64_t)w->ladder.level > w->worst_level)
        w->worst_level = (uint64_t)w->ladder.level;
}

/* Everything that workers start up to a time. */
static void work(struct world *w, uint64_t until)
{
    while (w->waiting > 0) {
        int i = w->free_at[0] <= w->free_at[1] ? 0 : 1;
        uint64_t from = w->queue[w->head];
        uint64_t start = w->free_at[i] > from ? w->free_at[i] : from;
        if (start > until)
            break;
        int v = w->ladder.level;
        w->head = (w->head + 1) % QUEUE;
        w->waiting--;
        /* Photos differ: half to one and a half times the mean. */
        double slow = slowdown(w, start);
        w->dear += (slow - w->dear) * 0.05;
        w->free_at[i] = start + (uint64_t)(costs[v] * slow * (0.5 + chance(w)));
        srv_histogram_add(&w->recent[0], w->free_at[i] - from);
        srv_histogram_add(&w->answered, w->free_at[i] - from);
        w->served[v]++;
    }
    w->now = until;
}

static void arrive(struct world *w)
{
    control(w, 1);
    double cost = costs[w->ladder.level] * w->dear;
    if ((w->waiting + busy(w)) * cost / CORES + cost > 0.8 * (double)w->objective) {
        w->refused++;
        return;
    }
    assert_true(w->waiting < QUEUE);
    w->queue[(w->head + w->waiting++) % QUEUE] = w->now;
}

/* Poisson arrivals, a tick every 50 ms as the server has. */
static void run(struct world *w, double per_second, double seconds)
{
    uint64_t end = w->now + (uint64_t)(seconds * 1e9), tick = w->now + 50 * MS;
    memset(&w->answered, 0, sizeof(w->answered));
    w->switches = w->refused = w->worst_level = 0;
    memset(w->served, 0, sizeof(w->served));
    uint64_t next = w->now;
    while (w->now < end) {
        next += (uint64_t)(minus_log(chance(w)) / per_second * 1e9);
        while (tick < next && tick < end) {
            work(w, tick);
            control(w, 0);
            tick += 50 * MS;
        }
        work(w, next);
        arrive(w);
    }
}

static double capacity(int v)
{
    return CORES * 1e9 / costs[v];
}

static double p99_ms(const struct world *w)
{
    static const struct srv_histogram none;
    return (double)srv_histogram_quantile(&w->answered, &none, 0.99) / 1e6;
}

/* Whatever the load, constant: after the first seconds there is one level and no way back and
 * forth. */
static void no_oscillation_under_constant_load(void **state)
{
    (void)state;
    for (int percent = 10; percent <= 300; percent += 10) {
        struct world w;
        begin(&w);
        run(&w, capacity(0) * percent / 100, 20);
        assert_true(w.switches <= 6);
        run(&w, capacity(0) * percent / 100, 120);
        if (w.switches > 3 || p99_ms(&w) > OBJECTIVE_MS)
            fail_msg("load %d %%: %llu switches in 120 s, p99 %.1f ms, level %d", percent,
                     (unsigned long long)w.switches, p99_ms(&w), w.ladder.level);
        if (percent <= 80)
            assert_int_equal(w.ladder.level, 0);
        if (percent >= 100)
            assert_true(w.ladder.level > 0);
    }
}

static void objective_held_under_a_step_to_three_times(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, capacity(0) * 0.5, 10);
    assert_int_equal(w.ladder.level, 0);
    assert_int_equal(w.switches, 0);
    run(&w, capacity(0) * 3, 10); /* the step itself included */
    assert_true(p99_ms(&w) <= OBJECTIVE_MS);
    uint64_t all = 0;
    for (int v = 0; v < VARIANTS; v++)
        all += w.served[v];
    double goodput = (double)all / 10, possible = capacity(0) * 3 < capacity(VARIANTS - 1)
                                                      ? capacity(0) * 3
                                                      : capacity(VARIANTS - 1);
    assert_true(goodput >= 0.9 * possible);
    run(&w, capacity(VARIANTS - 1) * 2, 10); /* beyond the cheapest: the rest is refused */
    assert_int_equal(w.ladder.level, VARIANTS - 1);
    assert_true(p99_ms(&w) <= OBJECTIVE_MS);
    assert_true((double)w.served[VARIANTS - 1] / 10 >= 0.9 * capacity(VARIANTS - 1));
    run(&w, capacity(0) * 0.5, 15); /* and back */
    assert_int_equal(w.ladder.level, 0);
    assert_int_equal(w.refused, 0);
    assert_true(w.switches <= 4);
}

/* However often a step up has failed before. */
static void a_burst_is_over_in_ten_seconds(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, capacity(0) * 3, 10);
    assert_true(w.ladder.level > 0);
    w.ladder.hold_ns = 64 * SECOND;
    run(&w, capacity(0) * 0.5, 10);
    assert_int_equal(w.ladder.level, 0);
    assert_int_equal(w.refused, 0);
}

/* Neighbours take half of the processors, in jumps: what could be served is, by a lower variant
 * where it must be, and the best one is back soon after they left. */
static void noise_that_was_recorded(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.noisy = 1;
    run(&w, capacity(0) * 0.5, 60);
    uint64_t all = w.served[0] + w.served[1] + w.served[2] + w.served[3];
    assert_true(p99_ms(&w) <= OBJECTIVE_MS);
    assert_true(w.refused * 100 <= all);
    w.noisy = 0;
    run(&w, capacity(0) * 0.5, 10);
    assert_int_equal(w.ladder.level, 0);
    run(&w, capacity(0) * 0.5, 10);
    assert_int_equal(w.switches + w.refused, 0);
}

/* A load between two variants gets the better one that carries it, not the cheapest of all. */
static void no_lower_than_needed(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    for (int v = 1; v < VARIANTS; v++) {
        double load = 0.5 * (capacity(v - 1) + ROOM_OF_TEST * capacity(v));
        begin(&w);
        run(&w, load, 30);
        run(&w, load, 30);
        assert_int_equal(w.ladder.level, v);
    }
}

/* Clients that wait for their answer before they ask again fill any variant; the best that answers
 * all of them in time is the right one. */
static void closed_loop(void **state)
{
    (void)state;
    static const struct {
        int clients, level;
    } rows[] = {{4, 0}, {16, 0}, {40, 1}, {200, 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        begin(&w);
        w.ladder.level = rows[i].level > 0 ? 0 : VARIANTS - 1; /* a burst was here before */
        uint64_t end = w.now + 60 * SECOND;
        int before = 0;
        while (w.now < end) {
            work(&w, w.now + MS / 20);
            while (w.waiting + busy(&w) < rows[i].clients) {
                control(&w, 1);
                w.queue[(w.head + w.waiting++) % QUEUE] = w.now;
            }
            if (w.now < end - 30 * SECOND)
                before = (int)w.switches;
        }
        if (w.ladder.level != rows[i].level || (int)w.switches - before > 1)
            fail_msg("%d clients: level %d, %d late switches", rows[i].clients, w.ladder.level,
                     (int)w.switches - before);
    }
}

static void without_an_objective(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, capacity(0) * 3, 5);
    assert_true(w.ladder.level > 0);
    w.objective = 0;
    control(&w, 0);
    assert_int_equal(w.ladder.level, 0);
    assert_int_equal(w.ladder.switches[SRV_LADDER_OFF], 1);
}

/* The percentile alone brings it down, where the predicted costs are too low. */
static void measured_latency_counts(void **state)
{
    (void)state;
    struct srv_ladder l = {0};
    struct srv_ladder_input in = {.now_ns = SECOND,
                                  .objective_ns = OBJECTIVE,
                                  .budget_ns = OBJECTIVE,
                                  .n = VARIANTS,
                                  .cost_ns = costs,
                                  .rate = CORES,
                                  .waiting = 1,
                                  .p99_ns = OBJECTIVE + MS};
    assert_int_equal(srv_ladder_step(&l, &in), SRV_LADDER_LATENCY);
    assert_int_equal(l.level, 1);
    in.p99_ns = OBJECTIVE * 9 / 10; /* good enough to stay, not to go up */
    for (int i = 0; i < 1000; i++) {
        in.now_ns += 50 * MS;
        assert_int_equal(srv_ladder_step(&l, &in), SRV_LADDER_STAY);
    }
    in.p99_ns = OBJECTIVE / 10;
    int up = 0;
    for (int i = 0; i < 100; i++) {
        in.now_ns += 50 * MS;
        up += srv_ladder_step(&l, &in) == SRV_LADDER_LOAD;
    }
    assert_int_equal(up, 1);
    assert_int_equal(l.level, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_oscillation_under_constant_load),
        cmocka_unit_test(objective_held_under_a_step_to_three_times),
        cmocka_unit_test(a_burst_is_over_in_ten_seconds),
        cmocka_unit_test(noise_that_was_recorded),
        cmocka_unit_test(no_lower_than_needed),
        cmocka_unit_test(closed_loop),
        cmocka_unit_test(without_an_objective),
        cmocka_unit_test(measured_latency_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
