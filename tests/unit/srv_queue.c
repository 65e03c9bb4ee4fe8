/* The queue: order, bounds, leaving from the middle, expiry; the life of a job. */
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
    assert_int_equal(srv_queue_reserve(q, (size_t)n, (size_t)n), 0);
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
    assert_int_equal(srv_queue_reserve(&q, 3, 2), -EAGAIN);
    assert_int_equal(srv_queue_reserve(&q, 2, 2), 0);
    srv_queue_push(&q, &jobs[0]);
    srv_queue_push(&q, &jobs[1]);
    assert_int_equal(srv_queue_reserve(&q, 1, 2), -EAGAIN);
    assert_int_equal(srv_queue_reserve(&q, (size_t)-1, (size_t)-1), -EAGAIN); /* no wrap */
    srv_queue_pop(&q);
    assert_int_equal(srv_queue_reserve(&q, 1, 2), 0);
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
            assert_int_equal(srv_queue_ahead(&q, priority, deadline), want);
        }
    while (srv_queue_pop(&q))
        ;
    assert_int_equal(q.cost_ns, 0);
    srv_queue_finish(&q);
    free(jobs);
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
        cmocka_unit_test(job_status_follows_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
