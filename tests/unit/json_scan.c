/* The pull scanner: what is JSON and what is not, nesting, escapes. jansson is the second opinion.
 */
#include "protocol/json_scan.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char err[256];
static struct proto_scan scan;
static char *text;

static void on(const char *json)
{
    /* A block of its own size, so that a sanitizer sees a read past it. */
    size_t len = strlen(json);
    free(text);
    text = malloc(len ? len : 1);
    assert_non_null(text);
    memcpy(text, json, len);
    err[0] = 0;
    proto_scan_init(&scan, text, len, err, sizeof(err));
}

static int whole(const char *json)
{
    on(json);
    int r = proto_scan_skip(&scan, NULL);
    return r < 0 ? r : proto_scan_finish(&scan);
}

static void valid_and_invalid_texts(void **state)
{
    (void)state;
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [ ] ",
                                       "[[],{}]",
                                       "{\"a\":{\"b\":[1,-2.5e3,true,false,null,\"x\"]},\"c\":{}}",
                                       "\"\"",
                                       "0",
                                       "-0.5E+3",
                                       "\"\\u00e9\\n\\\"\\\\\\/\"",
                                       "\"\xc3\xa9\"",
                                       "\t{\r\n\"a\" : 1 , \"b\":2}\n"};
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "[",
                                      "}",
                                      "]",
                                      "[1,]",
                                      "[,1]",
                                      "{,}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\":1 \"b\":2}",
                                      "{a:1}",
                                      "{1:1}",
                                      "[1 2]",
                                      "[1}",
                                      "{\"a\":1]",
                                      "\"",
                                      "\"a",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\n\"",
                                      "\"\xff\"",
                                      "\"\xc3\"",
                                      "tru",
                                      "nul",
                                      "False",
                                      "01",
                                      "1.",
                                      "+1",
                                      ".5",
                                      "1e",
                                      "--1",
                                      "[1]]",
                                      "{}{}",
                                      "1 2",
                                      "'a'",
                                      "[\"a\",]",
                                      "/**/1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (whole(good[i]))
            fail_msg("%s: %s", good[i], err);
        json_t *tree = json_loads(good[i], JSON_DECODE_ANY, NULL);
        assert_non_null(tree);
        json_decref(tree);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (whole(bad[i]) != -EINVAL || !err[0])
            fail_msg("%s was taken", bad[i]);
        assert_null(json_loads(bad[i], JSON_DECODE_ANY, NULL));
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char deep[300] = "";
    for (int depth = 1; depth <= 100; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        deep[2 * depth] = 0;
        assert_int_equal(whole(deep), depth <= PROTO_SCAN_DEPTH_MAX ? 0 : -EINVAL);
    }
    assert_string_equal(err, "JSON: nested too deep at byte 64");
    /* Alternating kinds at full depth, closed in the right order. */
    char *s = deep;
    for (int i = 0; i < 32; i++)
        s += snprintf(s, 8, "[{\"\":");
    *s++ = '1';
    for (int i = 0; i < 32; i++)
        s += snprintf(s, 8, "}]");
    assert_int_equal(whole(deep), 0);
    s[-1] = '}';
    assert_int_equal(whole(deep), -EINVAL);
}

static void objects_and_arrays_step_by_step(void **state)
{
    (void)state;
    struct proto_span key, value;
    int64_t number;
    int n = 0, m = 0, yes;
    on("{ \"a\" : [ 1, -9223372036854775808 ] , \"b\\n\":true, \"c\":[{\"x\":\"]\"}] }");
    assert_int_equal(proto_scan_enter_object(&scan), 0);
    assert_int_equal(proto_scan_member(&scan, &n, &key), 1);
    assert_true(proto_span_is(key, "a"));
    assert_int_equal(proto_scan_enter_array(&scan), 0);
    assert_int_equal(proto_scan_element(&scan, &m), 1);
    assert_int_equal(proto_scan_int(&scan, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(proto_scan_element(&scan, &m), 1);
    assert_int_equal(proto_scan_int(&scan, &number), 0);
    assert_true(number == INT64_MIN);
    assert_int_equal(proto_scan_element(&scan, &m), 0);
    assert_int_equal(proto_scan_member(&scan, &n, &key), 1);
    assert_true(proto_span_is(key, "b\\n"));
    assert_int_equal(proto_scan_bool(&scan, &yes), 0);
    assert_int_equal(yes, 1);
    assert_int_equal(proto_scan_member(&scan, &n, &key), 1);
    assert_int_equal(proto_scan_skip_array(&scan, &value), 0);
    assert_int_equal(value.len, 11);
    assert_int_equal(proto_scan_member(&scan, &n, &key), 0);
    assert_int_equal(proto_scan_finish(&scan), 0);
}

static void whole_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "1.0",
                                      "1e2",
                                      "01",
                                      "x",
                                      "\"1\"",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "null"};
    int64_t v = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        on(bad[i]);
        if (proto_scan_int(&scan, &v) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
    assert_int_equal(v, 77);
    on("9223372036854775807");
    assert_int_equal(proto_scan_int(&scan, &v), 0);
    assert_true(v == INT64_MAX);
}

static void arrays_are_stepped_over(void **state)
{
    (void)state;
    struct proto_span got;
    char big[2000];
    int n = 0;
    n += snprintf(big + n, sizeof(big) - (size_t)n, " [[");
    for (int i = 0; i < 150; i++)
        n += snprintf(big + n, sizeof(big) - (size_t)n, "%s0.125%d", i ? "," : "", i);
    int len = n += snprintf(big + n, sizeof(big) - (size_t)n, "]]");
    snprintf(big + n, sizeof(big) - (size_t)n, ",\"next\":1");
    on(big);
    assert_int_equal(proto_scan_skip_array(&scan, &got), 0);
    assert_int_equal(got.len, len - 1);
    assert_int_equal(got.s[got.len - 1], ']');
    on("[\"a]\\\"]\", {\"b\":\"}\"}]x");
    assert_int_equal(proto_scan_skip_array(&scan, &got), 0);
    assert_int_equal(got.len, 20);
    for (int i = 1; i < len; i++) {
        char save = big[i];
        big[i] = 0;
        on(big);
        assert_int_equal(proto_scan_skip_array(&scan, &got), -EINVAL);
        big[i] = save;
    }
    on("1");
    assert_int_equal(proto_scan_skip_array(&scan, &got), -EINVAL);
    on("[}");
    assert_int_equal(proto_scan_skip_array(&scan, &got), -EINVAL);
}

static void escapes_decode(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
        {"\\ud83d\\udc08", "\xf0\x9f\x90\x88"},
        {"\\ud83dx", "\xef\xbf\xbdx"},
        {"\\udc08", "\xef\xbf\xbd"},
        {"\\ud83d\\ud83d\\udc08", "\xef\xbf\xbd\xf0\x9f\x90\x88"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        char out[64];
        struct proto_span in = {pairs[i][0], strlen(pairs[i][0])};
        size_t n = proto_json_unescape(in, out);
        assert_int_equal(n, strlen(pairs[i][1]));
        assert_memory_equal(out, pairs[i][1], n);
        assert_true(n <= in.len);
    }
}

static int release(void **state)
{
    (void)state;
    free(text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_and_invalid_texts),         cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(objects_and_arrays_step_by_step), cmocka_unit_test(whole_numbers),
        cmocka_unit_test(arrays_are_stepped_over),         cmocka_unit_test(escapes_decode),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
