/* The workers with a real, tiny network: every job comes back once, in the state that it deserves,
 * whatever the number of threads; what nobody waits for is not computed. */
#include "server/scheduler/pool.h"

#include "server/base/clock.h"
#include "server/scheduler/batch.h"
#include "server/scheduler/request.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>

enum { TOP = 3, LIMIT = 100000 };

/* One grey pixel. */
static const unsigned char png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

struct bench {
    int pipe[2];
    struct srv_pool *pool;
    struct srv_model *model;
    int client_fd; /* of the requests that come */
};

static void wake(void *arg)
{
    struct bench *b = arg;
    assert_int_equal(write(b->pipe[1], "x", 1), 1);
}

static void set_up(struct bench *b, int workers, int max_batch)
{
    struct eng_mobilenet_spec spec = {1, 0.25, 32, 10, ENG_FORM_SEPARABLE, 7};
    struct eng_model_options mo = {.precision = ENG_PRECISION_FP32};
    struct srv_pool_options po = {
        .workers = workers, .max_batch = max_batch, .run = srv_batch_run, .notify = wake, .arg = b};
    struct eng_model *eng;
    char err[256] = "";
    memset(b, 0, sizeof(*b));
    assert_int_equal(pipe(b->pipe), 0);
    assert_int_equal(eng_model_build(&eng, &spec, &mo, err, sizeof(err)), 0);
    assert_int_equal(srv_model_create(&b->model, eng, 0), 0);
    assert_int_equal(srv_pool_create(&b->pool, &po, err, sizeof(err)), 0);
    b->client_fd = -1;
}

static void tear_down(struct bench *b)
{
    srv_pool_destroy(b->pool);
    srv_model_unref(b->model);
    close(b->pipe[0]);
    close(b->pipe[1]);
}

/* The row of a test: the best classes. */
struct answer {
    int n;
    struct eng_prediction best[TOP];
};

static void take(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                 int slot, void *row)
{
    struct answer *to = row;
    (void)rows;
    (void)j;
    to->n = eng_context_topk(c, slot, TOP, to->best);
}

static const struct srv_row_kind best = {.take = take};

static struct srv_job *make_jobs(struct bench *b, int n, uint64_t deadline)
{
    struct srv_job *jobs = calloc((size_t)n, sizeof(*jobs));
    struct answer *p = calloc((size_t)n, sizeof(*p));
    struct srv_req *r = calloc(1, sizeof(*r));
    struct srv_rows *rows = calloc(1, sizeof(*rows));
    assert_true(jobs && p && r && rows);
    *rows = (struct srv_rows){&best, 0, 0, sizeof(*p), (unsigned char *)p};
    r->client_fd = b->client_fd;
    r->model = b->model;
    r->jobs = jobs;
    r->rows = rows;
    r->n_rows = 1;
    atomic_init(&r->gone, 0);
    for (int i = 0; i < n; i++)
        jobs[i] = (struct srv_job){
            .req = r,
            .input = {SRV_IMAGE, png, sizeof(png)},
            .deadline_ns = deadline,
        };
    return jobs;
}

static void free_jobs(struct srv_job *jobs)
{
    free(jobs[0].req->rows[0].all);
    free(jobs[0].req->rows);
    free(jobs[0].req);
    free(jobs);
}

/* Waits until n jobs are back; counts them by state. */
static void collect(struct bench *b, int n, int by_state[SRV_JOB_FAILED + 1])
{
    memset(by_state, 0, sizeof(int) * (SRV_JOB_FAILED + 1));
    while (n > 0) {
        char c[64];
        struct pollfd f = {.fd = b->pipe[0], .events = POLLIN};
        assert_int_equal(poll(&f, 1, 30000), 1);
        assert_true(read(b->pipe[0], c, sizeof(c)) > 0);
        for (struct srv_job *j = srv_pool_collect(b->pool); j; j = j->next, n--)
            by_state[j->state]++;
    }
    assert_int_equal(n, 0);
}

static void all_come_back(void **state)
{
    (void)state;
    static const int workers[] = {1, 2, 5};
    for (int w = 0; w < 3; w++) {
        struct bench b;
        int got[SRV_JOB_FAILED + 1], n = 150;
        set_up(&b, workers[w], 8);
        struct srv_job *jobs = make_jobs(&b, n, SRV_NEVER);
        for (int i = 0; i < n; i += 3)
            jobs[i].input.len = 20; /* broken */
        for (int i = 0; i < n; i += 5)
            assert_int_equal(srv_pool_submit(b.pool, b.model, &jobs[i], 5, LIMIT), 0);
        collect(&b, n, got);
        assert_int_equal(got[SRV_JOB_FAILED], n / 3);
        assert_int_equal(got[SRV_JOB_DONE], n - n / 3);
        const struct answer *first = srv_job_row(&jobs[1], 0);
        for (int i = 0; i < n; i++) {
            assert_int_equal(jobs[i].status, i % 3 ? 200 : 422);
            if (i % 3 == 0)
                continue;
            assert_true(jobs[i].batch >= 1 && jobs[i].batch <= 8);
            const struct answer *row = srv_job_row(&jobs[i], 0);
            assert_int_equal(row->n, TOP);
            for (int k = 0; k < TOP; k++) /* the same picture: the same bits, in any batch */
                assert_true(row->best[k].class_number == first->best[k].class_number &&
                            row->best[k].score == first->best[k].score);
        }
        free_jobs(jobs);
        tear_down(&b);
    }
}

static void nothing_for_the_late_and_the_gone(void **state)
{
    (void)state;
    struct bench b;
    int got[SRV_JOB_FAILED + 1], pair[2];
    set_up(&b, 2, 8);
    struct srv_job *late = make_jobs(&b, 10, srv_now_ns());
    assert_int_equal(srv_pool_submit(b.pool, b.model, late, 10, LIMIT), 0);
    collect(&b, 10, got);
    assert_int_equal(got[SRV_JOB_EXPIRED], 10);
    assert_int_equal(late[0].status, 504);
    assert_int_equal(late[0].inference_ns, 0);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    b.client_fd = pair[0];
    struct srv_job *here = make_jobs(&b, 4, SRV_NEVER);
    assert_int_equal(srv_pool_submit(b.pool, b.model, here, 4, LIMIT), 0);
    collect(&b, 4, got);
    assert_int_equal(got[SRV_JOB_DONE], 4);
    assert_int_equal(write(pair[1], "more", 4), 4); /* unread bytes must not hide the end */
    close(pair[1]);
    struct srv_job *gone = make_jobs(&b, 4, SRV_NEVER);
    assert_int_equal(srv_pool_submit(b.pool, b.model, gone, 4, LIMIT), 0);
    collect(&b, 4, got);
    assert_int_equal(got[SRV_JOB_CANCELLED], 4);
    close(pair[0]);
    free_jobs(late);
    free_jobs(here);
    free_jobs(gone);
    tear_down(&b);
}

static size_t chunk(unsigned char *to, const char *type, const void *data, size_t len)
{
    unsigned char *p = to;
    uLong crc;
    for (int i = 0; i < 4; i++)
        *p++ = (unsigned char)(len >> (24 - 8 * i));
    memcpy(p, type, 4);
    if (len > 0)
        memcpy(p + 4, data, len);
    crc = crc32(0, p, (uInt)len + 4);
    p += len + 4;
    for (int i = 0; i < 4; i++)
        *p++ = (unsigned char)(crc >> (24 - 8 * i));
    return (size_t)(p - to);
}

/* A grey square that takes tens of milliseconds to decode. */
static unsigned char *slow_png(size_t *ret_len)
{
    enum { SIDE = 3000, ROOM = 1 << 20 };
    const unsigned char head[13] = {0, 0, SIDE >> 8, SIDE & 255, 0, 0, SIDE >> 8, SIDE & 255, 8};
    unsigned char *rows = calloc(SIDE, SIDE + 1), *packed = malloc(ROOM), *all = malloc(ROOM + 100);
    uLongf len = ROOM;
    assert_true(rows && packed && all);
    assert_int_equal(compress(packed, &len, rows, SIDE * (SIDE + 1)), Z_OK);
    memcpy(all, png, 8);
    size_t n = 8;
    n += chunk(all + n, "IHDR", head, sizeof(head));
    n += chunk(all + n, "IDAT", packed, len);
    n += chunk(all + n, "IEND", NULL, 0);
    free(rows);
    free(packed);
    *ret_len = n;
    return all;
}

/* Eight of one batch whose clients leave `pause_us` after it was taken, in `got` by their last
 * state. Returns whether that was while the first was decoded, which is not for us to choose. */
static int they_leave(unsigned char *slow, size_t len, useconds_t pause_us, int got[])
{
    struct bench b;
    set_up(&b, 1, 8);
    struct srv_job *jobs = make_jobs(&b, 8, SRV_NEVER);
    jobs[0].input.len = len;
    jobs[0].input.data = slow;
    for (int i = 1; i < 8; i++)
        jobs[i].priority = 1;
    assert_int_equal(srv_pool_submit(b.pool, b.model, jobs, 8, LIMIT), 0);
    while (srv_pool_state(b.pool).running < 8)
        usleep(100);
    usleep(pause_us);
    atomic_store(&jobs[0].req->gone, 1);
    collect(&b, 8, got);
    int in_time = got[SRV_JOB_CANCELLED] == 8 && jobs[0].decode_ns > 0;
    for (int i = 0; i < 8 && in_time; i++) {
        assert_int_equal(jobs[i].status, 499);
        assert_int_equal(jobs[i].inference_ns, 0);
    }
    in_time = in_time && jobs[7].decode_ns == 0;
    free_jobs(jobs);
    tear_down(&b);
    return in_time;
}

/* They leave while the first picture of their batch is decoded: neither are the others, nor is the
 * network run. */
static void a_batch_whose_clients_leave_ends(void **state)
{
    (void)state;
    int got[SRV_JOB_FAILED + 1] = {0};
    size_t len;
    unsigned char *slow = slow_png(&len);
    for (useconds_t pause_us = 0; !they_leave(slow, len, pause_us, got); pause_us += 500)
        if (pause_us > 20000)
            fail_msg("in no round was the rest of the batch left out; in the last, %d of 8 were",
                     got[SRV_JOB_CANCELLED]);
    free(slow);
}

static void all_or_none_up_to_the_limit(void **state)
{
    (void)state;
    struct bench b;
    int got[SRV_JOB_FAILED + 1];
    set_up(&b, 1, 1);
    struct srv_job *jobs = make_jobs(&b, 50, SRV_NEVER);
    assert_int_equal(srv_pool_submit(b.pool, b.model, jobs, 50, 49), -EAGAIN);
    assert_int_equal(jobs[0].state, SRV_JOB_NEW);
    assert_int_equal(srv_pool_queued(b.pool, b.model, 0).jobs, 0);
    assert_int_equal(srv_pool_submit(b.pool, b.model, jobs, 50, 50), 0);
    int withdrawn = 0;
    for (int i = 0; i < 50; i++)
        withdrawn += srv_pool_withdraw(b.pool, b.model, &jobs[i]);
    assert_int_equal(srv_pool_withdraw(b.pool, b.model, &jobs[49]), 0); /* once only */
    collect(&b, 50 - withdrawn, got);
    assert_int_equal(got[SRV_JOB_DONE], 50 - withdrawn);
    free_jobs(jobs);
    tear_down(&b);
}

static void expired_ones_leave_the_queue(void **state)
{
    (void)state;
    struct bench b;
    int got[SRV_JOB_FAILED + 1], expired = 0;
    uint64_t next, soon = srv_now_ns() + 3600u * 1000000000ull;
    set_up(&b, 1, 1);
    struct srv_job *jobs = make_jobs(&b, 60, soon);
    assert_int_equal(srv_pool_submit(b.pool, b.model, jobs, 60, LIMIT), 0);
    assert_null(srv_pool_expire(b.pool, soon - 1, &next));
    assert_true(next == soon || next == SRV_NEVER);
    for (struct srv_job *j = srv_pool_expire(b.pool, soon, &next); j; j = j->next)
        expired++;
    assert_true(next == SRV_NEVER);
    collect(&b, 60 - expired, got);
    assert_int_equal(srv_pool_state(b.pool).queued, 0);
    free_jobs(jobs);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_back),
        cmocka_unit_test(nothing_for_the_late_and_the_gone),
        cmocka_unit_test(a_batch_whose_clients_leave_ends),
        cmocka_unit_test(all_or_none_up_to_the_limit),
        cmocka_unit_test(expired_ones_leave_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
