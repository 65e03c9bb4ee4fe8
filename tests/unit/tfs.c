/* TensorFlow Serving REST: row, column and classify forms, answers to the letter, damage. */
#include "protocol/tfs.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct proto_tfs_request req;
static struct proto_instance items[4];
static char err[256], *body;

static int parse_n(const char *text, size_t len)
{
    free(body);
    body = malloc(len ? len : 1);
    assert_non_null(body);
    memcpy(body, text, len);
    memset(&req, 0, sizeof(req));
    err[0] = 0;
    return proto_tfs_parse(&req, body, len, items, 4, err, sizeof(err));
}

static int parse(const char *text)
{
    return parse_n(text, strlen(text));
}

static void item_is(int i, int is_string, const char *text)
{
    assert_int_equal(items[i].is_string, is_string);
    if (!proto_span_is(items[i].text, text))
        fail_msg("%.*s, not %s", (int)items[i].text.len, items[i].text.s, text);
}

static void rows(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"signature_name\":\"serving_default\",\"instances\":[[[1,2],[3,4]],"
                           "{\"b64\":\"aGk=\"}, \"aG8=\"],\"x\":{}}"),
                     0);
    assert_int_equal(req.form, PROTO_TFS_ROW);
    assert_int_equal(req.n, 3);
    assert_true(proto_span_is(req.signature_name, "serving_default"));
    assert_null(req.input_name.s);
    item_is(0, 0, "[[1,2],[3,4]]");
    item_is(1, 1, "aGk=");
    item_is(2, 1, "aG8=");
    assert_int_equal(parse("{\"instances\":[{\"image\":{\"b64\":\"aGk=\"}},{\"image\":[1]}]}"), 0);
    assert_int_equal(req.n, 2);
    assert_true(proto_span_is(req.input_name, "image"));
    item_is(0, 1, "aGk=");
    item_is(1, 0, "[1]");
}

static void columns(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"inputs\":[[1,2],[3,4]]}"), 0);
    assert_int_equal(req.form, PROTO_TFS_COLUMN);
    assert_int_equal(req.n, 2);
    item_is(1, 0, "[3,4]");
    assert_int_equal(parse("{\"inputs\":{\"image\":[{\"b64\":\"aGk=\"}]}}"), 0);
    assert_true(proto_span_is(req.input_name, "image"));
    item_is(0, 1, "aGk=");
    assert_int_equal(parse("{\"inputs\":{\"image\":{\"b64\":\"aGk=\"}}}"), 0);
    item_is(0, 1, "aGk=");
    assert_int_equal(parse("{\"inputs\":{\"b64\":\"aGk=\"}}"), 0);
    assert_int_equal(req.n, 1);
    assert_null(req.input_name.s);
}

static void examples(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"context\":{\"a\":[1]},\"examples\":[{\"image\":{\"b64\":\"aGk=\"}}]}"), 0);
    assert_int_equal(req.form, PROTO_TFS_CLASSIFY);
    assert_int_equal(req.n, 1);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"instances\":[]}",
                                      "{\"instances\":{}}",
                                      "{\"instances\":[1]}",
                                      "{\"instances\":[null]}",
                                      "{\"instances\":[{}]}",
                                      "{\"instances\":[{\"b64\":1}]}",
                                      "{\"instances\":[{\"b64\":\"a\",\"x\":1}]}",
                                      "{\"instances\":[{\"a\":[1],\"b\":[1]}]}",
                                      "{\"instances\":[{\"a\":{\"c\":1}}]}",
                                      "{\"instances\":[{\"a\":{}}]}",
                                      "{\"instances\":[[1],{\"a\":[1]}]}",
                                      "{\"instances\":[{\"a\":[1]},[1]]}",
                                      "{\"instances\":[{\"a\":[1]},{\"b\":[1]}]}",
                                      "{\"instances\":[[1]],\"inputs\":[[1]]}",
                                      "{\"instances\":[[1]],\"instances\":[[1]]}",
                                      "{\"inputs\":{}}",
                                      "{\"inputs\":1}",
                                      "{\"inputs\":[1]}",
                                      "{\"inputs\":{\"a\":[[1]],\"b\":[[1]]}}",
                                      "{\"inputs\":[[1]}",
                                      "{\"instances\":[[1]]} x",
                                      "{\"signature_name\":1,\"instances\":[[1]]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int r = parse(bad[i]);
        if (r != -EINVAL || !err[0])
            fail_msg("%s: %d", bad[i], r);
    }
    assert_int_equal(parse("{\"instances\":[[1],[1],[1],[1],[1]]}"), -E2BIG);
    assert_string_equal(err, "request: more than 4 instances");
    static const char whole[] = "{\"instances\":[{\"i\":{\"b64\":\"aGk=\"}},{\"i\":[[1],[2]]}]}";
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        assert_int_equal(parse_n(whole, n), -EINVAL);
}

static void is(char *got, size_t len, const char *text)
{
    assert_string_equal(got, text);
    assert_int_equal(len, strlen(text));
    json_t *tree = json_loads(got, 0, NULL);
    assert_non_null(tree);
    json_decref(tree);
    free(got);
}

static void predictions(void **state)
{
    (void)state;
    const float p[4] = {0.5f, 0.25f, NAN, 1};
    const int64_t k[2] = {7, -1};
    const struct proto_tensor out[2] = {{"p", PROTO_FP32, 2, {2, 2}, 4, p, NULL, 0},
                                        {"k", PROTO_INT64, 1, {2}, 2, k, NULL, 0}};
    size_t len;
    char *got = proto_tfs_predictions(PROTO_TFS_ROW, out, 1, &len);
    is(got, len, "{\"predictions\":[[0.5,0.25],[null,1.0]]}");
    got = proto_tfs_predictions(PROTO_TFS_COLUMN, out, 1, &len);
    is(got, len, "{\"outputs\":[[0.5,0.25],[null,1.0]]}");
    got = proto_tfs_predictions(PROTO_TFS_ROW, out, 2, &len);
    is(got, len, "{\"predictions\":[{\"p\":[0.5,0.25],\"k\":7},{\"p\":[null,1.0],\"k\":-1}]}");
    got = proto_tfs_predictions(PROTO_TFS_COLUMN, out, 2, &len);
    is(got, len, "{\"outputs\":{\"p\":[[0.5,0.25],[null,1.0]],\"k\":[7,-1]}}");
}

/* Lists in lists as deep as the tensor, and whole numbers of every type with their signs. */
static void predictions_of_any_shape(void **state)
{
    (void)state;
    const int8_t deep[12] = {-128, 127, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    const uint8_t yes[2] = {1, 0};
    const int32_t whole[2] = {-70000, 70000};
    const struct proto_tensor out[3] = {
        {"deep", PROTO_INT8, 4, {2, 1, 2, 3}, 12, deep, NULL, 0},
        {"yes", PROTO_BOOL, 2, {2, 1}, 2, yes, NULL, 0},
        {"whole", PROTO_INT32, 1, {2}, 2, whole, NULL, 0},
    };
    size_t len;
    char *got = proto_tfs_predictions(PROTO_TFS_ROW, out, 1, &len);
    is(got, len, "{\"predictions\":[[[[-128,127,-1],[0,1,2]]],[[[3,4,5],[6,7,8]]]]}");
    got = proto_tfs_predictions(PROTO_TFS_ROW, out, 3, &len);
    is(got, len,
       "{\"predictions\":[{\"deep\":[[[-128,127,-1],[0,1,2]]],\"yes\":[true],\"whole\":-70000},"
       "{\"deep\":[[[3,4,5],[6,7,8]]],\"yes\":[false],\"whole\":70000}]}");
}

static void results_status_metadata(void **state)
{
    (void)state;
    const struct proto_tfs_class c[4] = {{"a \"cat\"", 0.5f}, {"b", 0.25f}, {"c", 1}, {"d", 0}};
    const struct proto_tfs_version v[2] = {{"1", "AVAILABLE", ""}, {"2", "END", "gone"}};
    const struct proto_tensor in = {"x", PROTO_FP32, 2, {-1, 3}, 0, NULL, NULL, 0},
                              out = {"p", PROTO_INT64, 1, {-1}, 0, NULL, NULL, 0};
    size_t len;
    char *got = proto_tfs_result(c, 2, 2, &len);
    is(got, len,
       "{\"results\":[[[\"a \\\"cat\\\"\",0.5],[\"b\",0.25]],[[\"c\",1.0],[\"d\",0.0]]]}");
    got = proto_tfs_status(v, 2, &len);
    is(got, len,
       "{\"model_version_status\":[{\"version\":\"1\",\"state\":\"AVAILABLE\",\"status\":{"
       "\"error_code\":\"OK\",\"error_message\":\"\"}},{\"version\":\"2\",\"state\":\"END\","
       "\"status\":{\"error_code\":\"UNKNOWN\",\"error_message\":\"gone\"}}]}");
    got = proto_tfs_metadata("m", "1", &in, &out, 1, &len);
    is(got, len,
       "{\"model_spec\":{\"name\":\"m\",\"signature_name\":\"\",\"version\":\"1\"},\"metadata\":{"
       "\"signature_def\":{\"signature_def\":{\"serving_default\":{\"inputs\":{\"x\":{\"dtype\":"
       "\"DT_FLOAT\",\"tensor_shape\":{\"dim\":[{\"size\":\"-1\",\"name\":\"\"},{\"size\":\"3\","
       "\"name\":\"\"}],\"unknown_rank\":false},\"name\":\"x\"}},\"outputs\":{\"p\":{\"dtype\":"
       "\"DT_INT64\",\"tensor_shape\":{\"dim\":[{\"size\":\"-1\",\"name\":\"\"}],\"unknown_rank\":"
       "false},\"name\":\"p\"}},\"method_name\":\"tensorflow/serving/predict\"}}}}}");
}

static int release(void **state)
{
    (void)state;
    free(body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(columns),
        cmocka_unit_test(examples),
        cmocka_unit_test(refusals),
        cmocka_unit_test(predictions),
        cmocka_unit_test(predictions_of_any_shape),
        cmocka_unit_test(results_status_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
