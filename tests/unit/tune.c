/* Tuning: it ends, its outcome survives as text, and no choice changes a result. */
#include "engine/tune.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char err[256];

static struct eng_model *network(enum eng_precision precision)
{
    struct eng_mobilenet_spec spec = {
        .generation = 1, .alpha = 0.25, .rho = 96, .classes = 10, .seed = 3};
    struct eng_model_options opts = {.precision = precision};
    struct eng_model *m;
    if (eng_model_build(&m, &spec, &opts, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    return m;
}

static struct eng_team *team_of(int members)
{
    struct eng_team *team;
    assert_int_equal(eng_team_create(&team, members), 0);
    return team;
}

static int tune(struct eng_model *m, int members)
{
    struct eng_tuner *t;
    struct eng_team *team = team_of(members); /* nobody helps: the leader does all the units */
    int slices = 0, rc = 1;
    if (eng_tuner_create(&t, m, members, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    for (; rc == 1 && slices < 1000; slices++) {
        eng_team_begin(team);
        rc = eng_tuner_step(t, team);
        eng_team_end(team);
    }
    assert_int_equal(rc, 0);
    eng_tuner_destroy(t);
    eng_team_destroy(team);
    return slices;
}

static void logits_of(struct eng_model *m, float ret[10])
{
    struct eng_context *c;
    if (eng_context_create(&c, m, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    size_t n = (size_t)96 * 96 * 3 * eng_type_size(eng_model_info(m)->preprocess.type);
    unsigned char *in = eng_context_input(c, 0);
    for (size_t i = 0; i < n; i++)
        in[i] = (unsigned char)(i * 7 % 61); /* as floats: small ones */
    assert_int_equal(eng_context_run(c, 1, NULL), 0);
    memcpy(ret, eng_context_logits(c, 0), 10 * sizeof(*ret));
    eng_context_destroy(c);
}

static void tuning_ends_and_changes_no_bit(void **state)
{
    (void)state;
    static const enum eng_precision all[] = {ENG_PRECISION_INT8, ENG_PRECISION_FP32};
    for (int i = 0; i < 2; i++) {
        struct eng_model *m = network(all[i]);
        float before[10], after[10];
        logits_of(m, before);
        int one = tune(m, 1), both = tune(m, 2);
        assert_true(one > 5 && both == 2 * one);
        logits_of(m, after);
        assert_memory_equal(before, after, sizeof(before));
        eng_model_unref(m);
    }
}

/* Every digit of a line one after the other: all choices, and what lies beside them. */
static void any_line_that_is_taken_changes_no_bit(void **state)
{
    (void)state;
    struct eng_model *m = network(ENG_PRECISION_INT8);
    char line[ENG_TUNING_TEXT], again[ENG_TUNING_TEXT];
    float before[10], after[10];
    logits_of(m, before);
    int len = eng_tuning_print(m, line, sizeof(line)), taken = 0;
    assert_true(len > 20 && line[len - 1] == '\n' && eng_tuning_changes(m) == 0);
    for (int at = 2; at < len - 1; at++) {
        char was = line[at];
        for (int digit = '0'; digit <= '9' && was != ' '; digit++) {
            line[at] = (char)digit;
            if (eng_tuning_parse(m, line) < 0)
                continue;
            taken++;
            logits_of(m, after);
            assert_memory_equal(before, after, sizeof(before));
            assert_int_equal(eng_tuning_print(m, again, sizeof(again)), len);
            assert_string_equal(line, again);
        }
        line[at] = was;
    }
    assert_true(taken > len);
    eng_model_unref(m);
}

static void other_lines_are_refused(void **state)
{
    (void)state;
    struct eng_model *m = network(ENG_PRECISION_INT8);
    char line[ENG_TUNING_TEXT], bad[ENG_TUNING_TEXT + 8];
    int len = eng_tuning_print(m, line, sizeof(line));
    assert_int_equal(eng_tuning_print(m, bad, 10), -ENOSPC);
    for (int cut = 0; cut < len; cut++) {
        snprintf(bad, sizeof(bad), "%.*s", cut, line);
        assert_int_equal(eng_tuning_parse(m, bad), -EINVAL);
        snprintf(bad, sizeof(bad), "%.*sx%s", cut, line, line + cut);
        assert_int_equal(eng_tuning_parse(m, bad), -EINVAL);
    }
    assert_int_equal(eng_tuning_parse(m, "1 0 0 0 0 0\n"), -EINVAL);
    assert_int_equal(eng_tuning_parse(m, line), 0);
    eng_model_unref(m);
}

/* With a context of its own for each, a change is seen from the next run on. */
static void contexts_follow(void **state)
{
    (void)state;
    struct eng_model *m = network(ENG_PRECISION_FP32);
    struct eng_context *c;
    char line[ENG_TUNING_TEXT];
    assert_int_equal(eng_context_create(&c, m, 1, 1, err, sizeof(err)), 0);
    memset(eng_context_input(c, 0), 0, (size_t)96 * 96 * 3 * sizeof(float));
    assert_int_equal(eng_context_run(c, 1, NULL), 0);
    float first = eng_context_logits(c, 0)[0];
    assert_true(eng_tuning_print(m, line, sizeof(line)) > 0);
    for (char *p = strchr(line, ' ') + 1; *p; p++) /* fifth best everywhere, no strips */
        if (p[-1] == '0' && *p == '0')
            *p = '5';
    assert_int_equal(eng_tuning_parse(m, line), 0);
    assert_true(eng_tuning_changes(m) > 10);
    assert_int_equal(eng_context_run(c, 1, NULL), 0);
    assert_true(first == eng_context_logits(c, 0)[0]);
    eng_context_destroy(c);
    eng_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tuning_ends_and_changes_no_bit),
        cmocka_unit_test(any_line_that_is_taken_changes_no_bit),
        cmocka_unit_test(other_lines_are_refused),
        cmocka_unit_test(contexts_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
