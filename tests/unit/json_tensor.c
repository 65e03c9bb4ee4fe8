/* Number arrays: bit for bit what strtof() gives, the grammar of JSON, counts, hostile text. */
#include "protocol/json_tensor.h"
#include "protocol/powers_of_ten.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char err[256];

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int same(float a, float b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Both ways in: alone, and within an array with room behind it (the fast path) and without. */
static void reads_like_strtof(const char *text)
{
    char array[2048];
    float want = strtof(text, NULL), got = 77;
    size_t len = strlen(text), n = (size_t)snprintf(array, sizeof(array), "[%s]", text);
    if (proto_json_float(text, len, &got) != (int)len || !same(got, want))
        fail_msg("%s: %a, not %a", text, (double)got, (double)want);
    for (int room = 0; room < 2; room++) {
        got = 77;
        if (proto_json_floats(array, n, &got, 1, NULL, err, sizeof(err)) || !same(got, want))
            fail_msg("%s: %a, not %a (%s)", array, (double)got, (double)want, err);
        n = (size_t)snprintf(array, sizeof(array), "[%s%100s]", text, "");
    }
}

static void known_hard_numbers(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "1.5",
        "0.1",
        "-0.1",
        "3.4028234e38",
        "3.4028235e38",
        "3.4028236e38",
        "3.40282356779733661637539395458142568447e38",
        "3.40282356779733661637539395458142568448e38",
        "1e39",
        "-1e39",
        "1e400",
        "1e99999999999999",
        "1e-99999999999999",
        "0e99999",
        "1.17549435e-38",
        "1.1754943e-38",
        "1.4e-45",
        "7e-46",
        "7."
        "00649232162408535461864791644958065640130970938257885878534141944895541342930300743319094"
        "181060791015625e-46", /* 2^-150: a tie that goes to zero */
        "7."
        "00649232162408535461864791644958065640130970938257885878534141944895541342930300743319094"
        "181060791015626e-46",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "2.1019476964872256e-45",
        "16777216",
        "16777217",
        "16777218",
        "16777219",
        "16777217.0000000000000000000000000000000000000001",
        "16777216.9999999999999999999999999999999999999999",
        "33554431",
        "9007199254740993",
        "123456789012345678",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "0.000000000000000000000000000000000000000000001",
        "0.00000000000000000001234567890123456789012345",
        "1.00000005960464477539062500",
        "1.00000005960464477539062501",
        "1.00000005960464477539062499",
        "1.000000059604644775390625",
        "8.589973e9",
        "1.09951163e12",
        "6.0221408e23",
        "1E5",
        "1e+5",
        "1e05",
        "4.5e-001",
        "100000000000000000000000000000000000000e-38",
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        reads_like_strtof(numbers[i]);
}

static float random_float(uint64_t *seed)
{
    float f;
    do {
        uint32_t bits = (uint32_t)(next_random(seed) >> 16);
        memcpy(&f, &bits, sizeof(f));
    } while (!isfinite(f));
    return f;
}

static void random_numbers(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    char text[128];
    for (int i = 0; i < 300000; i++) {
        float f = random_float(&seed);
        uint64_t r = next_random(&seed);
        switch (i % 4) {
        case 0:
            snprintf(text, sizeof(text), "%.*g", 1 + (int)(r % 20), (double)f);
            break;
        case 1:
            snprintf(text, sizeof(text), "%.*f", (int)(r % 30), (double)(int32_t)r * 1e-8);
            break;
        case 2:
            snprintf(text, sizeof(text), "%llue%d", (unsigned long long)(r >> (r & 31)),
                     (int)((r >> 40) % 100) - 65);
            break;
        default:
            snprintf(text, sizeof(text), "0.%0*llu", (int)(r % 24) + 1,
                     (unsigned long long)(r >> (r & 63)));
            break;
        }
        reads_like_strtof(text);
    }
}

/* Exactly between two floats, and a hair beside it: where a careless parser rounds wrong. */
static void ties_and_their_neighbours(void **state)
{
    (void)state;
    uint64_t seed = 99991;
    char text[512];
    for (int i = 0; i < 20000; i++) {
        float a = fabsf(random_float(&seed));
        double middle = ((double)a + (double)nextafterf(a, INFINITY)) / 2;
        if (!isfinite((float)middle) || a < 1e-30f)
            continue;
        snprintf(text, sizeof(text), "%.180e", middle);
        reads_like_strtof(text);
        char *e = strchr(text, 'e');
        e[-1] = '1';
        reads_like_strtof(text);
        snprintf(text, sizeof(text), "%.17g", nextafter(middle, 0));
        reads_like_strtof(text);
    }
}

static void grammar(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "-",   "+1",  ".5",   "1.",   "01",    "-01", "1e", "1e+",  "e1",       "--1", "0x1",
        "inf", "nan", "Inf", "-NaN", "null", "\"1\"", "- 1", "00", "1.e1", "-Infinit", "true"};
    float got = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char array[128];
        int r = proto_json_float(bad[i], strlen(bad[i]), &got);
        if (r != -EINVAL && (r < 1 || (size_t)r >= strlen(bad[i])))
            fail_msg("'%s' was taken: %d", bad[i], r);
        for (int room = 0; room < 2; room++) {
            size_t n =
                (size_t)snprintf(array, sizeof(array), room ? "[%s%90s]" : "[%s%s]", bad[i], "");
            r = proto_json_floats(array, n, &got, 1, NULL, err, sizeof(err));
            if (r != -EINVAL)
                fail_msg("%s was taken: %d", array, r);
        }
    }
    assert_int_equal(proto_json_float("NaN", 3, &got), 3);
    assert_true(isnan(got));
    assert_int_equal(proto_json_float("Infinity,", 9, &got), 8);
    assert_true(got == INFINITY);
    assert_int_equal(proto_json_float("-Infinity", 9, &got), 9);
    assert_true(got == -INFINITY);
    assert_int_equal(proto_json_float("1.5x", 4, &got), 3);
}

static int scan(const char *text, float *ret, size_t count, size_t *used)
{
    /* A block of exactly the right size, so that a sanitizer sees a read past it. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int r = proto_json_floats(copy, len, ret, count, used, err, sizeof(err));
    free(copy);
    return r;
}

static void nesting_and_counts(void **state)
{
    (void)state;
    float v[8];
    size_t used;
    assert_int_equal(scan("[1,2,3,4]x", v, 4, &used), 0);
    assert_int_equal(used, 9);
    assert_true(v[0] == 1 && v[3] == 4);
    assert_int_equal(scan(" [ [ 1 , 2.5 ] ,\r\n[3,\t[4]] ] ,", v, 4, &used), 0);
    assert_int_equal(used, 28);
    assert_true(v[1] == 2.5f && v[3] == 4);
    assert_int_equal(scan("[]", v, 0, &used), 0);
    assert_int_equal(used, 2);
    assert_int_equal(scan("[[],[[]]]", v, 0, &used), 0);
    assert_int_equal(used, 9);
    assert_int_equal(scan("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", v, 1, &used), 0);
    assert_int_equal(scan("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", v, 1, &used), -EINVAL);
    assert_string_equal(err, "data: nested too deep at byte 16");
    assert_int_equal(scan("[1,2]", v, 3, &used), -EINVAL);
    assert_string_equal(err, "data: 2 elements where the shape needs 3");
    assert_int_equal(scan("[1,2,3", v, 2, &used), -EINVAL);
    assert_string_equal(err, "data: more than the 2 elements that the shape needs");
}

static void broken_arrays(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "1",      "[",      "[1",   "[1,",   "[1,]",
                                      "[,1]",   "[1 2]",  "[[1]",   "{}",   "[1}",   "[\"1\"]",
                                      "[null]", "[1,,2]", "[[1],]", "[1]]", "[1\0]", "[1:2]"};
    float v[4];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        size_t used = 0;
        int r = scan(bad[i], v, 1, &used);
        if (r == 0 && used == strlen(bad[i]))
            fail_msg("%s was taken", bad[i]);
        assert_true(r == 0 || err[0]);
    }
    assert_int_equal(scan("[1,2}", v, 2, NULL), -EINVAL);
    assert_string_equal(err, "data: neither ',' nor ']' at byte 4");
    assert_int_equal(scan("[1,x]", v, 2, NULL), -EINVAL);
    assert_string_equal(err, "data: not a number at byte 3");
}

static void bytes(void **state)
{
    (void)state;
    static const char *const bad[] = {"[256]",   "[-1]",  "[1.0]",
                                      "[1e1]",   "[01]",  "[1000]",
                                      "[\"1\"]", "[1 1]", "[99999999999999999999]",
                                      "[true]"};
    uint8_t v[4] = {9, 9, 9, 9};
    size_t used;
    assert_int_equal(proto_json_bytes("[[0,255],[7 ,10]]", 17, v, 4, &used, err, sizeof(err)), 0);
    assert_int_equal(used, 17);
    assert_memory_equal(v, "\x00\xff\x07\x0a", 4);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (proto_json_bytes(bad[i], strlen(bad[i]), v, 1, NULL, err, sizeof(err)) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
    assert_int_equal(proto_json_bytes("[1", 2, v, 1, NULL, err, sizeof(err)), -EINVAL);
}

static void printed_floats_are_short_and_read_back(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } cases[] = {
        {0.0f, "0.0"},
        {-0.0f, "-0.0"},
        {1.0f, "1.0"},
        {0.1f, "0.1"},
        {-12.5f, "-12.5"},
        {100.0f, "100.0"},
        {1e15f, "1000000000000000.0"},
        {1e16f, "1e16"},
        {3.4028235e38f, "3.4028235e38"},
        {1e-5f, "0.00001"},
        {1.5e-6f, "1.5e-6"},
        {16777216.0f, "16777216.0"},
        {0.3f, "0.3"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {0.731f, "0.731"},
        {9.9999999e9f, "10000000000.0"},
    };
    uint64_t seed = 4242;
    char buf[PROTO_FLOAT_MAX], nine[32];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int n = proto_json_print_float(buf, cases[i].value);
        assert_string_equal(buf, cases[i].text);
        assert_int_equal(n, strlen(buf));
    }
    for (int i = 0; i < 300000; i++) {
        float f = random_float(&seed), back;
        int n = proto_json_print_float(buf, f);
        assert_true(n < PROTO_FLOAT_MAX && buf[n] == 0);
        assert_int_equal(proto_json_float(buf, (size_t)n, &back), n);
        if (!same(back, f))
            fail_msg("%s is not %a", buf, (double)f);
        /* Never more digits than needed: 6, 7 or 8 do not read back if 9 were printed. */
        if (i % 100 == 0) {
            int digits = 0;
            for (char *s = buf; *s && *s != 'e'; s++)
                digits += (*s >= '1' && *s <= '9') || (*s == '0' && digits);
            snprintf(nine, sizeof(nine), "%.7g", (double)f);
            if (same(strtof(nine, NULL), f) && digits > 7 && fabsf(f) < 1e6f)
                fail_msg("%s has more digits than %s", buf, nine);
        }
    }
}

static void printed_arrays(void **state)
{
    (void)state;
    const float v[3] = {1, -0.5f, NAN};
    char buf[4 * (PROTO_FLOAT_MAX + 2)];
    assert_int_equal(proto_json_print_floats(buf, sizeof(buf), v, 3), 15);
    assert_string_equal(buf, "[1.0,-0.5,null]");
    assert_int_equal(proto_json_print_floats(buf, sizeof(buf), v, 0), 2);
    assert_string_equal(buf, "[]");
    assert_int_equal(proto_json_print_floats(buf, 34, v, 3), -ENOSPC);
    assert_int_equal(proto_json_print_floats(buf, 2, v, 0), -ENOSPC);
}

/* 10^q by long arithmetic: 2^shift divided by ten again and again, or ten to the q itself. */
static uint64_t power_of_ten(int q)
{
    uint32_t limb[12] = {0};
    int exponent = (q * 217706) >> 16, shift = 63 - exponent;
    if (q >= 0) {
        unsigned __int128 v = 1;
        for (int i = 0; i < q; i++)
            v *= 10;
        return (uint64_t)(shift >= 0 ? v << shift : v >> -shift);
    }
    limb[shift / 32] = 1u << (shift % 32);
    for (; q < 0; q++) {
        uint64_t rest = 0;
        for (int i = 11; i >= 0; i--) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
    }
    return (uint64_t)limb[1] << 32 | limb[0];
}

static void powers_of_ten_are_right(void **state)
{
    (void)state;
    for (int q = POWER_MIN; q <= POWER_MAX; q++) {
        if (power_bits[q - POWER_MIN] != power_of_ten(q))
            fail_msg("10^%d", q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_ten_are_right),
        cmocka_unit_test(known_hard_numbers),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(ties_and_their_neighbours),
        cmocka_unit_test(grammar),
        cmocka_unit_test(nesting_and_counts),
        cmocka_unit_test(broken_arrays),
        cmocka_unit_test(bytes),
        cmocka_unit_test(printed_floats_are_short_and_read_back),
        cmocka_unit_test(printed_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
