/* The parallel-for: every unit once whatever the helpers do, and nothing of a run left behind. */
#include "engine/team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MAX_UNITS = 512, MAX_HELPERS = 8 };

struct count {
    int hits[MAX_UNITS];                 /* plain on purpose: TSan sees a unit that runs twice */
    _Atomic int inside[MAX_HELPERS + 1]; /* calls of this member that run now */
    _Atomic int calls[MAX_HELPERS + 1];
    _Atomic int overlaps, strangers;
    int capacity, slow_us;
};

static void count_unit(void *arg, int begin, int end, int member)
{
    struct count *c = arg;
    if (member < 0 || member >= c->capacity) {
        atomic_fetch_add(&c->strangers, 1);
        return;
    }
    if (atomic_fetch_add(&c->inside[member], 1))
        atomic_fetch_add(&c->overlaps, 1);
    atomic_fetch_add(&c->calls[member], 1);
    for (int i = begin; i < end; i++)
        c->hits[i]++;
    if (c->slow_us)
        usleep((useconds_t)c->slow_us);
    atomic_fetch_sub(&c->inside[member], 1);
}

static void check_all_once(const struct count *c, int units)
{
    for (int i = 0; i < units; i++)
        assert_int_equal(c->hits[i], 1);
    for (int i = units; i < MAX_UNITS; i++)
        assert_int_equal(c->hits[i], 0);
    assert_int_equal(c->overlaps, 0);
    assert_int_equal(c->strangers, 0);
}

static void alone(void **state)
{
    (void)state;
    struct count c = {.capacity = 1};
    eng_team_for(NULL, 7, count_unit, &c);
    check_all_once(&c, 7);
    assert_int_equal(eng_team_members(NULL), 1);
    assert_int_equal(eng_team_capacity(NULL), 1);

    struct eng_team *t;
    assert_int_equal(eng_team_create(&t, 0), -EINVAL);
    assert_int_equal(eng_team_create(&t, 257), -EINVAL);
    assert_int_equal(eng_team_create(&t, 4), 0);
    assert_int_equal(eng_team_capacity(t), 4);
    assert_int_equal(eng_team_help(t), -EAGAIN); /* no run is open */
    memset(&c, 0, sizeof(c));
    c.capacity = 4;
    eng_team_begin(t);
    eng_team_for(t, MAX_UNITS, count_unit, &c);
    eng_team_for(t, 0, count_unit, &c);
    eng_team_end(t);
    check_all_once(&c, MAX_UNITS);
    assert_int_equal(eng_team_help(t), -EAGAIN);
    eng_team_destroy(t);
    eng_team_destroy(NULL);
}

struct helper {
    pthread_t thread;
    struct eng_team *team;
    _Atomic int *stop;
    int pause_us; /* between two stays */
    int stays;    /* runs that it helped */
};

static void *help_until_stop(void *arg)
{
    struct helper *h = arg;
    while (!atomic_load(h->stop)) {
        if (eng_team_help(h->team) == 0)
            h->stays++;
        if (h->pause_us)
            usleep((useconds_t)h->pause_us);
        else
            sched_yield();
    }
    return NULL;
}

static void start(struct helper *h, int n, struct eng_team *t, _Atomic int *stop, const int *pause)
{
    for (int i = 0; i < n; i++) {
        h[i] = (struct helper){.team = t, .stop = stop, .pause_us = pause[i]};
        assert_int_equal(pthread_create(&h[i].thread, NULL, help_until_stop, &h[i]), 0);
    }
}

static int join(struct helper *h, int n, _Atomic int *stop)
{
    int stays = 0;
    atomic_store(stop, 1);
    for (int i = 0; i < n; i++) {
        pthread_join(h[i].thread, NULL);
        stays += h[i].stays;
    }
    return stays;
}

/* Helpers that come at once, late, and seldom; more than there are cores. */
static void hammer(void **state)
{
    (void)state;
    static const int pause[MAX_HELPERS] = {0, 0, 50, 200, 1000, 3000, 7, 20};
    struct helper h[MAX_HELPERS];
    _Atomic int stop = 0;
    struct eng_team *t;
    assert_int_equal(eng_team_create(&t, MAX_HELPERS + 1), 0);
    start(h, MAX_HELPERS, t, &stop, pause);
    unsigned seed = 1;
    struct count *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    for (int run = 0; run < 300; run++) {
        eng_team_begin(t);
        for (int job = 0; job < 20; job++) {
            int units = 1 + rand_r(&seed) % MAX_UNITS;
            memset(c, 0, sizeof(*c));
            c->capacity = MAX_HELPERS + 1;
            eng_team_for(t, units, count_unit, c);
            check_all_once(c, units);
        }
        eng_team_end(t);
        assert_int_equal(eng_team_members(t), 1);
    }
    assert_true(join(h, MAX_HELPERS, &stop) > 0);
    free(c);
    eng_team_destroy(t);
}

/* A job longer than the spin: helpers and leader go through the futex, and share the work. */
static void sleepers(void **state)
{
    (void)state;
    static const int pause[2] = {0, 0};
    struct helper h[2];
    _Atomic int stop = 0;
    struct eng_team *t;
    assert_int_equal(eng_team_create(&t, 3), 0);
    start(h, 2, t, &stop, pause);
    for (int run = 0; run < 5; run++) {
        struct count c = {.capacity = 3, .slow_us = 2000};
        eng_team_begin(t);
        while (eng_team_members(t) < 3)
            usleep(100);
        usleep(3000); /* all helpers are asleep now */
        eng_team_for(t, 12, count_unit, &c);
        check_all_once(&c, 12);
        assert_true(c.calls[1] + c.calls[2] > 0); /* 24 ms of work: somebody woke up for it */
        eng_team_end(t);
    }
    join(h, 2, &stop);
    eng_team_destroy(t);
}

static void full_team_refuses(void **state)
{
    (void)state;
    static const int pause[1] = {0};
    struct helper h[1];
    _Atomic int stop = 0;
    struct eng_team *t;
    assert_int_equal(eng_team_create(&t, 2), 0);
    eng_team_begin(t);
    start(h, 1, t, &stop, pause);
    while (eng_team_members(t) < 2)
        usleep(100);
    assert_int_equal(eng_team_help(t), -EAGAIN);
    atomic_store(&stop, 1);
    eng_team_end(t);
    assert_int_equal(join(h, 1, &stop), 1);
    eng_team_destroy(t);
}

/* The team dies the moment that end() returns, while its last helper is on its way out. */
static void destroy_after_end(void **state)
{
    (void)state;
    static const int pause[2] = {0, 0};
    for (int i = 0; i < 100; i++) {
        struct helper h[2];
        _Atomic int stop = 0;
        struct eng_team *t;
        assert_int_equal(eng_team_create(&t, 3), 0);
        eng_team_begin(t);
        start(h, 2, t, &stop, pause);
        while (eng_team_members(t) < 3)
            sched_yield();
        struct count c = {.capacity = 3};
        eng_team_for(t, 64, count_unit, &c);
        check_all_once(&c, 64);
        atomic_store(&stop, 1); /* nobody asks again */
        eng_team_end(t);
        eng_team_destroy(t);
        join(h, 2, &stop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(hammer),
        cmocka_unit_test(sleepers),
        cmocka_unit_test(full_team_refuses),
        cmocka_unit_test(destroy_after_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
