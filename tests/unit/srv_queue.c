/* The queue: order, turns, bounds, leaving from the middle, expiry; the life of a job. */
#include "server/scheduler/queue.h"

#include "server/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 500 };

static int later(const struct srv_job *a, const struct srv_job *b) /* should b have come first? */
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns > b->deadline_ns;
    return a->sequence > b->sequence;
}

static struct srv_job *fill(struct srv_queue *q, int n, unsigned seed)
{
    struct srv_job *jobs = calloc((size_t)n, sizeof(*jobs));
    assert_non_null(jobs);
    assert_int_equal(srv_queue_reserve(q, 0, (size_t)n, (size_t)n), 0);
    for (int i = 0; i < n; i++) {
        jobs[i].priority = (int)(rand_r(&seed) % 3);
        jobs[i].deadline_ns = (uint64_t)(rand_r(&seed) % 20);
        jobs[i].input.len = 10;
        jobs[i].cost_ns = 7;
        srv_queue_push(q, &jobs[i]);
    }
    return jobs;
}

static void pops_in_order(void **state)
{
    (void)state;
    struct srv_queue q = {0};
    struct srv_job *jobs = fill(&q, MANY, 1);
    assert_int_equal(q.bytes, 10 * MANY);
    struct srv_job *last = srv_queue_pop(&q);
    for (int i = 1; i < MANY; i++) {
        struct srv_job *j = srv_queue_pop(&q);
        assert_non_null(j);
        assert_false(later(last, j));
        last = j;
    }
    assert_null(srv_queue_pop(&q));
    assert_int_equal(q.bytes, 0);
    srv_queue_finish(&q);
    free(jobs);
}

static void leaves_from_anywhere(void **state)
{
    (void)state;
    struct srv_queue q = {0};
    struct srv_job *jobs = fill(&q, MANY, 2), *last = NULL;
    for (int i = 0; i < MANY; i += 3)
        srv_queue_remove(&q, &jobs[i]);
    size_t left = q.n;
    assert_int_equal(left, MANY - (MANY + 2) / 3);
    for (struct srv_job *j; (j = srv_queue_pop(&q)); last = j, left--) {
        assert_int_not_equal((j - jobs) % 3, 0);
        if (last)
            assert_false(later(last, j));
    }
    assert_int_equal(left, 0);
    srv_queue_finish(&q);
    free(jobs);
}

static void bounded(void **state)
{
    (void)state;
    struct srv_queue q = {0};
    struct srv_job jobs[3] = {{0}};
    assert_int_equal(srv_queue_reserve(&q, 0, 3, 2), -EAGAIN);
    assert_int_equal(srv_queue_reserve(&q, 0, 2, 2), 0);
    srv_queue_push(&q, &jobs[0]);
    srv_queue_push(&q, &jobs[1]);
    assert_int_equal(srv_queue_reserve(&q, 0, 1, 2), -EAGAIN);
    assert_int_equal(srv_queue_reserve(&q, 0, (size_t)-1, (size_t)-1), -EAGAIN); /* no wrap */
    srv_queue_pop(&q);
    assert_int_equal(srv_queue_reserve(&q, 0, 1, 2), 0);
    srv_queue_pop(&q);
    srv_queue_finish(&q);
}

static void expires(void **state)
{
    (void)state;
    struct srv_queue q = {0};
    struct srv_job *jobs = fill(&q, MANY, 3), *last = NULL;
    uint64_t next = 0;
    size_t n = 0;
    for (struct srv_job *j = srv_queue_expire(&q, 9, &next); j; j = j->next, n++)
        assert_true(j->deadline_ns <= 9);
    assert_int_equal(next, 10);
    assert_int_equal(q.n + n, MANY);
    assert_int_equal(q.bytes, q.n * 10);
    assert_int_equal(q.cost_ns, q.n * 7);
    for (struct srv_job *j; (j = srv_queue_pop(&q)); last = j) {
        assert_true(j->deadline_ns > 9);
        if (last)
            assert_false(later(last, j));
    }
    assert_null(srv_queue_expire(&q, 100, &next));
    assert_true(next == SRV_NEVER);
    srv_queue_finish(&q);
    free(jobs);
}

static void counts_what_is_ahead(void **state)
{
    (void)state;
    struct srv_queue q = {0};
    struct srv_job *jobs = fill(&q, MANY, 4);
    for (int priority = 0; priority < 3; priority++)
        for (uint64_t deadline = 0; deadline < 20; deadline += 3) {
            uint64_t want = 0;
            for (int i = 0; i < MANY; i++)
                want += jobs[i].priority < priority ||
                                (jobs[i].priority == priority && jobs[i].deadline_ns <= deadline)
                            ? 7
                            : 0;
            assert_int_equal(srv_queue_ahead(&q, 0, priority, deadline, 7), want);
        }
    while (srv_queue_pop(&q))
        ;
    assert_int_equal(q.cost_ns, 0);
    srv_queue_finish(&q);
    free(jobs);
}

/* ---- turns ---- */

enum { RARE = 9 };

static void add(struct srv_queue *q, struct srv_job *j, unsigned flow, uint64_t cost_ns)
{
    *j = (struct srv_job){.flow = flow, .cost_ns = cost_ns, .deadline_ns = 100, .priority = 4};
    assert_int_equal(srv_queue_reserve(q, flow, 1, 1000), 0);
    srv_queue_push(q, j);
}

static void the_rare_client_is_next(void **state)
{
    (void)state;
    static struct srv_queue q;
    struct srv_job flood[50], rare;
    memset(&q, 0, sizeof(q));
    for (int i = 0; i < 50; i++)
        add(&q, &flood[i], 1, 10);
    for (int i = 0; i < 20; i++)
        assert_int_equal(srv_queue_pop(&q)->flow, 1);
    assert_int_equal(srv_queue_ahead(&q, RARE, 4, 100, 5), 0);
    add(&q, &rare, RARE, 5);
    assert_ptr_equal(srv_queue_first(&q), &rare);
    assert_ptr_equal(srv_queue_pop(&q), &rare);
    while (srv_queue_pop(&q))
        ;
    srv_queue_finish(&q);
}

/* Two floods, one of work that costs four times as much: equal cost, not equal counts. */
static void turns_are_charged_by_cost(void **state)
{
    (void)state;
    static struct srv_queue q;
    struct srv_job cheap[100], dear[100];
    memset(&q, 0, sizeof(q));
    for (int i = 0; i < 100; i++) {
        add(&q, &cheap[i], 1, 10);
        add(&q, &dear[i], 2, 40);
    }
    int seen[3] = {0};
    for (int i = 0; i < 50; i++)
        seen[srv_queue_pop(&q)->flow]++;
    assert_int_equal(seen[1], 40);
    assert_int_equal(seen[2], 10);
    while (srv_queue_pop(&q))
        ;
    srv_queue_finish(&q);
}

/* The same pictures, foreseen alike: those of flow 2 take four times as long. */
static void turns_are_corrected_by_what_work_took(void **state)
{
    (void)state;
    static struct srv_queue q;
    struct srv_job jobs[2][100];
    memset(&q, 0, sizeof(q));
    for (int i = 0; i < 100; i++)
        for (unsigned f = 0; f < 2; f++)
            add(&q, &jobs[f][i], f + 1, 10);
    int seen[3] = {0};
    for (int i = 0; i < 50; i++) {
        unsigned flow = srv_queue_pop(&q)->flow;
        seen[flow]++;
        srv_queue_correct(&q, flow, flow == 2 ? 30 : 0);
    }
    assert_int_equal(seen[1], 40);
    assert_int_equal(seen[2], 10);
    while (srv_queue_pop(&q))
        ;
    srv_queue_finish(&q);
}

static void priority_goes_before_turns(void **state)
{
    (void)state;
    static struct srv_queue q;
    struct srv_job patient, urgent[3];
    memset(&q, 0, sizeof(q));
    add(&q, &patient, 1, 1);
    for (int i = 0; i < 3; i++) {
        urgent[i] = (struct srv_job){.flow = 2, .cost_ns = 50, .deadline_ns = 100, .priority = 1};
        assert_int_equal(srv_queue_reserve(&q, 2, 1, 1000), 0);
        srv_queue_push(&q, &urgent[i]);
    }
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(srv_queue_pop(&q), &urgent[i]);
    assert_ptr_equal(srv_queue_pop(&q), &patient);
    srv_queue_finish(&q);
}

/* What is ahead of a job is what is served before it, to the job. */
static void what_is_ahead_is_what_comes_first(void **state)
{
    (void)state;
    static struct srv_queue q;
    unsigned seed = 5;
    for (int round = 0; round < 200; round++) {
        struct srv_job jobs[60], mine;
        uint64_t served = 0;
        memset(&q, 0, sizeof(q));
        for (int i = 0; i < 60; i++) {
            add(&q, &jobs[i], rand_r(&seed) % 5, 10);
            if (rand_r(&seed) % 3 == 0)
                srv_queue_pop(&q);
        }
        uint64_t foreseen = srv_queue_ahead(&q, 3, 4, 100, 10);
        add(&q, &mine, 3, 10);
        for (struct srv_job *j; (j = srv_queue_pop(&q)) != &mine;)
            served += j->cost_ns;
        assert_true(foreseen <= served + 50 && served <= foreseen + 50); /* one job a flow */
        while (srv_queue_pop(&q))
            ;
        srv_queue_finish(&q);
    }
}

static void prices_anew(struct srv_job *j, void *arg)
{
    (void)arg;
    j->cost_ns *= 3;
}

static void everything_leaves_every_flow(void **state)
{
    (void)state;
    static struct srv_queue q;
    struct srv_job jobs[300];
    uint64_t next;
    memset(&q, 0, sizeof(q));
    for (int i = 0; i < 300; i++) {
        add(&q, &jobs[i], (unsigned)i % SRV_FLOWS, 1 + (uint64_t)i % 7);
        assert_true(srv_queue_has(&q, &jobs[i]));
    }
    uint64_t before = q.cost_ns;
    srv_queue_price(&q, prices_anew, NULL);
    assert_int_equal(q.cost_ns, 3 * before);
    for (int i = 0; i < 300; i += 2) {
        srv_queue_remove(&q, &jobs[i]);
        assert_false(srv_queue_has(&q, &jobs[i]) && q.n == 0);
    }
    assert_int_equal(srv_queue_urgent(&q), 100);
    size_t n = 0;
    for (const struct srv_job *j = srv_queue_expire(&q, 100, &next); j; j = j->next)
        n++;
    assert_int_equal(n, 150);
    assert_int_equal(q.n + q.n_order + q.cost_ns + q.bytes, 0);
    assert_true(srv_queue_urgent(&q) == SRV_NEVER);
    srv_queue_finish(&q);
}

static void job_status_follows_its_state(void **state)
{
    (void)state;
    struct srv_job done = {0}, expired = {0}, failed = {0};
    srv_job_move(&done, SRV_JOB_QUEUED);
    srv_job_move(&done, SRV_JOB_RUNNING);
    srv_job_move(&done, SRV_JOB_DONE);
    assert_int_equal(done.status, 200);
    srv_job_move(&expired, SRV_JOB_QUEUED);
    srv_job_move(&expired, SRV_JOB_EXPIRED);
    assert_int_equal(expired.status, 504);
    srv_job_move(&failed, SRV_JOB_QUEUED);
    srv_job_move(&failed, SRV_JOB_RUNNING);
    srv_job_fail(&failed, 422, "broken at byte %d", 7);
    assert_int_equal(failed.status, 422);
    assert_string_equal(failed.error, "broken at byte 7");
    assert_true(srv_job_is_final(&done) && srv_job_is_final(&expired) && srv_job_is_final(&failed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_in_order),
        cmocka_unit_test(leaves_from_anywhere),
        cmocka_unit_test(bounded),
        cmocka_unit_test(expires),
        cmocka_unit_test(counts_what_is_ahead),
        cmocka_unit_test(the_rare_client_is_next),
        cmocka_unit_test(turns_are_charged_by_cost),
        cmocka_unit_test(turns_are_corrected_by_what_work_took),
        cmocka_unit_test(priority_goes_before_turns),
        cmocka_unit_test(what_is_ahead_is_what_comes_first),
        cmocka_unit_test(everything_leaves_every_flow),
        cmocka_unit_test(job_status_follows_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
