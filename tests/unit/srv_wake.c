/* What a thread wrote before it sent is seen by a later call, and no send is lost. */
#include "server/base/wake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { SENDERS = 3, SENDS = 2000 };

struct bench {
    uv_loop_t loop;
    struct srv_wake wake;
    atomic_int sent;
    int seen, calls;
};

static void *send_many(void *arg)
{
    struct bench *b = arg;
    for (int i = 0; i < SENDS; i++) {
        atomic_fetch_add(&b->sent, 1);
        srv_wake_send(&b->wake);
    }
    return NULL;
}

static void count(void *arg)
{
    struct bench *b = arg;
    b->calls++;
    b->seen = atomic_load(&b->sent);
}

static void no_send_is_lost(void **state)
{
    (void)state;
    struct bench b = {.sent = 0};
    pthread_t threads[SENDERS];
    assert_int_equal(uv_loop_init(&b.loop), 0);
    assert_int_equal(srv_wake_init(&b.wake, &b.loop, count, &b), 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &b), 0);
    while (b.seen < SENDERS * SENDS) /* waits for ever if the last send was lost */
        uv_run(&b.loop, UV_RUN_ONCE);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(b.calls > 0);
    uv_close((uv_handle_t *)&b.wake.poll, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    srv_wake_finish(&b.wake);
    assert_int_equal(uv_loop_close(&b.loop), 0);
}

static void finish_of_what_never_was(void **state)
{
    (void)state;
    struct srv_wake w = {0};
    srv_wake_finish(&w);
    srv_wake_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_send_is_lost),
        cmocka_unit_test(finish_of_what_never_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
