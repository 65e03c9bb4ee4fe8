/* The key of tickets: the same for a day, then another, and one for each set of files. */
#include "server/transport/tls.h"

#include "server/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOUR (3600ull * 1000 * SRV_NS_PER_MS)

static struct srv_tls_set *set_of(unsigned char file)
{
    struct srv_tls_set *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->digest[0] = file;
    return t;
}

static void key_is_renewed_daily(void **state)
{
    (void)state;
    struct srv_tls_set *t = set_of(1);
    unsigned char first[64];
    const gnutls_datum_t *key = srv_tls_ticket_key(t, 5 * HOUR);
    assert_non_null(key);
    assert_int_equal(key->size, sizeof(first));
    memcpy(first, key->data, sizeof(first));
    key = srv_tls_ticket_key(t, 29 * HOUR - 1);
    assert_memory_equal(key->data, first, sizeof(first));
    key = srv_tls_ticket_key(t, 29 * HOUR);
    assert_memory_not_equal(key->data, first, sizeof(first));
    srv_tls_destroy(t);
}

static void key_goes_with_its_files(void **state)
{
    (void)state;
    struct srv_tls_set *old = set_of(1);
    unsigned char first[64];
    memcpy(first, srv_tls_ticket_key(old, 0)->data, sizeof(first));
    struct srv_tls_set *now = srv_tls_replace(old, set_of(1));
    assert_ptr_equal(now, old);
    assert_memory_equal(srv_tls_ticket_key(now, 1)->data, first, sizeof(first));
    now = srv_tls_replace(old, set_of(2));
    assert_ptr_not_equal(now, old);
    assert_null(old->ticket_key.data);
    assert_memory_not_equal(srv_tls_ticket_key(now, 1)->data, first, sizeof(first));
    srv_tls_destroy(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_renewed_daily),
        cmocka_unit_test(key_goes_with_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
