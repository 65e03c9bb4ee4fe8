/* Percent-decoding and whole-string integers. */
#include "protocol/query.h"
#include "protocol/utf8.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int decode(const char *s, char *out, size_t len)
{
    return proto_percent_decode(s, strlen(s), out, len);
}

static void escapes_decode(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(decode("a%20b+c%2Fd%2fe", out, sizeof(out)), 9);
    assert_string_equal(out, "a b+c/d/e");
    assert_int_equal(decode("%C3%A9", out, sizeof(out)), 2);
    assert_string_equal(out, "\xc3\xa9");
    assert_int_equal(decode("", out, sizeof(out)), 0);
    assert_string_equal(out, "");
    assert_int_equal(decode("%2500", out, sizeof(out)), 3);
    assert_string_equal(out, "%00"); /* once, not twice */
}

static void bad_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"%",    "%2",        "a%2",         "%zz",   "%-1",
                                      "%00",  "%ff",       "%C3",         "\xc3(", "%c0%80",
                                      "% 41", "%ed%a0%80", "%f4%90%80%80"};
    char out[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (decode(bad[i], out, sizeof(out)) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
    assert_int_equal(proto_percent_decode("a\0b", 3, out, sizeof(out)), -EINVAL);
}

static void the_buffer_bounds(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_int_equal(decode("abc", out, 4), 3);
    assert_int_equal(decode("abcd", out, 4), -ENOSPC);
    assert_int_equal(decode("%41%42%43%44", out, 4), -ENOSPC);
    assert_int_equal(decode("", out, 0), -ENOSPC);
    assert_int_equal(decode("", out, 1), 0);
}

static void targets(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"/", "/"},
        {"/a?b=http://c/d", "/a?b=http://c/d"},
        {"//a/b", "//a/b"},
        {"*", "*"},
        {"http://a.example/b?c", "/b?c"},
        {"HTTPS://[::1]:8080/", "/"},
        {"http://a", ""},
        {"http://a:?b=/c", "?b=/c"},
        {"http://%61,b/c//d", "/c//d"},
    };
    static const char *const bad[] = {
        "",          "a",         "a/b",      "**",           "a:443",           "http:/a/b",
        "http://",   "http:///a", "http://?", "ftp://a/b",    "http://:80/a",    "http://u@a/b",
        "http://#a", "http",      "file:/a",  "http://a b/c", "http://\xc3\xa9", "http//a/b",
    };
    const char *path;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(proto_target_path(good[i][0], &path), 0);
        assert_string_equal(path, good[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (proto_target_path(bad[i], &path) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
}

static void integers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "-",   "+1",  " 1",  "1 ",
                                      "1.0", "0x1", "1e3", "--1", "\xd9\xa3"};
    long long v = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(proto_parse_int(bad[i], LLONG_MIN, LLONG_MAX, &v), -EINVAL);
    assert_int_equal(proto_parse_int("5", 1, 4, &v), -ERANGE);
    assert_int_equal(proto_parse_int("0", 1, 4, &v), -ERANGE);
    assert_int_equal(proto_parse_int("9223372036854775808", LLONG_MIN, LLONG_MAX, &v), -ERANGE);
    assert_int_equal(proto_parse_int("-9223372036854775809", LLONG_MIN, LLONG_MAX, &v), -ERANGE);
    assert_int_equal(proto_parse_int("99999999999999999999999999", 0, LLONG_MAX, &v), -ERANGE);
    assert_int_equal(v, 77);
    assert_int_equal(proto_parse_int("9223372036854775807", LLONG_MIN, LLONG_MAX, &v), 0);
    assert_true(v == LLONG_MAX);
    assert_int_equal(proto_parse_int("-9223372036854775808", LLONG_MIN, LLONG_MAX, &v), 0);
    assert_true(v == LLONG_MIN);
    assert_int_equal(proto_parse_int("007", 0, 10, &v), 0);
    assert_int_equal(v, 7);
    assert_int_equal(proto_parse_int("-0", 0, 10, &v), 0);
    assert_int_equal(v, 0);
}

static void repair_keeps_what_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"Egyptian cat", "Egyptian cat"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x88", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x88"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *got = proto_utf8_repair(cases[i].in, strlen(cases[i].in));
        assert_string_equal(got, cases[i].out);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_decode),    cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(the_buffer_bounds), cmocka_unit_test(targets),
        cmocka_unit_test(integers),          cmocka_unit_test(repair_keeps_what_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
