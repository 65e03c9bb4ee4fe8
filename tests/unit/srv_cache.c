/* The hash against the vectors of its authors, and the store of answers: what stays, what goes. */
#include "server/scheduler/cache.h"
#include "server/base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Key 00 01 … 0f, messages of the first 0, 1, … bytes of 00 01 02 …: vectors_sip128 of the
 * reference code, its rows 0, 1, 7, 8, 15 and 63. */
static void siphash(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t out[16];
    } rows[] = {
        {0,
         {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
          0x93}},
        {1,
         {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
          0x45}},
        {7,
         {0xa1, 0xf1, 0xeb, 0xbe, 0xd8, 0xdb, 0xc1, 0x53, 0xc0, 0xb8, 0x4a, 0xa6, 0x1f, 0xf0, 0x82,
          0x39}},
        {8,
         {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97,
          0xb4}},
        {15,
         {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3,
          0xd9}},
        {63,
         {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a, 0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd,
          0x7c}},
    };
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    uint8_t message[64];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srv_hash h = srv_siphash(key, message, rows[i].len);
        for (int b = 0; b < 8; b++) {
            assert_int_equal((uint8_t)(h.a >> (8 * b)), rows[i].out[b]);
            assert_int_equal((uint8_t)(h.b >> (8 * b)), rows[i].out[8 + b]);
        }
    }
}

static struct srv_hash number(uint64_t n)
{
    return (struct srv_hash){n * 0x9e3779b97f4a7c15u, ~n};
}

static int holds(struct srv_cache *c, uint64_t n)
{
    size_t len = 0;
    const void *data = srv_cache_get(c, number(n), &len);
    if (!data)
        return 0;
    assert_int_equal(len, 1 + n % 100);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(((const unsigned char *)data)[i], (unsigned char)n);
    return 1;
}

static void put(struct srv_cache *c, uint64_t n)
{
    unsigned char data[100];
    memset(data, (int)(unsigned char)n, sizeof(data));
    srv_cache_put(c, number(n), data, 1 + n % 100);
}

static void oldest_use_goes_first(void **state)
{
    (void)state;
    struct srv_cache *c;
    size_t budget = 64 << 10;
    assert_int_equal(srv_cache_create(&c, budget), 0);
    size_t empty = srv_cache_stats(c).bytes;
    for (uint64_t n = 0; n < 5000; n++) {
        put(c, n);
        assert_true(holds(c, n));
        if (n > 0)
            assert_true(holds(c, 0)); /* used all the time: stays */
        assert_true(srv_cache_stats(c).bytes <= budget);
    }
    struct srv_cache_stats s = srv_cache_stats(c);
    assert_true(s.bytes > budget / 2 && s.evictions == 5000 - s.entries);
    assert_true(holds(c, 4999) && holds(c, 4990) && !holds(c, 1) && !holds(c, 2000));
    size_t kept = 0;
    for (uint64_t n = 0; n < 5000; n++)
        kept += (size_t)holds(c, n);
    assert_int_equal(kept, s.entries);
    assert_true(empty < budget / 4);
    srv_cache_destroy(c);
}

static void replaced_and_refused(void **state)
{
    (void)state;
    struct srv_cache *c;
    size_t len;
    assert_int_equal(srv_cache_create(&c, 64 << 10), 0);
    srv_cache_put(c, number(7), "one", 3);
    srv_cache_put(c, number(7), "three", 5);
    const void *data = srv_cache_get(c, number(7), &len);
    assert_true(data && len == 5 && memcmp(data, "three", 5) == 0);
    assert_int_equal(srv_cache_stats(c).entries, 1);
    assert_null(srv_cache_get(c, (struct srv_hash){number(7).a, 1}, &len)); /* half a key */
    void *large = calloc(1, 32 << 10);
    assert_non_null(large);
    srv_cache_put(c, number(8), large, 32 << 10); /* would push out too many others */
    assert_null(srv_cache_get(c, number(8), &len));
    free(large);
    srv_cache_destroy(c);
    assert_int_equal(srv_cache_create(&c, 1), 0); /* a budget that holds nothing */
    srv_cache_put(c, number(7), "one", 3);
    assert_null(srv_cache_get(c, number(7), &len));
    srv_cache_destroy(c);
    srv_cache_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash),
        cmocka_unit_test(oldest_use_goes_first),
        cmocka_unit_test(replaced_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
