/* The budget of what clients make the server hold: its limit, shares, and threads that charge. */
#include "server/base/account.h"
#include "server/base/arena.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { KB = 1 << 10, LIMIT = 900 * KB };

static struct srv_payer payer(struct srv_budget *b)
{
    struct srv_payer p = {b, srv_account_create(b), NULL};
    assert_non_null(p.connection);
    return p;
}

static size_t take_all(const struct srv_payer *p, size_t piece)
{
    size_t n = 0;
    while (srv_charge(p, SRV_USE_REQUEST, piece) == 0)
        n += piece;
    return n;
}

static void what_is_charged_comes_back(void **state)
{
    (void)state;
    struct srv_budget b;
    srv_budget_init(&b, LIMIT);
    struct srv_payer p = payer(&b);
    p.key = srv_account_of_key(&b, "alice");
    assert_int_equal(srv_charge(&p, SRV_USE_MESSAGE, 100), 0);
    assert_int_equal(srv_charge_change(&p, SRV_USE_MESSAGE, 100, 300), 0);
    srv_charge_anyway(&p, SRV_USE_ANSWER, 50);
    assert_int_equal(b.used, 350);
    assert_int_equal(b.of[SRV_USE_MESSAGE], 300);
    assert_int_equal(b.of[SRV_USE_ANSWER], 50);
    assert_int_equal(p.connection->used, 350);
    assert_int_equal(p.key->used, 350);
    assert_int_equal(srv_charge_change(&p, SRV_USE_MESSAGE, 300, 10), 0);
    srv_discharge(&p, SRV_USE_MESSAGE, 10);
    srv_discharge(&p, SRV_USE_ANSWER, 50);
    assert_int_equal(b.used, 0);
    assert_int_equal(p.connection->used, 0);
    assert_int_equal(b.of[SRV_USE_MESSAGE] + b.of[SRV_USE_ANSWER], 0);
    assert_int_equal(b.refusals, 0);
    srv_account_unref(p.connection);
    srv_account_unref(p.key);
}

static void the_limit_holds(void **state)
{
    (void)state;
    struct srv_budget b;
    const struct srv_payer all = {&b, NULL, NULL};
    srv_budget_init(&b, LIMIT);
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, LIMIT + 1), -EDQUOT);
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, SIZE_MAX), -EDQUOT);
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, LIMIT), 0);
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, 1), -EDQUOT);
    assert_int_equal(b.used, LIMIT);
    assert_int_equal(b.refusals, 3);
    srv_budget_set_limit(&b, LIMIT / 2); /* a reload, with more in use than there may be now */
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, 1), -EDQUOT);
    srv_discharge(&all, SRV_USE_REQUEST, LIMIT / 2 + 1);
    assert_int_equal(srv_charge(&all, SRV_USE_REQUEST, 1), 0);
}

/* Whoever takes all he gets, and keeps it, leaves something to those who come next. */
static void there_is_always_something_left(void **state)
{
    (void)state;
    enum { MOST = 151, WHOLE = 512 << 20, PIECE = 4 * KB };
    static const struct {
        int after;
        size_t least; /* for who comes next */
    } rows[] = {{0, WHOLE / 4}, {4, 16 << 20}, {20, 2 << 20}, {150, 128 * KB}};
    struct srv_budget b;
    struct srv_payer p[MOST];
    size_t row = 0;
    srv_budget_init(&b, WHOLE);
    assert_int_equal(srv_budget_most(&b), WHOLE / 4);
    for (int n = 0; n < MOST; n++) {
        p[n] = payer(&b);
        size_t got = take_all(&p[n], PIECE);
        if (rows[row].after == n)
            assert_in_range(got, rows[row].least, 2 * rows[row].least);
        row += rows[row].after == n;
    }
    assert_int_equal(row, sizeof(rows) / sizeof(rows[0]));
    for (int n = 0; n < MOST; n++)
        srv_account_unref(p[n].connection);
}

static void what_is_brief_takes_half(void **state)
{
    (void)state;
    struct srv_budget b;
    srv_budget_init(&b, LIMIT);
    assert_int_equal(srv_charge_briefly(&b, SRV_USE_PICTURE, LIMIT / 2 + 1), -EFBIG);
    assert_int_equal(srv_charge_briefly(&b, SRV_USE_PICTURE, LIMIT / 2), 0);
    assert_int_equal(srv_charge_briefly(&b, SRV_USE_PICTURE, LIMIT / 4 + 1), -EDQUOT);
    assert_int_equal(srv_charge_briefly(&b, SRV_USE_PICTURE, LIMIT / 4), 0);
    assert_int_equal(b.of[SRV_USE_PICTURE], b.used);
    srv_budget_set_limit(&b, 10);
    assert_int_equal(srv_charge_briefly(&b, SRV_USE_PICTURE, 1), -EDQUOT);
}

static void a_key_pays_for_all_its_connections(void **state)
{
    (void)state;
    struct srv_budget b;
    srv_budget_init(&b, LIMIT);
    struct srv_payer p[8];
    size_t sum = 0;
    for (int i = 0; i < 8; i++) {
        p[i] = payer(&b);
        p[i].key = srv_account_of_key(&b, "bob");
        assert_ptr_equal(p[i].key, p[0].key);
        sum += take_all(&p[i], KB);
    }
    assert_in_range(sum, srv_budget_most(&b), LIMIT / 3);
    struct srv_payer other = payer(&b);
    other.key = srv_account_of_key(&b, "eve");
    assert_ptr_not_equal(other.key, p[0].key);
    assert_true(take_all(&other, KB) >= LIMIT / 8);
    for (int i = 0; i < 8; i++) {
        assert_ptr_equal(b.keys, other.key);
        srv_account_unref(p[i].connection);
        srv_account_unref(p[i].key);
    }
    assert_null(other.key->next);
    assert_null(other.key->prev);
    srv_account_unref(other.key);
    srv_account_unref(other.connection);
    assert_null(b.keys);
}

static void an_arena_says_why(void **state)
{
    (void)state;
    struct srv_budget b;
    const struct srv_payer p = {&b, NULL, NULL};
    struct srv_arena a;
    srv_budget_init(&b, 10000);
    srv_arena_init(&a, 100000, &p);
    assert_null(srv_arena_alloc(&a, 200000));
    assert_false(a.refused); /* over its own cap */
    void *block = srv_arena_grow(&a, NULL, 5000);
    assert_non_null(block);
    assert_null(srv_arena_grow(&a, block, 20000));
    assert_true(a.refused);
    assert_int_equal(b.used, a.used);
    srv_arena_finish(&a);
    assert_int_equal(b.used, 0);
}

enum { THREADS = 4, TURNS = 20000 };

static void *charge_and_give_back(void *arg)
{
    const struct srv_payer *p = arg;
    size_t most = 0;
    for (int i = 0; i < TURNS; i++) {
        if (srv_charge(p, SRV_USE_INFLATED, 400 * KB) < 0)
            continue;
        size_t used = p->budget->used;
        most = used > most ? used : most;
        srv_discharge(p, SRV_USE_INFLATED, 400 * KB);
    }
    return (void *)most;
}

static void threads_never_pass_the_limit(void **state)
{
    (void)state;
    struct srv_budget b;
    const struct srv_payer p = {&b, NULL, NULL};
    pthread_t threads[THREADS];
    srv_budget_init(&b, LIMIT);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, charge_and_give_back, (void *)&p), 0);
    for (int i = 0; i < THREADS; i++) {
        void *most;
        pthread_join(threads[i], &most);
        assert_true((size_t)most <= LIMIT);
    }
    assert_int_equal(b.used, 0);
    assert_int_equal(b.of[SRV_USE_INFLATED], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_charged_comes_back),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(there_is_always_something_left),
        cmocka_unit_test(what_is_brief_takes_half),
        cmocka_unit_test(a_key_pays_for_all_its_connections),
        cmocka_unit_test(an_arena_says_why),
        cmocka_unit_test(threads_never_pass_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
