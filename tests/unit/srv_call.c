/* Calls from their request line to their reply, without a transport: what is refused where, what a
 * picture, a list and a tensor are answered with, and that equal pictures are computed once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "protocol/base64.h"
#include "tests/unit/house.h"

static void check(struct house *h, const char *method, const char *target, int status,
                  const char *says)
{
    struct visit v;
    visit_ask(h, &v, method, target, NULL, "", 0);
    if (v.call.reply.status != status || !visit_says(&v, says))
        fail_msg("%s %s: %d %.*s", method, target, v.call.reply.status, (int)v.call.reply.len,
                 v.call.reply.body);
    srv_call_close(&v.call);
}

static void refusals(void **state)
{
    struct house *h = *state;
    struct visit v;
    check(h, "GET", "/nothing", 404, "the models are tiny");
    check(h, "GET", "/v1/models/%ff", 400, "percent-encoded");
    check(h, "PUT", "/v1/classify?top=3", 400, "top_k");
    check(h, "PUT", "/v1/classify?model=nobody", 404, "nobody");
    check(h, "PUT", "/v1/classify", 422, "the body is empty");
    visit_ask(h, &v, "DELETE", "/v1/classify", NULL, "", 0);
    assert_int_equal(v.call.reply.status, 405);
    assert_string_equal(visit_header(&v, "Allow"), "POST, PUT");
    srv_call_close(&v.call);
    h->api.phase = SRV_CLOSING;
    check(h, "GET", "/v1/models", 503, "stopping");
    h->api.phase = SRV_SERVING;
    check(h, "GET", "/v1/models", 200, "\"tiny\"");
}

/* With next to no room left for answers. */
static void who_looks_after_the_server_is_told(void **state)
{
    struct house *h = *state;
    size_t limit = atomic_load(&h->sched.budget.limit);
    srv_budget_set_limit(&h->sched.budget, 1000);
    check(h, "GET", "/metrics", 429, "memory");
    check(h, "GET", "/v1/models", 200, "\"tiny\"");
    h->port = SRV_PORT_ADMIN;
    check(h, "GET", "/metrics", 200, "mobilenetd_memory_refusals_total 1");
    h->port = SRV_PORT_HTTP;
    srv_budget_set_limit(&h->sched.budget, limit);
}

static void a_body_is_bounded_before_it_is_here(void **state)
{
    struct house *h = *state;
    struct visit v;
    static char piece[1 << 16];
    visit_open(h, &v, "PUT", "/v1/classify", NULL, h->cfg->max_body + 1);
    assert_int_equal(v.call.reply.status, 413);
    srv_call_close(&v.call);
    visit_open(h, &v, "PUT", "/v1/classify", NULL, -1); /* chunked: told as it comes */
    assert_int_equal(v.call.reply.status, 0);
    int64_t sent = 0;
    while (srv_call_body(&v.call, piece, sizeof(piece)) == 0)
        sent += (int64_t)sizeof(piece);
    assert_int_equal(v.call.reply.status, 413);
    assert_true(sent <= h->cfg->max_body);
    srv_call_close(&v.call);
}

static void ids(void **state)
{
    struct house *h = *state;
    struct visit v;
    static const struct {
        const char *given;
        int kept;
    } rows[] = {{"abc-1", 1}, {"a b", 0}, {"", 0}, {"caf\xc3\xa9", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *const headers[] = {"x-request-id", rows[i].given, NULL};
        visit_ask(h, &v, "GET", "/healthz", headers, "", 0);
        assert_int_equal(strcmp(v.call.id, rows[i].given) == 0, rows[i].kept);
        assert_true(v.call.id[0] != 0);
        srv_call_close(&v.call);
    }
}

static void a_picture(void **state)
{
    struct house *h = *state;
    struct visit v;
    visit_ask(h, &v, "PUT", "/v1/classify?top_k=2", NULL, house_png, sizeof(house_png));
    assert_int_equal(v.call.reply.status, 200);
    assert_true(visit_says(&v, "\"model\":\"tiny\"") && visit_says(&v, "\"predictions\":[{"));
    assert_int_equal(v.call.req->n_jobs, 1);
    srv_call_close(&v.call);
    visit_ask(h, &v, "PUT", "/v1/classify", NULL, house_png, sizeof(house_png) - 20);
    assert_int_equal(v.call.reply.status, 422);
    srv_call_close(&v.call);
    visit_ask(h, &v, "PUT", "/v1/classify", NULL, "no picture", 10);
    assert_int_equal(v.call.reply.status, 415);
    srv_call_close(&v.call);
}

/* {"images":[…]} of `n` pictures, each whole or of `len` bytes. */
static char *list_of(int n, const size_t *len)
{
    static char text[4096], one[256];
    size_t at = (size_t)snprintf(text, sizeof(text), "{\"images\":[");
    for (int i = 0; i < n; i++) {
        assert_true(proto_base64_encode(house_png, len[i], one, sizeof(one)) > 0);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\"", i ? "," : "", one);
    }
    snprintf(text + at, sizeof(text) - at, "]}");
    return text;
}

static void a_broken_picture_of_a_list_fails_alone(void **state)
{
    struct house *h = *state;
    struct visit v;
    const char *const headers[] = {"Content-Type", "application/json", NULL};
    const size_t len[] = {sizeof(house_png), sizeof(house_png) - 20, sizeof(house_png)};
    const char *body = list_of(3, len);
    visit_ask(h, &v, "POST", "/v1/classify", headers, body, strlen(body));
    assert_int_equal(v.call.reply.status, 200);
    const char *results = strstr(v.call.reply.body, "\"results\":[");
    assert_non_null(results);
    const char *first = strstr(results, "\"predictions\""),
               *bad = strstr(results, "\"status\":422");
    assert_non_null(first);
    assert_non_null(bad);
    const char *last = strstr(bad, "\"predictions\"");
    assert_true(first < bad && last); /* in their places */
    assert_null(strstr(bad + 1, "\"status\":422"));
    srv_call_close(&v.call);
}

static void lines_leave_as_they_are_ready(void **state)
{
    struct house *h = *state;
    struct visit v;
    const char *const headers[] = {"Content-Type", "application/x-ndjson", NULL};
    char body[512], one[256];
    assert_true(proto_base64_encode(house_png, sizeof(house_png), one, sizeof(one)) > 0);
    int len = snprintf(body, sizeof(body),
                       "{\"id\":1,\"image\":\"%s\"}\n{\"id\":2,\"image\":\"AAAA\"}\n", one);
    visit_ask(h, &v, "POST", "/v1/classify", headers, body, (size_t)len);
    while (v.call.reply.grows && !v.call.reply.whole)
        uv_run(&h->env.loop, UV_RUN_ONCE);
    char text[1024];
    snprintf(text, sizeof(text), "%.*s", (int)v.call.reply.len, v.call.reply.body);
    const char *first = strstr(text, "{\"id\":1"), *second = strstr(text, "{\"id\":2");
    if (!first || !second)
        fail_msg("%s", text);
    assert_int_equal(v.call.reply.status, 200);
    assert_true(first && second && first < second && strstr(second, "\"error\""));
    srv_call_close(&v.call);
}

static void a_tensor(void **state)
{
    struct house *h = *state;
    struct visit v;
    char body[4096];
    int n = snprintf(body, sizeof(body),
                     "{\"inputs\":[{\"name\":\"input\",\"datatype\":\"UINT8\",\"shape\":[1,8,8,3],"
                     "\"data\":[");
    for (int i = 0; i < 8 * 8 * 3; i++)
        n += snprintf(body + n, sizeof(body) - (size_t)n, "%s%d", i ? "," : "", i);
    n += snprintf(body + n, sizeof(body) - (size_t)n, "]}],\"id\":\"mine\"}");
    visit_ask(h, &v, "POST", "/v2/models/tiny/infer", NULL, body, (size_t)n);
    if (v.call.reply.status != 200)
        fail_msg("%.*s", (int)v.call.reply.len, v.call.reply.body);
    assert_true(visit_says(&v, "\"id\":\"mine\"") && visit_says(&v, "\"shape\":[1,3]"));
    srv_call_close(&v.call);
    memcpy(strstr(body, "[1,8,8,3]"), "[1,8,7,3]", 9);
    visit_ask(h, &v, "POST", "/v2/models/tiny/infer", NULL, body, (size_t)n);
    assert_int_equal(v.call.reply.status, 400);
    srv_call_close(&v.call);
}

static size_t gzip(const void *data, size_t len, unsigned char *to, size_t room)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data,
                  .avail_in = (uInt)len,
                  .next_out = to,
                  .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void bodies_in_a_coding(void **state)
{
    struct house *h = *state;
    static unsigned char zeroes[4 << 20], packed[1 << 16];
    size_t len = gzip(house_png, sizeof(house_png), packed, sizeof(packed));
    struct visit v;
    const char *const headers[] = {"Content-Encoding", "gzip", NULL};
    visit_ask(h, &v, "PUT", "/v1/classify", headers, packed, len);
    assert_int_equal(v.call.reply.status, 200);
    assert_int_equal(v.call.req->body_len, sizeof(house_png));
    srv_call_close(&v.call);
    visit_ask(h, &v, "PUT", "/v1/classify", headers, packed, len - 9); /* cut */
    assert_int_equal(v.call.reply.status, 400);
    srv_call_close(&v.call);
    len = gzip(zeroes, sizeof(zeroes), packed, sizeof(packed)); /* small, and not what is in it */
    assert_true((int64_t)len < h->cfg->max_body && (int64_t)sizeof(zeroes) > h->cfg->max_body);
    visit_ask(h, &v, "PUT", "/v1/classify", headers, packed, len);
    assert_int_equal(v.call.reply.status, 413);
    srv_call_close(&v.call);
    const char *const other[] = {"Content-Encoding", "br", NULL};
    visit_ask(h, &v, "PUT", "/v1/classify", other, packed, len);
    assert_int_equal(v.call.reply.status, 415);
    assert_string_equal(visit_header(&v, "Accept-Encoding"), "gzip, deflate");
    srv_call_close(&v.call);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    struct house *h = *state;
    struct visit v;
    visit_open(h, &v, "PUT", "/v1/classify", NULL, sizeof(house_png));
    assert_int_equal(srv_call_body(&v.call, house_png, sizeof(house_png)), 0);
    srv_call_finish(&v.call);
    assert_int_equal(v.call.pending, 1);
    srv_call_close(&v.call); /* its job may be out: the request goes when that is back */
    while (h->sched.requests)
        uv_run(&h->env.loop, UV_RUN_ONCE);
    assert_int_equal(v.answered, 0);
}

/* ---- the cache, and equal pictures in flight ---- */

static void equal_pictures_are_computed_once(void **state)
{
    struct house h;
    struct visit v[3];
    (void)state;
    house_open(&h, "--cache-bytes 1M");
    const struct srv_coalesce *c = &h.sched.coalesce;
    for (int i = 0; i < 3; i++) { /* none has its answer before all have asked */
        visit_open(&h, &v[i], "PUT", "/v1/classify", NULL, sizeof(house_png));
        assert_int_equal(srv_call_body(&v[i].call, house_png, sizeof(house_png)), 0);
        srv_call_finish(&v[i].call);
    }
    for (int i = 0; i < 3; i++) {
        house_wait(&h, &v[i].answered);
        assert_int_equal(v[i].call.reply.status, 200);
        assert_string_equal(visit_header(&v[i], "X-Cache"), i ? "hit" : "miss");
        srv_call_close(&v[i].call);
    }
    assert_int_equal(c->misses, 1);
    assert_int_equal(c->shared, 2);
    visit_ask(&h, &v[0], "PUT", "/v1/classify", NULL, house_png, sizeof(house_png));
    assert_string_equal(visit_header(&v[0], "X-Cache"), "hit");
    assert_int_equal(c->hits, 1);
    char tag[64];
    snprintf(tag, sizeof(tag), "%s", visit_header(&v[0], "ETag"));
    srv_call_close(&v[0].call);
    visit_ask(&h, &v[0], "PUT", "/v1/classify?top_k=1", NULL, house_png, sizeof(house_png));
    assert_string_equal(visit_header(&v[0], "X-Cache"), "miss"); /* another question */
    srv_call_close(&v[0].call);
    const char *const known[] = {"If-None-Match", tag, NULL};
    visit_ask(&h, &v[0], "PUT", "/v1/classify", known, house_png, sizeof(house_png));
    assert_int_equal(v[0].call.reply.status, 304);
    srv_call_close(&v[0].call);
    house_close(&h);
}

/* Who computed for others leaves: they get their answer nevertheless. */
static void the_one_that_is_computed_may_leave(void **state)
{
    struct house h;
    struct visit v[3];
    (void)state;
    house_open(&h, "--cache-bytes 1M");
    for (int i = 0; i < 3; i++) {
        visit_open(&h, &v[i], "PUT", "/v1/classify", NULL, sizeof(house_png));
        assert_int_equal(srv_call_body(&v[i].call, house_png, sizeof(house_png)), 0);
        srv_call_finish(&v[i].call);
    }
    srv_call_close(&v[0].call);
    for (int i = 1; i < 3; i++) {
        house_wait(&h, &v[i].answered);
        assert_int_equal(v[i].call.reply.status, 200);
        srv_call_close(&v[i].call);
    }
    house_close(&h);
}

static void a_failure_is_not_kept(void **state)
{
    struct house h;
    struct visit v;
    (void)state;
    house_open(&h, "--cache-bytes 1M");
    for (int i = 0; i < 2; i++) {
        visit_ask(&h, &v, "PUT", "/v1/classify", NULL, house_png, sizeof(house_png) - 20);
        assert_int_equal(v.call.reply.status, 422);
        srv_call_close(&v.call);
    }
    assert_int_equal(h.sched.coalesce.misses, 2);
    assert_int_equal(h.sched.coalesce.hits, 0);
    house_close(&h);
}

static int open_house(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    *state = h;
    house_open(h, "--max-body 1M");
    return 0;
}

static int close_house(void **state)
{
    house_close(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(who_looks_after_the_server_is_told),
        cmocka_unit_test(a_body_is_bounded_before_it_is_here),
        cmocka_unit_test(ids),
        cmocka_unit_test(a_picture),
        cmocka_unit_test(a_broken_picture_of_a_list_fails_alone),
        cmocka_unit_test(lines_leave_as_they_are_ready),
        cmocka_unit_test(a_tensor),
        cmocka_unit_test(bodies_in_a_coding),
        cmocka_unit_test(a_client_that_leaves_is_forgotten),
        cmocka_unit_test(equal_pictures_are_computed_once),
        cmocka_unit_test(the_one_that_is_computed_may_leave),
        cmocka_unit_test(a_failure_is_not_kept),
    };
    return cmocka_run_group_tests(tests, open_house, close_house);
}
