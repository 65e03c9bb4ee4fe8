/* Top-k: order, ties, background outputs, caps. */
#include "engine/base/topk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_and_breaks_ties),
        cmocka_unit_test(background_never_ranks),
        cmocka_unit_test(not_a_number_is_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
