/* Base64 both ways: RFC 4648's vectors, every length, white space, JSON escapes, damage. */
#include "protocol/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static long decode(const char *s, int in_json, char *out)
{
    /* The input in a block of its own size, so that a sanitizer sees a read past it. */
    size_t len = strlen(s);
    char *copy = malloc(len ? len : 1), *room = malloc(proto_base64_decoded_max(len));
    assert_non_null(copy);
    assert_non_null(room);
    memcpy(copy, s, len);
    long n = proto_base64_decode(copy, len, in_json, room, proto_base64_decoded_max(len));
    if (n >= 0) {
        memcpy(out, room, (size_t)n);
        out[n] = 0;
    }
    free(copy);
    free(room);
    return n;
}

static void vectors_of_rfc_4648(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        assert_int_equal(decode(pairs[i][0], 0, out), strlen(pairs[i][1]));
        assert_string_equal(out, pairs[i][1]);
        long n = proto_base64_encode(pairs[i][1], strlen(pairs[i][1]), out, sizeof(out));
        assert_int_equal(n, strlen(pairs[i][0]));
        assert_string_equal(out, pairs[i][0]);
    }
}

static void lenient_where_it_is_harmless(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(decode("Zm9vYg", 0, out), 4); /* no padding */
    assert_int_equal(decode("Zm9v\r\nYmFy\n", 0, out), 6);
    assert_string_equal(out, "foobar");
    assert_int_equal(decode("Z m\t9vYg = =\n", 0, out), 4);
    assert_int_equal(decode("-_-_", 0, out), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(decode("+/+/", 0, out), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(decode("+\\/+\\/", 1, out), 3); /* PHP escapes every slash */
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(decode("Zm9v\\nYg==\\n", 1, out), 4);
    assert_string_equal(out, "foob");
}

static void damage_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",     "Zm9vY",    "Zg=",  "Zg===", "=",      "====",   "Zg==Zg==", "Zm9v=",  "Zm=v",
        "Zm9v!", "Zm9v\x80", "Zh==", "Zm9=",  "\\/Zm9", "Zm9v\\", "Zg=\\n=x", "Zg==\\n"};
    char out[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (decode(bad[i], 0, out) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
    assert_int_equal(decode("Zm9v\\", 1, out), -EINVAL);
    assert_int_equal(decode("Zm9v\\u002f", 1, out), -EINVAL);
    assert_int_equal(proto_base64_decode("Zm9v\0mFy", 8, 0, out, sizeof(out)), -EINVAL);
    assert_int_equal(proto_base64_decode("Zm9v", 4, 0, out, 5), -ENOSPC);
    assert_int_equal(proto_base64_encode("foo", 3, out, 4), -ENOSPC);
    assert_int_equal(proto_base64_encode("foo", 3, out, 5), 4);
}

static void every_length_and_byte_round_trips(void **state)
{
    (void)state;
    unsigned char data[300], back[400];
    char text[500];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t n = 0; n <= sizeof(data); n++) {
        long m = proto_base64_encode(data, n, text, sizeof(text));
        assert_int_equal(m, proto_base64_encoded_len(n));
        assert_int_equal(proto_base64_decode(text, (size_t)m, 0, back, sizeof(back)), n);
        assert_memory_equal(back, data, n);
    }
}

static void data_urls(void **state)
{
    (void)state;
    const char *data;
    size_t len;
    static const char url[] = "data:image/png;base64,Zm9v";
    assert_int_equal(proto_data_url(url, sizeof(url) - 1, &data, &len), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "Zm9v", 4);
    assert_int_equal(proto_data_url("DATA:;BASE64,", 13, &data, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(proto_data_url("data:image/png;charset=x;base64,aa", 34, &data, &len), 0);
    assert_int_equal(proto_data_url("data:text/plain,hello", 21, &data, &len), -EINVAL);
    assert_int_equal(proto_data_url("data:image/png;base64", 21, &data, &len), -EINVAL);
    assert_int_equal(proto_data_url("data:", 5, &data, &len), -EINVAL);
    assert_int_equal(proto_data_url("data", 4, &data, &len), -ENOENT);
    assert_int_equal(proto_data_url("Zm9v", 4, &data, &len), -ENOENT);
    assert_int_equal(proto_data_url("https://x/a.png", 15, &data, &len), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_4648), cmocka_unit_test(lenient_where_it_is_harmless),
        cmocka_unit_test(damage_is_refused),   cmocka_unit_test(every_length_and_byte_round_trips),
        cmocka_unit_test(data_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
