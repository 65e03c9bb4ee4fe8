/* ModelInferRequest and ModelInferResponse, against messages packed and unpacked by protobuf-c; the
 * walk in front of its unpack. */
#include "protocol/infer.h"
#include "protocol/unpack.h"

#include "inference.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* protobuf-c's strings are not const. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* A request with one input that a test bends to its needs. */
struct request {
    Inference__ModelInferRequest m;
    Inference__ModelInferRequest__InferInputTensor input, *inputs[2];
    Inference__InferTensorContents contents;
    ProtobufCBinaryData raw[2];
    int64_t shape[4];
};

static void make(struct request *q, const char *datatype)
{
    inference__model_infer_request__init(&q->m);
    inference__model_infer_request__infer_input_tensor__init(&q->input);
    inference__infer_tensor_contents__init(&q->contents);
    q->m.model_name = text("tiny");
    q->m.id = text("42");
    q->inputs[0] = &q->input;
    q->m.inputs = q->inputs;
    q->m.n_inputs = 1;
    q->input.name = text("input");
    q->input.datatype = text(datatype);
    q->shape[0] = 1;
    q->shape[1] = 3;
    q->input.shape = q->shape;
    q->input.n_shape = 2;
    q->m.raw_input_contents = q->raw;
}

/* Packs and parses; the bytes stay until the next call. */
static int parse(struct request *q, struct proto_infer_request *ret, char *err, size_t errlen)
{
    static uint8_t bytes[1 << 16];
    size_t n = inference__model_infer_request__get_packed_size(&q->m);
    assert_true(n <= sizeof(bytes));
    inference__model_infer_request__pack(&q->m, bytes);
    return proto_infer_parse_grpc(ret, bytes, n, err, errlen);
}

static void raw_floats(void **state)
{
    (void)state;
    struct request q;
    struct proto_infer_request r;
    float in[3] = {1.5f, -2, 3}, out[3];
    char err[160] = "";
    make(&q, "FP32");
    q.raw[0] = (ProtobufCBinaryData){sizeof(in), (uint8_t *)in};
    q.m.n_raw_input_contents = 1;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_true(proto_span_is(r.model_name, "tiny") && proto_span_is(r.model_version, "") &&
                proto_span_is(r.id, "42"));
    assert_int_equal(r.n_inputs, 1);
    assert_int_equal(r.inputs[0].elements, 3);
    assert_int_equal(r.inputs[0].n_dims, 2);
    assert_int_equal(r.binary_data_output, 1);
    assert_int_equal(proto_input_floats(&r.inputs[0], out, err, sizeof(err)), 0);
    assert_memory_equal(in, out, sizeof(in));
    q.raw[0].len--;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_floats(&r.inputs[0], out, err, sizeof(err)), -EINVAL);
    proto_infer_finish(&r);
}

static void typed_contents(void **state)
{
    (void)state;
    struct request q;
    struct proto_infer_request r;
    struct proto_item items[3];
    float in[3] = {1.5f, -2, 3}, out[3];
    uint32_t pixels[3] = {0, 127, 255};
    uint8_t bytes[3];
    char err[160] = "";
    make(&q, "FP32");
    q.input.contents = &q.contents;
    q.contents.fp32_contents = in;
    q.contents.n_fp32_contents = 3;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_floats(&r.inputs[0], out, err, sizeof(err)), 0);
    assert_memory_equal(in, out, sizeof(in));
    q.contents.n_fp32_contents = 2;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_floats(&r.inputs[0], out, err, sizeof(err)), -EINVAL);
    q.contents.n_fp32_contents = 0;
    q.contents.uint_contents = pixels;
    q.contents.n_uint_contents = 3;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_floats(&r.inputs[0], out, err, sizeof(err)), -EINVAL);
    q.input.datatype = text("UINT8");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_bytes(&r.inputs[0], bytes, err, sizeof(err)), 0);
    assert_memory_equal(bytes, "\0\x7f\xff", 3);
    pixels[1] = 256;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_bytes(&r.inputs[0], bytes, err, sizeof(err)), -EINVAL);
    make(&q, "BYTES");
    ProtobufCBinaryData texts[3] = {{1, (uint8_t *)"a"}, {0, NULL}, {3, (uint8_t *)"xyz"}};
    q.input.contents = &q.contents;
    q.contents.bytes_contents = texts;
    q.contents.n_bytes_contents = 3;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(proto_input_items(&r.inputs[0], items, 3, err, sizeof(err)), 3);
    assert_true(proto_span_is(items[0].data, "a") && items[1].data.len == 0 &&
                proto_span_is(items[2].data, "xyz") && !items[2].is_json);
    assert_int_equal(proto_input_items(&r.inputs[0], items, 2, err, sizeof(err)), -E2BIG);
}

/* One element a field, as parsers must take too; and some of both. */
static void unpacked_numbers(void **state)
{
    (void)state;
    static const unsigned char both[] = {6 << 3 | 5, 0, 0, 0x80, 0x3f,       /* 1.0f */
                                         6 << 3 | 2, 4, 0, 0,    0,    0x40, /* [2.0f] */
                                         6 << 3 | 5, 0, 0, 0x40, 0x40};      /* 3.0f */
    struct proto_input in = {.datatype = PROTO_FP32,
                             .form = PROTO_FORM_PACKED,
                             .elements = 3,
                             .data = {(const char *)both, sizeof(both)}};
    float out[3];
    char err[160];
    assert_int_equal(proto_input_floats(&in, out, err, sizeof(err)), 0);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3);
    in.data.len--;
    assert_int_equal(proto_input_floats(&in, out, err, sizeof(err)), -EINVAL);
}

static void parameters_and_outputs(void **state)
{
    (void)state;
    struct request q;
    struct proto_infer_request r;
    char err[160] = "";
    Inference__InferParameter number = INFERENCE__INFER_PARAMETER__INIT,
                              flag = INFERENCE__INFER_PARAMETER__INIT;
    Inference__ModelInferRequest__ParametersEntry entries[3] =
        {INFERENCE__MODEL_INFER_REQUEST__PARAMETERS_ENTRY__INIT,
         INFERENCE__MODEL_INFER_REQUEST__PARAMETERS_ENTRY__INIT,
         INFERENCE__MODEL_INFER_REQUEST__PARAMETERS_ENTRY__INIT},
                                                  *all[3] = {&entries[0], &entries[1], &entries[2]};
    Inference__ModelInferRequest__InferRequestedOutputTensor
        output = INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__INIT,
        *outputs[2] = {&output, &output};
    Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry
        top = INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__PARAMETERS_ENTRY__INIT,
        *tops[1] = {&top};
    make(&q, "BYTES");
    number.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
    number.int64_param = 7;
    flag.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
    flag.bool_param = 1;
    entries[0].key = text("priority");
    entries[1].key = text("timeout");
    entries[2].key = text("whatever");
    entries[0].value = entries[1].value = top.value = &number;
    entries[2].value = &flag;
    q.m.parameters = all;
    q.m.n_parameters = 3;
    output.name = text("probabilities");
    top.key = text("classification");
    output.parameters = tops;
    output.n_parameters = 1;
    q.m.outputs = outputs;
    q.m.n_outputs = 1;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    assert_int_equal(r.priority, 7);
    assert_int_equal(r.timeout_us, 7);
    assert_int_equal(r.n_outputs, 1);
    assert_int_equal(r.outputs[0].classification, 7);
    assert_int_equal(r.outputs[0].binary, 1);
    q.m.n_outputs = 2;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "outputs: a name is given twice");
    q.m.n_outputs = 0;
    number.int64_param = -1;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    entries[0].value = entries[1].value = &flag;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "parameters.priority: must be an integer");
}

static void refusals(void **state)
{
    (void)state;
    struct request q;
    struct proto_infer_request r;
    char err[160] = "";
    make(&q, "FP32");
    q.shape[1] = -1;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "inputs[0]: the shape has a negative dimension");
    q.shape[0] = q.shape[1] = INT64_MAX;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "inputs[0]: the shape has too many elements");
    make(&q, "FP33");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    make(&q, "FP16");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    make(&q, "FP32");
    q.input.name = text("");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    make(&q, "FP32");
    q.inputs[1] = &q.input;
    q.m.n_inputs = 2;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "inputs[1]: has the name of another input");
    make(&q, "FP32");
    q.m.n_raw_input_contents = 2;
    q.raw[0] = q.raw[1] = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "raw_input_contents: there must be one for each input");
    make(&q, "FP32");
    float one = 1;
    q.m.n_raw_input_contents = 1;
    q.input.contents = &q.contents;
    q.contents.fp32_contents = &one;
    q.contents.n_fp32_contents = 1;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    make(&q, "FP32");
    q.m.model_name = text("\xff");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_int_equal(proto_infer_parse_grpc(&r, "", 0, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "request: has no inputs");
}

static void an_answer(void **state)
{
    (void)state;
    const float scores[2] = {0.25f, 0.75f};
    const char *const texts[2] = {"0.75:1:cat", ""};
    const struct proto_tensor outputs[2] = {
        {.name = "p",
         .datatype = PROTO_FP32,
         .n_dims = 2,
         .shape = {1, 2},
         .elements = 2,
         .data = scores},
        {.name = "c",
         .datatype = PROTO_BYTES,
         .n_dims = 1,
         .shape = {2},
         .elements = 2,
         .strings = texts},
    };
    const struct proto_infer_reply reply = {"tiny", "1", {"42xx", 2}, outputs, 2};
    size_t len = 0, whole_len = 0;
    char *bytes = proto_infer_reply_grpc(&reply, &len);
    assert_non_null(bytes);
    char *whole = proto_infer_stream_reply(bytes, len, &whole_len);
    assert_non_null(whole);
    Inference__ModelStreamInferResponse *stream =
        inference__model_stream_infer_response__unpack(NULL, whole_len, (uint8_t *)whole);
    assert_non_null(stream);
    assert_string_equal(stream->error_message, "");
    Inference__ModelInferResponse *m = stream->infer_response;
    assert_string_equal(m->model_name, "tiny");
    assert_string_equal(m->model_version, "1");
    assert_string_equal(m->id, "42");
    assert_int_equal(m->n_outputs, 2);
    assert_string_equal(m->outputs[0]->datatype, "FP32");
    assert_int_equal(m->outputs[0]->shape[1], 2);
    assert_string_equal(m->outputs[1]->name, "c");
    assert_int_equal(m->n_raw_output_contents, 2);
    assert_int_equal(m->raw_output_contents[0].len, sizeof(scores));
    assert_memory_equal(m->raw_output_contents[0].data, scores, sizeof(scores));
    assert_int_equal(m->raw_output_contents[1].len, 4 + 10 + 4);
    assert_memory_equal(m->raw_output_contents[1].data,
                        "\x0a\0\0\0"
                        "0.75:1:cat\0\0\0\0",
                        18);
    inference__model_stream_infer_response__free_unpacked(stream, NULL);
    free(whole);
    free(bytes);
    whole = proto_infer_stream_error("no", (struct proto_span){"7", 1}, &whole_len);
    stream = inference__model_stream_infer_response__unpack(NULL, whole_len, (uint8_t *)whole);
    assert_non_null(stream);
    assert_string_equal(stream->error_message, "no");
    assert_string_equal(stream->infer_response->id, "7");
    inference__model_stream_infer_response__free_unpacked(stream, NULL);
    free(whole);
}

static void check_final(const Inference__ModelInferResponse *m)
{
    assert_int_equal(m->n_parameters, 1);
    assert_string_equal(m->parameters[0]->key, "triton_final_response");
    assert_int_equal(m->parameters[0]->value->parameter_choice_case,
                     INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM);
    assert_true(m->parameters[0]->value->bool_param);
}

static void answers_of_a_stream_are_final(void **state)
{
    (void)state;
    static const struct proto_span ids[] = {{"7", 1}, {NULL, 0}};
    const struct proto_infer_reply reply = {.model_name = "tiny", .model_version = "1"};
    size_t len = 0, whole_len = 0;
    char *bytes = proto_infer_reply_grpc(&reply, &len);
    char *whole = proto_infer_stream_reply(bytes, len, &whole_len);
    Inference__ModelStreamInferResponse *m =
        inference__model_stream_infer_response__unpack(NULL, whole_len, (uint8_t *)whole);
    assert_non_null(m);
    assert_string_equal(m->infer_response->model_name, "tiny");
    check_final(m->infer_response);
    inference__model_stream_infer_response__free_unpacked(m, NULL);
    free(whole);
    free(bytes);
    for (int i = 0; i < 2; i++) {
        whole = proto_infer_stream_error("no", ids[i], &whole_len);
        m = inference__model_stream_infer_response__unpack(NULL, whole_len, (uint8_t *)whole);
        assert_non_null(m);
        assert_string_equal(m->infer_response->id, ids[i].s ? ids[i].s : "");
        check_final(m->infer_response);
        inference__model_stream_infer_response__free_unpacked(m, NULL);
        free(whole);
    }
}

/* What Triton's C++ client puts into every request; another name of that kind, and a wrong type. */
static void reserved_parameters(void **state)
{
    (void)state;
    struct proto_infer_request r;
    char err[200];
    struct request q = {0};
    Inference__InferParameter no = INFERENCE__INFER_PARAMETER__INIT;
    Inference__ModelInferRequest__ParametersEntry
        entry = INFERENCE__MODEL_INFER_REQUEST__PARAMETERS_ENTRY__INIT,
        *all[] = {&entry};
    make(&q, "FP32");
    q.m.parameters = all;
    q.m.n_parameters = 1;
    entry.key = text("triton_enable_empty_final_response");
    entry.value = &no;
    no.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), 0);
    proto_infer_finish(&r);
    no.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "parameters.triton_enable_empty_final_response: must be a boolean");
    entry.key = text("triton_x");
    assert_int_equal(parse(&q, &r, err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "parameters: names that begin with 'triton_' are reserved; "
                             "triton_enable_empty_final_response alone is known");
}

static void unpacking_has_limits(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *type = &inference__model_infer_request__descriptor;
    struct proto_unpacked u;
    assert_int_equal(proto_unpack(&u, type, NULL, 0), 0);
    proto_unpack_finish(&u);
    /* nested where the schema knows no field: not entered, by nobody */
    unsigned char deep[400];
    size_t n = 0;
    for (int i = 0; i < 100; i++) {
        size_t left = sizeof(deep) - n - 3;
        deep[n++] = 15 << 3 | 2;
        deep[n++] = (unsigned char)(0x80 | (left & 0x7f));
        deep[n++] = (unsigned char)(left >> 7);
    }
    memset(deep + n, 0x78, sizeof(deep) - n);
    assert_int_equal(proto_unpack(&u, type, deep, sizeof(deep)), 0);
    proto_unpack_finish(&u);
    /* a group */
    assert_int_equal(proto_unpack(&u, type, "\x0b\x0c", 2), -EINVAL);
    /* a name that is a number */
    assert_int_equal(proto_unpack(&u, type, "\x08\x01", 2), -EINVAL);
    /* a name with a NUL, one that is not UTF-8 */
    assert_int_equal(proto_unpack(&u, type, "\x0a\x02\x61\x00", 4), -EINVAL);
    assert_int_equal(proto_unpack(&u, type, "\x0a\x01\xff", 3), -EINVAL);
    assert_int_equal(proto_unpack(&u, type, "\x0a\x01\x61", 3), 0);
    assert_string_equal(((Inference__ModelInferRequest *)u.message)->model_name, "a");
    proto_unpack_finish(&u);
    /* packed varints: one byte of the wire is eight of memory */
    size_t many = PROTO_UNPACK_ELEMENTS + 10;
    unsigned char *wire = calloc(1, many + 4);
    assert_non_null(wire);
    wire[0] = 3 << 3 | 2;
    wire[1] = (unsigned char)(0x80 | (many & 0x7f));
    wire[2] = (unsigned char)(0x80 | (many >> 7 & 0x7f));
    wire[3] = (unsigned char)(many >> 14);
    type = &inference__model_infer_request__infer_input_tensor__descriptor;
    assert_int_equal(proto_unpack(&u, type, wire, many + 4), -EINVAL);
    free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_floats),
        cmocka_unit_test(typed_contents),
        cmocka_unit_test(unpacked_numbers),
        cmocka_unit_test(parameters_and_outputs),
        cmocka_unit_test(reserved_parameters),
        cmocka_unit_test(answers_of_a_stream_are_final),
        cmocka_unit_test(refusals),
        cmocka_unit_test(an_answer),
        cmocka_unit_test(unpacking_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
