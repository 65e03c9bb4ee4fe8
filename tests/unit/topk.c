/* Top-k: order, ties, background outputs, caps. */
#include "engine/context.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static void orders_and_breaks_ties(void **state)
{
    (void)state;
    static const float logits[6] = {9, 3, 5, 3, 5, 1}, p[6] = {0.9f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
    struct eng_prediction best[6];
    assert_int_equal(eng_topk(logits, p, 6, 0, 4, best), 4);
    static const int want[4] = {0, 2, 4, 1};
    for (int i = 0; i < 4; i++)
        assert_int_equal(best[i].class_number, want[i]);
    assert_true(best[2].score == 0.4f);
}

static void background_never_ranks(void **state)
{
    (void)state;
    static const float logits[4] = {9, 1, 2, 3};
    struct eng_prediction best[4];
    assert_int_equal(eng_topk(logits, logits, 4, 1, 10, best), 3);
    assert_int_equal(best[0].class_number, 2);
    assert_true(best[0].score == 3);
    assert_int_equal(best[2].class_number, 0);
    assert_int_equal(eng_topk(logits, logits, 1, 1, 3, best), 0);
    assert_int_equal(eng_topk(logits, logits, 4, 0, 0, best), 0);
}

static void not_a_number_is_last(void **state)
{
    (void)state;
    const float logits[3] = {NAN, -5, NAN};
    struct eng_prediction best[3];
    assert_int_equal(eng_topk(logits, logits, 3, 0, 3, best), 3);
    assert_int_equal(best[0].class_number, 1);
    assert_int_equal(best[1].class_number, 0);
}

static void nothing_is_behind_what_is_no_number(void **state)
{
    (void)state;
    const float logits[4] = {NAN, -INFINITY, NAN, INFINITY};
    static const int want[4] = {3, 1, 0, 2};
    struct eng_prediction best[4];
    for (int k = 1; k <= 4; k++) {
        assert_int_equal(eng_topk(logits, logits, 4, 0, k, best), k);
        for (int i = 0; i < k; i++)
            assert_int_equal(best[i].class_number, want[i]);
    }
}

/* Every length and every k, many ties and some NaN, against taking the best one after the other. */
static void as_one_after_the_other(void **state)
{
    (void)state;
    enum { MOST = 40 };
    float v[MOST], s[MOST];
    struct eng_prediction best[MOST];
    uint32_t seed = 1;
    for (int n = 1; n <= MOST; n++)
        for (int k = 1; k <= n; k++) {
            char taken[MOST] = "";
            for (int i = 0; i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                uint32_t r = seed >> 28;
                v[i] = r == 15 ? NAN : r == 14 ? -INFINITY : (float)r;
                s[i] = (float)i;
            }
            assert_int_equal(eng_topk(v, s, n, 0, k, best), k);
            for (int at = 0; at < k; at++) {
                int top = -1;
                for (int i = 0; i < n; i++)
                    if (!taken[i] && (top < 0 || v[i] > v[top] || (isnan(v[top]) && !isnan(v[i]))))
                        top = i;
                taken[top] = 1;
                assert_int_equal(best[at].class_number, top);
                assert_true(best[at].score == (float)top);
            }
        }
}

/* Rising values are the worst that can come. What takes n * k steps does not end here. */
static void all_of_millions(void **state)
{
    (void)state;
    enum { N = 2000000 };
    float *v = malloc(N * sizeof(*v));
    struct eng_prediction *best = malloc(N * sizeof(*best));
    assert_non_null(v);
    assert_non_null(best);
    for (int i = 0; i < N; i++)
        v[i] = (float)i;
    assert_int_equal(eng_topk(v, v, N, 1, N, best), N - 1);
    for (int i = 0; i < N - 1; i++)
        if (best[i].class_number != N - 2 - i)
            fail_msg("place %d has class %d", i, best[i].class_number);
    free(best);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_and_breaks_ties),
        cmocka_unit_test(background_never_ranks),
        cmocka_unit_test(not_a_number_is_last),
        cmocka_unit_test(nothing_is_behind_what_is_no_number),
        cmocka_unit_test(as_one_after_the_other),
        cmocka_unit_test(all_of_millions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
