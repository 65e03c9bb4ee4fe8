/* Work items and answers by their deadlines: in what order they run, who is told in time, and that
 * nothing is answered late. */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "server/base/clock.h"
#include "tests/unit/house.h"

enum { WORKERS = 2, ITEMS = 4 };

struct watched {
    struct house *h;
    sem_t begun, go[WORKERS];
    int n_ran, ran[ITEMS]; /* in their order */
    int backs, lates;
};

struct item {
    struct watched *w;
    struct srv_req *r;
    int number;
};

static void record(struct srv_req *r, void *arg)
{
    struct item *i = arg;
    (void)r;
    i->w->ran[i->w->n_ran++] = i->number; /* one worker alone is free */
}

static void block(struct srv_req *r, void *arg)
{
    struct item *i = arg;
    (void)r;
    sem_post(&i->w->begun);
    sem_wait(&i->w->go[i->number]);
}

static void outlast(struct srv_req *r, void *arg)
{
    record(r, arg);
    r->deadline_ns = 1;
}

static void back(struct srv_req *r, void *arg)
{
    struct item *i = arg;
    i->w->backs++;
    srv_req_destroy(r);
}

static void late(struct srv_req *r, void *arg)
{
    struct item *i = arg;
    i->w->lates++;
    srv_req_destroy(r);
}

static void put(struct watched *w, struct item *i, int number, uint64_t deadline_ns,
                void (*run)(struct srv_req *r, void *arg))
{
    *i = (struct item){.w = w, .number = number};
    assert_int_equal(srv_req_create(&i->r, &w->h->sched, NULL, NULL), 0);
    i->r->deadline_ns = deadline_ns;
    i->r->late = late;
    i->r->late_arg = i;
    assert_int_equal(srv_req_offload(i->r, run, back, i), 0);
}

/* Every worker is busy until it is let go. */
static void occupy(struct watched *w, struct house *h, struct item blocks[WORKERS])
{
    memset(w, 0, sizeof(*w));
    w->h = h;
    sem_init(&w->begun, 0, 0);
    for (int i = 0; i < WORKERS; i++) {
        sem_init(&w->go[i], 0, 0);
        put(w, &blocks[i], i, SRV_NEVER, block);
    }
    for (int i = 0; i < WORKERS; i++)
        sem_wait(&w->begun);
}

static void await(struct watched *w, const int *what, int n)
{
    while (*what < n)
        uv_run(&w->h->env.loop, UV_RUN_ONCE);
}

static void who_waits_too_long_is_told_in_time(void **state)
{
    struct watched w;
    struct item blocks[WORKERS], i;
    occupy(&w, *state, blocks);
    put(&w, &i, 0, srv_now_ns() + 20 * SRV_NS_PER_MS, record);
    await(&w, &w.lates, 1); /* no worker has been free */
    assert_int_equal(w.n_ran, 0);
    assert_int_equal(w.backs, 0);
    for (int k = 0; k < WORKERS; k++)
        sem_post(&w.go[k]);
    await(&w, &w.backs, WORKERS);
}

static void the_earliest_deadline_runs_first(void **state)
{
    static const struct {
        int seconds, number;
    } rows[ITEMS] = {{300, 2}, {100, 0}, {200, 1}, {300, 3}}; /* equal ones as they came */
    struct watched w;
    struct item blocks[WORKERS], items[ITEMS];
    occupy(&w, *state, blocks);
    uint64_t now = srv_now_ns();
    for (int k = 0; k < ITEMS; k++)
        put(&w, &items[k], rows[k].number, now + (uint64_t)rows[k].seconds * 1000 * SRV_NS_PER_MS,
            record);
    sem_post(&w.go[0]);
    await(&w, &w.backs, ITEMS + 1);
    for (int k = 0; k < ITEMS; k++)
        assert_int_equal(w.ran[k], k);
    sem_post(&w.go[1]);
    await(&w, &w.backs, ITEMS + WORKERS);
    assert_int_equal(w.lates, 0);
}

static void what_is_late_does_not_run(void **state)
{
    struct watched w = {.h = *state};
    struct item i;
    put(&w, &i, 0, 1, record);
    await(&w, &w.lates, 1);
    assert_int_equal(w.n_ran, 0);
}

static void what_comes_back_late_is_not_gone_on_with(void **state)
{
    struct watched w = {.h = *state};
    struct item i;
    put(&w, &i, 0, SRV_NEVER, outlast);
    await(&w, &w.lates, 1);
    assert_int_equal(w.n_ran, 1);
    assert_int_equal(w.backs, 0);
}

static void no_answer_comes_after_its_deadline(void **state)
{
    struct house *h = *state;
    struct visit v;
    visit_open(h, &v, "PUT", "/v1/classify", NULL, -1);
    assert_int_equal(v.call.reply.status, 0);
    v.call.req->deadline_ns = 1;
    srv_call_reply(&v.call, 200, "application/json", strdup("{}"), 2);
    assert_int_equal(v.call.reply.status, 504);
    assert_true(visit_says(&v, "after its deadline"));
    srv_call_close(&v.call);
}

static int open_house(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    house_open(h, "");
    *state = h;
    return 0;
}

static int close_house(void **state)
{
    house_close(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_too_long_is_told_in_time),
        cmocka_unit_test(the_earliest_deadline_runs_first),
        cmocka_unit_test(what_is_late_does_not_run),
        cmocka_unit_test(what_comes_back_late_is_not_gone_on_with),
        cmocka_unit_test(no_answer_comes_after_its_deadline),
    };
    return cmocka_run_group_tests(tests, open_house, close_house);
}
