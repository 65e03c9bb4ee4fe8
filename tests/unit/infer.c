/* OIP v2 REST: requests as Triton's clients write them, answers to the letter, Triton's hard cases.
 */
#include "protocol/infer.h"

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

static struct proto_infer_request req;
static char err[256], *body;

static int parse_n(const void *text, size_t len, long header)
{
    proto_infer_finish(&req);
    memset(&req, 0, sizeof(req));
    free(body);
    body = malloc(len ? len : 1);
    assert_non_null(body);
    memcpy(body, text, len);
    err[0] = 0;
    return proto_infer_parse_json(&req, body, len, header, err, sizeof(err));
}

static int parse(const char *text)
{
    return parse_n(text, strlen(text), -1);
}

static void refused(const char *text, const char *sentence)
{
    int r = parse(text);
    if (r != -EINVAL || strcmp(err, sentence))
        fail_msg("%s\n%d '%s'", text, r, err);
}

#define IN(rest) "{\"inputs\":[{\"name\":\"input\"," rest "}]}"
#define SHAPE "\"shape\":[1,4],\"datatype\":\"FP32\""

static void json_tensor(void **state)
{
    (void)state;
    float v[4];
    assert_int_equal(
        parse("{\"id\":\"a\\u00e9\",\"parameters\":{\"priority\":1,\"timeout\":5000,"
              "\"binary_data_output\":true,\"foo\":1.5},\"inputs\":[{\"name\":\"input\","
              "\"data\":[[1,2],[3,NaN]],\"datatype\":\"FP32\",\"shape\":[1,2,2]}],"
              "\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{"
              "\"classification\":5,\"binary_data\":false}},{\"name\":\"logits\"}],"
              "\"unknown\":{\"x\":[]}}"),
        0);
    assert_int_equal(req.id.len, 3);
    assert_memory_equal(req.id.s, "a\xc3\xa9", 3);
    assert_int_equal(req.priority, 1);
    assert_int_equal(req.timeout_us, 5000);
    assert_int_equal(req.binary_data_output, 1);
    assert_int_equal(req.n_inputs, 1);
    assert_true(proto_span_is(req.inputs[0].name, "input"));
    assert_int_equal(req.inputs[0].datatype, PROTO_FP32);
    assert_int_equal(req.inputs[0].n_dims, 3);
    assert_int_equal(req.inputs[0].shape[1], 2);
    assert_int_equal(req.inputs[0].elements, 4);
    assert_int_equal(proto_input_floats(&req.inputs[0], v, err, sizeof(err)), 0);
    assert_true(v[0] == 1 && v[2] == 3 && isnan(v[3]));
    assert_int_equal(req.n_outputs, 2);
    assert_true(proto_span_is(req.outputs[0].name, "probabilities"));
    assert_int_equal(req.outputs[0].classification, 5);
    assert_int_equal(req.outputs[0].binary, 0);
    assert_int_equal(req.outputs[1].binary, -1);
}

static void other_datatypes(void **state)
{
    (void)state;
    uint8_t v[4];
    float f[4];
    struct proto_item items[2];
    assert_int_equal(parse(IN("\"shape\":[4],\"datatype\":\"UINT8\",\"data\":[0,255,7,1]")), 0);
    assert_int_equal(proto_input_bytes(&req.inputs[0], v, err, sizeof(err)), 0);
    assert_memory_equal(v, "\x00\xff\x07\x01", 4);
    assert_int_equal(proto_input_floats(&req.inputs[0], f, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "input 'input': the datatype is not FP32");
    assert_int_equal(
        parse(IN("\"shape\":[1,2],\"datatype\":\"BYTES\",\"data\":[[\"aGk=\",\"a\\/b\"]]")), 0);
    assert_int_equal(proto_input_items(&req.inputs[0], items, 2, err, sizeof(err)), 2);
    assert_true(proto_span_is(items[0].data, "aGk="));
    assert_true(proto_span_is(items[1].data, "a\\/b"));
    assert_int_equal(items[0].is_json, 1);
    assert_int_equal(proto_input_items(&req.inputs[0], items, 1, err, sizeof(err)), -E2BIG);
    assert_int_equal(parse(IN("\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"a\",1]")), 0);
    assert_int_equal(proto_input_items(&req.inputs[0], items, 2, err, sizeof(err)), -EINVAL);
    assert_int_equal(parse(IN("\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"a\"]")), 0);
    assert_int_equal(proto_input_items(&req.inputs[0], items, 2, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "input 'input': 1 elements where the shape needs 2");
    for (int i = PROTO_BOOL; i <= PROTO_BYTES; i++) {
        const char *name = proto_datatype_name((enum proto_datatype)i);
        struct proto_span span = {name, strlen(name)};
        assert_int_equal(proto_datatype_parse(span), i);
    }
    struct proto_span lower = {"fp32", 4};
    assert_int_equal(proto_datatype_parse(lower), PROTO_NO_TYPE);
}

static void binary_tensors(void **state)
{
    (void)state;
    static const char json[] =
        "{\"inputs\":[{\"name\":\"a\",\"shape\":[2],\"datatype\":\"FP32\",\"parameters\":{"
        "\"binary_data_size\":8}},{\"name\":\"b\",\"shape\":[2],\"datatype\":\"BYTES\","
        "\"parameters\""
        ":{\"binary_data_size\":11}}]}";
    const size_t n = sizeof(json) - 1;
    char all[sizeof(json) + 32];
    float v[2];
    struct proto_item items[4];
    memcpy(all, json, n);
    memcpy(all + n, "\0\0\x80\x3f\0\0\0\xc0\x03\0\0\0abc\0\0\0\0", 19);
    assert_int_equal(parse_n(all, n + 19, (long)n), 0);
    assert_int_equal(proto_input_floats(&req.inputs[0], v, err, sizeof(err)), 0);
    assert_true(v[0] == 1 && v[1] == -2);
    assert_int_equal(proto_input_items(&req.inputs[1], items, 4, err, sizeof(err)), 2);
    assert_true(proto_span_is(items[0].data, "abc"));
    assert_int_equal(items[1].data.len, 0);
    /* One byte more, one byte less, a header length that lies. */
    assert_int_equal(parse_n(all, n + 20, (long)n), -EINVAL);
    assert_string_equal(err, "request: the body has bytes that belong to no input");
    assert_int_equal(parse_n(all, n + 18, (long)n), -EINVAL);
    assert_string_equal(err, "inputs[1]: binary_data_size is more than the body holds");
    assert_int_equal(parse_n(all, n + 19, (long)n + 20), -EINVAL);
    assert_int_equal(parse_n(all, n + 19, -2), -EINVAL);
    assert_int_equal(parse_n(all, n + 19, (long)n - 1), -EINVAL);
    assert_int_equal(parse_n(all, n + 19, -1), -EINVAL);
    /* Lengths of BYTES that reach past the end. */
    all[n + 8] = 8;
    assert_int_equal(parse_n(all, n + 19, (long)n), 0);
    assert_int_equal(proto_input_items(&req.inputs[1], items, 4, err, sizeof(err)), -EINVAL);
    memcpy(all + n + 8, "\xff\xff\xff\xff", 4);
    assert_int_equal(parse_n(all, n + 19, (long)n), 0);
    assert_int_equal(proto_input_items(&req.inputs[1], items, 4, err, sizeof(err)), -EINVAL);
}

static void one_input_may_leave_its_size_out(void **state)
{
    (void)state;
    static const char json[] = IN("\"shape\":[1],\"datatype\":\"FP32\"");
    const size_t n = sizeof(json) - 1;
    char all[sizeof(json) + 8];
    float v;
    memcpy(all, json, n);
    memcpy(all + n, "\0\0\x80\x3f", 5);
    assert_int_equal(parse_n(all, n + 4, (long)n), 0);
    assert_int_equal(proto_input_floats(&req.inputs[0], &v, err, sizeof(err)), 0);
    assert_true(v == 1);
    assert_int_equal(parse_n(all, n + 5, (long)n), 0);
    assert_int_equal(proto_input_floats(&req.inputs[0], &v, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "input 'input': 5 bytes of data where the shape needs 4");
    assert_int_equal(parse(json), -EINVAL);
    assert_string_equal(err, "inputs[0]: has neither data nor binary_data_size");
}

static void raw_body(void **state)
{
    (void)state;
    assert_int_equal(parse_n("\xff\xd8rest", 6, 0), 0);
    assert_int_equal(req.n_inputs, 1);
    assert_int_equal(req.inputs[0].datatype, PROTO_NO_TYPE);
    assert_int_equal(req.inputs[0].data.len, 6);
    assert_int_equal(req.inputs[0].form, PROTO_FORM_RAW);
    assert_int_equal(req.binary_data_output, 1);
}

static void hard_cases(void **state)
{
    (void)state;
    refused("", "JSON: an object is needed at byte 0");
    refused("[]", "JSON: an object is needed at byte 0");
    refused("{}", "request: has no inputs");
    refused("{\"inputs\":[]}", "request: has no inputs");
    refused("{\"inputs\":{}}", "JSON: an array is needed at byte 10");
    refused("{\"inputs\":[1]}", "JSON: an object is needed at byte 11");
    refused("{\"inputs\":[],\"inputs\":[]}", "request: a key is given twice");
    refused("{\"inputs\":[{}]}", "inputs[0]: has no name");
    refused(IN("\"name\":\"x\"," SHAPE), "inputs[0]: a key is given twice");
    refused(IN("\"data\":[1]"), "inputs[0]: has no shape");
    refused(IN("\"shape\":[1],\"data\":[1]"), "inputs[0]: has no datatype");
    refused(IN("\"shape\":[1],\"datatype\":\"FP31\",\"data\":[1]"),
            "inputs[0]: the datatype is unknown");
    refused(IN("\"shape\":[-1],\"datatype\":\"FP32\",\"data\":[1]"),
            "inputs[0]: the shape has a negative dimension");
    refused(IN("\"shape\":[4294967296,4294967296],\"datatype\":\"FP32\",\"data\":[1]"),
            "inputs[0]: the shape has too many elements");
    refused(IN("\"shape\":[4294967296,4294967296,0],\"datatype\":\"FP32\",\"data\":[]"),
            "inputs[0]: the shape has too many elements");
    refused(IN("\"shape\":[1,1,1,1,1,1,1,1,1],\"datatype\":\"FP32\",\"data\":[1]"),
            "inputs[0]: the shape has too many dimensions");
    refused(IN("\"shape\":[1.5],\"datatype\":\"FP32\",\"data\":[1]"),
            "JSON: a whole number is needed at byte 36");
    refused(IN("\"shape\":[99999999999999999999],\"datatype\":\"FP32\",\"data\":[1]"),
            "JSON: a whole number that is too large at byte 36");
    refused(IN("\"shape\":[1],\"datatype\":\"FP16\",\"data\":[1]"),
            "inputs[0]: FP16 and BF16 have no JSON form; send binary data");
    refused(IN(SHAPE), "inputs[0]: has neither data nor binary_data_size");
    refused(IN(SHAPE ",\"data\":1"), "JSON: an array is needed at byte 66");
    refused(IN(SHAPE ",\"data\":[1],\"parameters\":{\"binary_data_size\":4}"),
            "inputs[0]: has both data and binary_data_size");
    refused(IN(SHAPE ",\"parameters\":{\"binary_data_size\":-4}"),
            "binary_data_size: must not be negative");
    refused(IN(SHAPE ",\"parameters\":{\"binary_data_size\":4}"),
            "inputs[0]: binary_data_size is more than the body holds");
    refused(IN(SHAPE ",\"parameters\":{\"shared_memory_region\":\"x\"}"),
            "inputs[0]: shared memory is not supported");
    refused(IN(SHAPE ",\"parameters\":{\"x\":[1]}"),
            "JSON: a parameter is a string, a number or a boolean at byte 77");
    refused("{\"inputs\":[{\"name\":\"a\"," SHAPE ",\"data\":[1]},{\"name\":\"a\"," SHAPE
            ",\"data\":[1]}]}",
            "inputs[1]: has the name of another input");
    refused("{\"outputs\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "outputs: a name is given twice");
    refused("{\"outputs\":[{}]}", "outputs: one has no name");
    refused("{\"parameters\":{\"triton_x\":1}}",
            "parameters: names that begin with 'triton_' are reserved");
    refused("{\"parameters\":{\"timeout\":-1}}", "parameters.timeout: must not be negative");
    refused("{\"id\":5}", "JSON: a string is needed at byte 6");
    refused(IN(SHAPE ",\"data\":[1,2,3,4]") "x", "JSON: more text behind the value at byte 78");
}

static void too_many_of_anything(void **state)
{
    (void)state;
    char text[4096];
    int n = snprintf(text, sizeof(text), "{\"inputs\":[");
    for (int i = 0; i < 17; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "%s{\"name\":\"i%d\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}",
                      i ? "," : "", i);
    snprintf(text + n, sizeof(text) - (size_t)n, "]}");
    refused(text, "inputs: too many of them");
    n = snprintf(text, sizeof(text), "{\"outputs\":[");
    for (int i = 0; i <= PROTO_OUTPUTS_MAX; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s{\"name\":\"o%d\"}", i ? "," : "", i);
    snprintf(text + n, sizeof(text) - (size_t)n, "]}");
    refused(text, "outputs: too many of them");
    /* A shape that asks for a gigabyte costs nothing until its data is there. */
    float v[1];
    assert_int_equal(parse(IN("\"shape\":[268435456],\"datatype\":\"FP32\",\"data\":[]")), 0);
    assert_int_equal(proto_input_floats(&req.inputs[0], v, err, sizeof(err)), -EINVAL);
    memset(text, '[', 100);
    memcpy(text, "{\"x\":", 5);
    text[100] = 0;
    refused(text, "JSON: nested too deep at byte 69");
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\":\"a\\n\",\"inputs\":[{\"name\":\"in\\tput\",\"shape\":[1,2],\"datatype\":\"FP32\","
        "\"parameters\":{\"a\":true},\"data\":[[1,2]]}],\"outputs\":[{\"name\":\"o\"}]}";
    assert_int_equal(parse_n(text, sizeof(text) - 1, -1), 0);
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(parse_n(text, n, -1), -EINVAL);
}

static void answer_to_the_letter(void **state)
{
    (void)state;
    const float p[3] = {0.5f, 0.25f, NAN};
    const int64_t k[2] = {-1, 9223372036854775807};
    const char *const labels[2] = {"0.500000:285:Egyptian \"cat\"", "0.250000:1"};
    const struct proto_tensor outputs[3] = {
        {"probabilities", PROTO_FP32, 2, {1, 3}, 3, p, NULL, 0},
        {"k", PROTO_INT64, 1, {2}, 2, k, NULL, 0},
        {"classification", PROTO_BYTES, 2, {1, 2}, 2, NULL, labels, 0}};
    struct proto_infer_reply r = {"mobilenet_v1", "1", {"x\"1", 3}, outputs, 3};
    size_t len, header = 77;
    char *got = proto_infer_reply_json(&r, &len, &header);
    assert_string_equal(
        got,
        "{\"id\":\"x\\\"1\",\"model_name\":\"mobilenet_v1\",\"model_version\":\"1\",\"outputs\":["
        "{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":"
        "[0.5,0.25,null]},"
        "{\"name\":\"k\",\"datatype\":\"INT64\",\"shape\":[2],\"data\":[-1,9223372036854775807]},"
        "{\"name\":\"classification\",\"datatype\":\"BYTES\",\"shape\":[1,2],\"data\":"
        "[\"0.500000:285:Egyptian \\\"cat\\\"\",\"0.250000:1\"]}]}");
    assert_int_equal(len, strlen(got));
    assert_int_equal(header, 0);
    json_t *tree = json_loads(got, 0, NULL);
    assert_non_null(tree);
    json_decref(tree);
    free(got);
}

/* Whole numbers keep their signs, whatever their type. */
static void whole_numbers(void **state)
{
    (void)state;
    const int8_t i8[2] = {-128, 127};
    const uint8_t u8[2] = {255, 0};
    const int16_t i16[1] = {-300};
    const int32_t i32[1] = {-70000};
    const struct proto_tensor outputs[5] = {{"a", PROTO_INT8, 1, {2}, 2, i8, NULL, 0},
                                            {"b", PROTO_UINT8, 1, {2}, 2, u8, NULL, 0},
                                            {"c", PROTO_INT16, 1, {1}, 1, i16, NULL, 0},
                                            {"d", PROTO_INT32, 1, {1}, 1, i32, NULL, 0},
                                            {"e", PROTO_BOOL, 1, {2}, 2, u8, NULL, 0}};
    static const char *const want[5] = {"[-128,127]", "[255,0]", "[-300]", "[-70000]",
                                        "[true,false]"};
    for (int i = 0; i < 5; i++) {
        struct proto_infer_reply r = {"m", "1", {NULL, 0}, &outputs[i], 1};
        size_t len, header;
        char *got = proto_infer_reply_json(&r, &len, &header);
        assert_non_null(strstr(got, want[i]));
        free(got);
    }
}

static void binary_answer(void **state)
{
    (void)state;
    const float p[2] = {1, -2};
    const char *const labels[1] = {"ab"};
    const struct proto_tensor outputs[2] = {{"p", PROTO_FP32, 1, {2}, 2, p, NULL, 1},
                                            {"c", PROTO_BYTES, 1, {1}, 1, NULL, labels, 1}};
    struct proto_infer_reply r = {"m", "1", {NULL, 0}, outputs, 2};
    size_t len, header;
    char *got = proto_infer_reply_json(&r, &len, &header);
    static const char json[] =
        "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"p\",\"datatype\":"
        "\"FP32\",\"shape\":[2],\"parameters\":{\"binary_data_size\":8}},{\"name\":\"c\","
        "\"datatype\":"
        "\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":6}}]}";
    assert_int_equal(header, sizeof(json) - 1);
    assert_int_equal(len, sizeof(json) - 1 + 14);
    assert_memory_equal(got, json, header);
    assert_memory_equal(got + header, "\0\0\x80\x3f\0\0\0\xc0\x02\0\0\0ab", 14);
    free(got);
}

static void classification_text(void **state)
{
    (void)state;
    char buf[64];
    proto_classification(buf, sizeof(buf), 0.7310000061988831f, 285, "Egyptian cat");
    assert_string_equal(buf, "0.731000:285:Egyptian cat");
    proto_classification(buf, sizeof(buf), 12.5f, 0, "");
    assert_string_equal(buf, "12.500000:0");
}

static int release(void **state)
{
    (void)state;
    proto_infer_finish(&req);
    free(body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_tensor),
        cmocka_unit_test(other_datatypes),
        cmocka_unit_test(binary_tensors),
        cmocka_unit_test(one_input_may_leave_its_size_out),
        cmocka_unit_test(raw_body),
        cmocka_unit_test(hard_cases),
        cmocka_unit_test(too_many_of_anything),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(answer_to_the_letter),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(binary_answer),
        cmocka_unit_test(classification_text),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
