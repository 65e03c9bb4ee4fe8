/* Which requests are one client's. */
#include "server/handlers/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static int same(const char *key_a, const char *a, const char *key_b, const char *b)
{
    char x[SRV_CLIENT_NAME_MAX], y[SRV_CLIENT_NAME_MAX];
    size_t n = srv_client_name(x, key_a, a), m = srv_client_name(y, key_b, b);
    return n == m && memcmp(x, y, n) == 0;
}

static void by_key_wherever_it_comes_from(void **state)
{
    (void)state;
    assert_true(same("alice", "192.0.2.1", "alice", "2001:db8::1"));
    assert_false(same("alice", "192.0.2.1", "bob", "192.0.2.1"));
    assert_false(same("alice", "192.0.2.1", "", "192.0.2.1"));
    assert_false(same("unix", "192.0.2.1", "", "unix"));
}

static void by_address_or_prefix(void **state)
{
    (void)state;
    assert_false(same("", "192.0.2.1", "", "192.0.2.2"));
    assert_true(same("", "192.0.2.1", "", "::ffff:192.0.2.1"));
    assert_false(same("", "::ffff:192.0.2.1", "", "::ffff:192.0.2.2"));
    assert_true(same("", "2001:db8:1:2::1", "", "2001:db8:1:2:ffff::9"));
    assert_false(same("", "2001:db8:1:2::1", "", "2001:db8:1:3::1"));
    assert_true(same("", "unix", "", "unix"));
    assert_false(same("", "unix", "", ""));
}

static void bounded(void **state)
{
    (void)state;
    char name[SRV_CLIENT_NAME_MAX], address[300];
    memset(address, 'a', sizeof(address) - 1);
    address[sizeof(address) - 1] = 0;
    assert_int_equal(srv_client_name(name, "", address), SRV_CLIENT_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_key_wherever_it_comes_from),
        cmocka_unit_test(by_address_or_prefix),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
