/* Replies to the letter, and failing allocations in turn. */
#include "protocol/reply.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "protocol/buffer.h"

static const char cats[] =
    "\"predictions\":[{\"class\":285,\"label\":\"Egyptian cat\",\"score\":0.731},"
    "{\"class\":281,\"label\":\"tabby, tabby cat\",\"score\":1.5e-7}]";

static struct proto_result result(void)
{
    return (struct proto_result){.status = 200,
                                 .model = "mobilenet_v1",
                                 .version = "1",
                                 .variant = "1.0_224",
                                 .members = {cats, sizeof(cats) - 1},
                                 .queue_ns = 12499,
                                 .decode_ns = 1500500,
                                 .preprocess_ns = 999999500,
                                 .inference_ns = 1234567890123,
                                 .total_ns = 0,
                                 .batch = 3};
}

#define ONE                                                                                        \
    "\"model\":\"mobilenet_v1\",\"version\":\"1\",\"variant\":\"1.0_224\",\"predictions\":["       \
    "{\"class\":285,\"label\":\"Egyptian cat\",\"score\":0.731},"                                  \
    "{\"class\":281,\"label\":\"tabby, tabby cat\",\"score\":1.5e-7}],"                            \
    "\"timing_ms\":{\"queue\":0.012,\"decode\":1.501,\"preprocess\":1000.0,"                       \
    "\"inference\":1234567.89,\"total\":0.0},\"batch\":3"

static void is(char *got, size_t len, const char *text)
{
    assert_non_null(got);
    assert_string_equal(got, text);
    assert_int_equal(len, strlen(text));
    free(got);
}

static void one_to_the_letter(void **state)
{
    (void)state;
    struct proto_result r = result();
    size_t len;
    char *got = proto_reply_one(&r, &len);
    is(got, len, "{" ONE "}\n");
    got = proto_reply_one(&r, NULL);
    free(got);
}

static void what_was_done_to_the_picture(void **state)
{
    (void)state;
    size_t len;
    struct proto_result r = {.status = 200, .model = "m", .version = "1", .variant = ""};
    r.orientation = 6;
    r.truncated = 1;
    char *got = proto_reply_one(&r, &len);
    is(got, len,
       "{\"model\":\"m\",\"version\":\"1\",\"variant\":\"\",\"orientation\":6,\"truncated\":true,"
       "\"timing_ms\":{\"queue\":0.0,\"decode\":0.0,\"preprocess\":0.0,\"inference\":0.0,"
       "\"total\":0.0}}\n");
    r = (struct proto_result){.status = 200, .model = "m", .version = "1", .orientation = 1};
    got = proto_reply_one(&r, NULL);
    assert_null(strstr(got, "orientation"));
    assert_null(strstr(got, "truncated"));
    free(got);
}

static void many_in_order_with_a_failed_one(void **state)
{
    (void)state;
    struct proto_result r[3] = {result(), {.status = 422, .error = "the picture is cut short"}};
    size_t len;
    r[2] = result();
    char *got = proto_reply_many(r, 3, &len);
    is(got, len,
       "{\"results\":[{" ONE ",\"status\":200},"
       "{\"error\":\"the picture is cut short\",\"status\":422},{" ONE ",\"status\":200}]}\n");
    got = proto_reply_many(NULL, 0, &len);
    is(got, len, "{\"results\":[]}\n");
}

static void errors_are_valid_json_whatever_they_say(void **state)
{
    (void)state;
    size_t len;
    char *got = proto_reply_error("unknown model \"x\\y\"\n\x01\xff", &len);
    is(got, len, "{\"error\":\"unknown model \\\"x\\\\y\\\"\\n\\u0001\xef\xbf\xbd\"}\n");
}

static void scores_read_back_as_the_same_float(void **state)
{
    (void)state;
    static const struct {
        float score;
        const char *text;
    } cases[] = {
        {0.731f, "0.731"},
        {0.1234567f, "0.1234567"},
        {1.0f, "1.0"},
        {0.0f, "0.0"},
        {0.99999994f, "0.99999994"},
        {0.73533106f, "0.73533106"},
        {1e-10f, "1e-10"},
        {3.4028235e38f, "3.4028235e38"},
        {1e-45f, "1.4013e-45"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-0.25f, "-0.25"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct proto_prediction p = {1, NULL, cases[i].score};
        struct proto_buf b = {0};
        proto_reply_put_prediction(&b, &p);
        char *got = proto_buf_take(&b, NULL), want[64];
        snprintf(want, sizeof(want), "{\"class\":1,\"label\":\"\",\"score\":%s}", cases[i].text);
        if (!got || !strstr(got, want))
            fail_msg("%s is not in %s", want, got);
        free(got);
    }
}

static void models(void **state)
{
    (void)state;
    struct proto_model m = {.name = "mobilenet_v1_1.0_224",
                            .version = "1",
                            .family = "mobilenet_v1",
                            .variant = "1.0_224",
                            .state = "ready",
                            .task = "classify",
                            .format = "tflite",
                            .precision = "uint8",
                            .input_height = 224,
                            .input_width = 225,
                            .classes = 1001,
                            .mult_adds = 568740352,
                            .parameters = UINT64_MAX,
                            .is_default = 1};
    size_t len;
    char *got = proto_reply_models(&m, 1, &len);
    is(got, len,
       "{\"models\":[{\"name\":\"mobilenet_v1_1.0_224\",\"version\":\"1\","
       "\"family\":\"mobilenet_v1\",\"variant\":\"1.0_224\",\"state\":\"ready\",\"default\":true,"
       "\"task\":\"classify\",\"format\":\"tflite\",\"precision\":\"uint8\",\"input\":{\"height\":"
       "224,\"width\":225},"
       "\"classes\":1001,\"mult_adds\":568740352,\"parameters\":9223372036854775807,"
       "\"licence\":null}]}\n");
}

#define TIMES                                                                                      \
    "queue;dur=0.012, decode;dur=1.501, preprocess;dur=1000.000, inference;dur=1234567.890, "      \
    "total;dur=0.000"

static void taught(void **state)
{
    (void)state;
    static const char *const classes[] = {"a \"b\"", "\xc3\xbc"};
    struct proto_taught t = {"colours", "2", classes, 2, 9, 2, 1};
    size_t len;
    char *got = proto_reply_taught(&t, &len);
    is(got, len,
       "{\"model\":\"colours\",\"version\":\"2\",\"classes\":[\"a \\\"b\\\"\",\"\xc3\xbc\"],"
       "\"images\":9,\"held_out\":{\"images\":2,\"right\":1}}\n");
}

static void server_timing(void **state)
{
    (void)state;
    struct proto_result r = result();
    char buf[192], small[20];
    int n = proto_server_timing(&r, buf, sizeof(buf));
    assert_string_equal(buf, TIMES ", variant;desc=\"1.0_224\"");
    assert_int_equal(n, strlen(buf));
    assert_int_equal(proto_server_timing(&r, small, sizeof(small)), -ENOSPC);
    r.degraded = 1;
    proto_server_timing(&r, buf, sizeof(buf));
    assert_string_equal(buf, TIMES ", variant;desc=\"1.0_224\", degraded");
    r.variant = "no\"quoted\r\nstring"; /* a manifest must not write headers */
    proto_server_timing(&r, buf, sizeof(buf));
    assert_string_equal(buf, TIMES ", degraded");
    r.variant = NULL;
    r.degraded = 0;
    proto_server_timing(&r, buf, sizeof(buf));
    assert_string_equal(buf, TIMES);
}

static void degraded_is_said(void **state)
{
    (void)state;
    struct proto_result r = result();
    r.degraded = 1;
    char *got = proto_reply_one(&r, NULL);
    assert_non_null(strstr(got, "\"variant\":\"1.0_224\",\"degraded\":true,\"predictions\""));
    free(got);
}

/* Commas, brackets and colons: a task's members are written with these. */
static void members(void **state)
{
    (void)state;
    static const float box[] = {0.5f, -1, NAN};
    struct proto_buf b = {0};
    size_t len;
    proto_buf_key(&b, "list,");
    proto_buf_text(&b, "[");
    for (int i = 0; i < 2; i++) {
        proto_buf_next(&b);
        proto_buf_text(&b, "{");
        proto_buf_key(&b, "n");
        proto_buf_int(&b, i - 1);
        proto_buf_key(&b, "[");
        proto_buf_quoted(&b, i ? "a\"{" : NULL);
        proto_buf_text(&b, "}");
    }
    proto_buf_text(&b, "]");
    proto_buf_key(&b, "box");
    proto_buf_floats(&b, box, 3);
    proto_buf_key(&b, "none");
    proto_buf_floats(&b, box, 0);
    proto_buf_key(&b, "one");
    proto_buf_float(&b, 0.1f);
    char *got = proto_buf_take(&b, &len);
    is(got, len,
       "\"list,\":[{\"n\":-1,\"[\":null},{\"n\":0,\"[\":\"a\\\"{\"}],\"box\":[0.5,-1.0,null],"
       "\"none\":[],\"one\":0.1");
    proto_buf_text(&b, "thrown away");
    proto_buf_finish(&b);
    assert_null(b.data);
}

static int countdown;

static void *failing_malloc(size_t size)
{
    return countdown-- > 0 ? malloc(size) : NULL;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const classes[] = {"a", "b", "bad \xff"};
    const struct proto_taught t = {"colours", "2", classes, 3, 9, 2, 1};
    int i;
    json_set_alloc_funcs(failing_malloc, free);
    for (i = 0; i < 1000; i++) {
        countdown = i;
        char *got = proto_reply_taught(&t, NULL);
        if (got && countdown >= 0) {
            free(got);
            break;
        }
        /* A reply is whole or absent. */
        assert_null(got);
    }
    json_set_alloc_funcs(malloc, free);
    assert_in_range(i, 10, 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_to_the_letter),
        cmocka_unit_test(what_was_done_to_the_picture),
        cmocka_unit_test(many_in_order_with_a_failed_one),
        cmocka_unit_test(errors_are_valid_json_whatever_they_say),
        cmocka_unit_test(scores_read_back_as_the_same_float),
        cmocka_unit_test(models),
        cmocka_unit_test(taught),
        cmocka_unit_test(server_timing),
        cmocka_unit_test(degraded_is_said),
        cmocka_unit_test(members),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
