/* FlexBuffers maps written by hand, byte by byte. */
#include "engine/importers/flexbuffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/engine.h"

enum { KEYS_OFFSET = 16, VALUES = 19, TYPES = 21, ROOT = 23, LEN = 26 };

/* {"a": 3, "bb": 0.5}: an int in its place, a double somewhere else. */
static const uint8_t map[LEN] = {
    'a',    0,          'b', 'b', 0,                /* keys */
    2,      6,          5,                          /* their number, and how far back each is */
    0,      0,          0,   0,   0, 0, 0xe0, 0x3f, /* 0.5 */
    10,     1,          2,                          /* keys' offset and width, number of values */
    3,      12,                                     /* values */
    1 << 2, 8 << 2 | 3,                             /* an int of 1 byte, an indirect float of 8 */
    4,      9 << 2,     1, /* root: offset, a map of width 1, offset's width */
};

static int number(const uint8_t *bytes, size_t len, const char *key, double *ret)
{
    uint8_t *own = malloc(len ? len : 1);
    assert_non_null(own);
    memcpy(own, bytes, len);
    int rc = eng_flex_number(own, len, key, ret);
    free(own);
    return rc;
}

static void numbers(void **state)
{
    double v = 0;
    (void)state;
    assert_int_equal(number(map, LEN, "a", &v), 1);
    assert_true(v == 3);
    assert_int_equal(number(map, LEN, "bb", &v), 1);
    assert_true(v == 0.5);
    assert_int_equal(number(map, LEN, "b", &v), 0);
    assert_true(v == 0.5);
}

static void forms(void **state)
{
    uint8_t own[LEN];
    double v = 0;
    (void)state;
    memcpy(own, map, LEN);
    own[VALUES] = 0xfe;
    assert_int_equal(number(own, LEN, "a", &v), 1);
    assert_true(v == -2);
    own[TYPES] = 2 << 2; /* unsigned */
    assert_int_equal(number(own, LEN, "a", &v), 1);
    assert_true(v == 254);
    own[TYPES] = 26 << 2; /* bool */
    own[VALUES] = 1;
    assert_int_equal(number(own, LEN, "a", &v), 1);
    assert_true(v == 1);
    own[TYPES] = 5 << 2; /* string */
    assert_int_equal(number(own, LEN, "a", &v), ENG_E_DATA);
    own[TYPES] = 3 << 2; /* a float of one byte */
    assert_int_equal(number(own, LEN, "a", &v), ENG_E_DATA);
}

static void broken(void **state)
{
    static const struct {
        int at;
        uint8_t byte;
    } rows[] = {{ROOT, 0},        {ROOT, 24},           {ROOT + 1, 10 << 2},
                {ROOT + 2, 3},    {ROOT + 2, 0},        {KEYS_OFFSET, 17},
                {KEYS_OFFSET, 0}, {KEYS_OFFSET + 1, 3}, {KEYS_OFFSET + 2, 200}};
    double v;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint8_t own[LEN];
        memcpy(own, map, LEN);
        own[rows[i].at] = rows[i].byte;
        if (number(own, LEN, "a", &v) != ENG_E_DATA)
            fail_msg("byte %d as %d is taken", rows[i].at, rows[i].byte);
    }
    for (size_t len = 0; len < LEN; len++)
        assert_int_equal(number(map, len, "a", &v), ENG_E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(forms),
        cmocka_unit_test(broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
