/* The server's small parts: arena, histogram, routes. */
#include "server/base/arena.h"
#include "server/base/histogram.h"
#include "server/handlers/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void arena_is_capped(void **state)
{
    (void)state;
    struct srv_arena a;
    struct srv_budget b;
    const struct srv_payer payer = {&b, NULL, NULL};
    srv_budget_init(&b, SIZE_MAX);
    srv_arena_init(&a, 4096, &payer);
    assert_null(srv_arena_alloc(&a, 5000));
    assert_null(srv_arena_alloc(&a, SIZE_MAX));
    assert_null(srv_arena_alloc(&a, SIZE_MAX - 8));
    unsigned char *p = srv_arena_alloc(&a, 3000);
    assert_non_null(p);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    assert_null(srv_arena_alloc(&a, 3000));
    assert_int_equal(b.used, a.used);
    assert_true(a.used >= 3000 && a.used <= 4096);
    srv_arena_finish(&a);
    assert_int_equal(b.used, 0);
}

static void arena_grows_a_block(void **state)
{
    (void)state;
    struct srv_arena a;
    struct srv_budget b;
    const struct srv_payer payer = {&b, NULL, NULL};
    srv_budget_init(&b, SIZE_MAX);
    srv_arena_init(&a, 100000, &payer);
    unsigned char *body = srv_arena_grow(&a, NULL, 10);
    assert_non_null(body);
    memcpy(body, "0123456789", 10);
    assert_non_null(srv_arena_alloc(&a, 100)); /* the grown block is not the newest */
    unsigned char *grown = srv_arena_grow(&a, body, 50000);
    assert_non_null(grown);
    assert_memory_equal(grown, "0123456789", 10);
    size_t used = a.used;
    assert_null(srv_arena_grow(&a, grown, 100000));
    assert_null(srv_arena_grow(&a, grown, SIZE_MAX));
    assert_int_equal(a.used, used);
    assert_memory_equal(grown, "0123456789", 10);
    srv_arena_finish(&a);
    assert_int_equal(b.used, 0);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static const struct srv_histogram empty;

static void histogram_is_within_a_step(void **state)
{
    (void)state;
    static struct srv_histogram h;
    static uint64_t values[20000];
    static const double q[] = {0, 0.1, 0.5, 0.9, 0.99, 0.999};
    const size_t n = sizeof(values) / sizeof(values[0]);
    unsigned seed = 5;
    uint64_t sum = 0;
    memset(&h, 0, sizeof(h));
    assert_int_equal(srv_histogram_quantile(&h, &empty, 0.5), 0);
    for (size_t i = 0; i < n; i++) {
        values[i] = 1000 + (uint64_t)(rand_r(&seed) % 1000) * (uint64_t)(rand_r(&seed) % 100000);
        sum += values[i];
        srv_histogram_add(&h, values[i]);
    }
    qsort(values, n, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
        double real = (double)values[(size_t)(q[i] * (double)n)];
        double told = (double)srv_histogram_quantile(&h, &empty, q[i]);
        assert_true(told >= real * 0.99 && told <= real * 1.07);
    }
    assert_int_equal(h.sum_ns, sum);
    assert_int_equal(h.count, n);
}

static void histogram_takes_any_value(void **state)
{
    (void)state;
    static struct srv_histogram h;
    memset(&h, 0, sizeof(h));
    srv_histogram_add(&h, 0);
    srv_histogram_add(&h, UINT64_MAX);
    assert_int_equal(h.count, 2);
    assert_true(srv_histogram_quantile(&h, &empty, 0) <= 1100);
    assert_true(srv_histogram_quantile(&h, &empty, 1) > 100000000000u);
}

static const struct srv_route *find(const char *path, char *param, int *rc)
{
    char params[SRV_PARAMS][SRV_PARAM_MAX] = {""};
    const struct srv_route *r = srv_route_find(srv_routes, path, strlen(path), params, rc);
    snprintf(param, SRV_PARAM_MAX, "%s", params[0]);
    return r;
}

static void routes_match_whole_paths(void **state)
{
    (void)state;
    static const char *const none[] = {"",
                                       "v1/classify",
                                       "/v1/classify/",
                                       "/v1/classif",
                                       "/v1/classifyx",
                                       "/v1//classify",
                                       "/v1/models//classify",
                                       "/v1/models/a/b/classify",
                                       "/v1/models/a/classify/x"};
    char param[SRV_PARAM_MAX] = "";
    int rc;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_null(find(none[i], param, &rc));
    const struct srv_route *r = find("/v1/models/mobilenet_v1_1.0_224/classify", param, &rc);
    assert_non_null(r);
    assert_int_equal(rc, 0);
    assert_string_equal(param, "mobilenet_v1_1.0_224");
    assert_true(r->body && r->methods == (SRV_POST | SRV_PUT));
}

static void route_parameter_is_decoded_once(void **state)
{
    (void)state;
    char param[SRV_PARAM_MAX] = "", path[2000];
    int rc;
    assert_non_null(find("/v1/models/a%2Fb%2525/classify", param, &rc));
    assert_int_equal(rc, 0);
    assert_string_equal(param, "a/b%25");
    assert_non_null(find("/v1/models/a%00b/classify", param, &rc));
    assert_true(rc < 0);
    assert_non_null(find("/v1/models/a%zz/classify", param, &rc));
    assert_true(rc < 0);
    memset(path, 'a', sizeof(path));
    memcpy(path, "/v1/models/", 11);
    memcpy(path + sizeof(path) - 10, "/classify", 10);
    assert_non_null(find(path, param, &rc));
    assert_true(rc < 0);
}

static void methods_as_text(void **state)
{
    (void)state;
    char text[64];
    srv_methods_text(SRV_GET | SRV_HEAD | SRV_PUT, text, sizeof(text));
    assert_string_equal(text, "GET, HEAD, PUT");
    assert_int_equal(srv_method_parse("POST"), SRV_POST);
    assert_int_equal(srv_method_parse("post"), SRV_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_capped),
        cmocka_unit_test(arena_grows_a_block),
        cmocka_unit_test(histogram_is_within_a_step),
        cmocka_unit_test(histogram_takes_any_value),
        cmocka_unit_test(routes_match_whole_paths),
        cmocka_unit_test(route_parameter_is_decoded_once),
        cmocka_unit_test(methods_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
