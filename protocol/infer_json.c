/* Request of OIP v2 REST: JSON, with or without binary tensors behind it. One pass with the pull
 * scanner; the arrays named "data" are stepped over and left as text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/infer.h"
#include "protocol/json_scan.h"

struct parser {
    struct proto_scan scan;
    struct proto_infer_request *r;
    const char *json, *binary; /* the JSON text, and the binary tensors behind it */
    size_t json_len, binary_len;
    size_t strings_used;
    int64_t binary_size[PROTO_INPUTS_MAX]; /* -1: none was given */
    char *err;
    size_t errlen;
};

static int fail(struct parser *p, const char *where, const char *what)
{
    snprintf(p->err, p->errlen, "%s: %s", where, what);
    return -EINVAL;
}

static const char *input_place(const struct parser *p, char *buf, size_t len)
{
    snprintf(buf, len, "inputs[%d]", p->r->n_inputs);
    return buf;
}

/* A string without escapes is a span of the body; another one is decoded into r->strings, which is
 * as long as the JSON text and so can never be too small. */
static int take_string(struct parser *p, struct proto_span *ret)
{
    int r = proto_scan_string(&p->scan, ret);
    if (r < 0 || !memchr(ret->s, '\\', ret->len))
        return r;
    if (!p->r->strings)
        p->r->strings = malloc(p->json_len);
    if (!p->r->strings)
        return -ENOMEM;
    char *to = p->r->strings + p->strings_used;
    ret->len = proto_json_unescape(*ret, to);
    ret->s = to;
    p->strings_used += ret->len;
    return 0;
}

/* Marks a key as seen. -EINVAL if it was before. */
static int once(struct parser *p, unsigned *seen, unsigned bit, const char *where)
{
    if (*seen & bit)
        return fail(p, where, "a key is given twice");
    *seen |= bit;
    return 0;
}

static int take_count(struct parser *p, uint64_t *ret, const char *where)
{
    int64_t v;
    int r = proto_scan_int(&p->scan, &v);
    if (r < 0)
        return r;
    if (v < 0)
        return fail(p, where, "must not be negative");
    *ret = (uint64_t)v;
    return 0;
}

/* Any parameter that we do not know: a string, a number or a boolean. */
static int skip_parameter(struct parser *p)
{
    int kind = proto_scan_peek(&p->scan);
    if (kind == '{' || kind == '[' || kind == 'n')
        return proto_scan_fail(&p->scan, "a parameter is a string, a number or a boolean");
    return kind < 0 ? kind : proto_scan_skip(&p->scan, NULL);
}

static int request_parameters(struct parser *p)
{
    struct proto_span key;
    int n = 0, r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0) {
        if (proto_span_is(key, "priority"))
            r = take_count(p, &p->r->priority, "parameters.priority");
        else if (proto_span_is(key, "timeout"))
            r = take_count(p, &p->r->timeout_us, "parameters.timeout");
        else if (proto_span_is(key, "binary_data_output"))
            r = proto_scan_bool(&p->scan, &p->r->binary_data_output);
        else if (key.len >= 7 && !memcmp(key.s, "triton_", 7))
            r = fail(p, "parameters", "names that begin with 'triton_' are reserved");
        else
            r = skip_parameter(p);
    }
    return r;
}

static int take_shape(struct parser *p, struct proto_input *in)
{
    char where[32];
    int n = 0, r = proto_scan_enter_array(&p->scan);
    size_t product = 1;
    while (r >= 0 && (r = proto_scan_element(&p->scan, &n)) > 0) {
        int64_t dim;
        if (in->n_dims == PROTO_DIMS_MAX)
            return fail(p, input_place(p, where, sizeof(where)),
                        "the shape has too many dimensions");
        r = proto_scan_int(&p->scan, &dim);
        if (r < 0)
            return r;
        if (dim < 0)
            return fail(p, input_place(p, where, sizeof(where)),
                        "the shape has a negative dimension");
        if (__builtin_mul_overflow(product, (uint64_t)dim, &product) ||
            product > PROTO_ELEMENTS_MAX)
            return fail(p, input_place(p, where, sizeof(where)), "the shape has too many elements");
        in->shape[in->n_dims++] = dim;
    }
    in->elements = product;
    return r;
}

static int input_parameters(struct parser *p)
{
    struct proto_span key;
    char where[32];
    uint64_t size;
    int n = 0, r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0) {
        if (proto_span_is(key, "binary_data_size")) {
            r = take_count(p, &size, "binary_data_size");
            if (r >= 0)
                p->binary_size[p->r->n_inputs] = (int64_t)size;
        } else if (proto_span_is(key, "shared_memory_region")) {
            r = fail(p, input_place(p, where, sizeof(where)), "shared memory is not supported");
        } else {
            r = skip_parameter(p);
        }
    }
    return r;
}

enum { NAME = 1, SHAPE = 2, DATATYPE = 4, PARAMETERS = 8, DATA = 16 };

static int input_member(struct parser *p, struct proto_input *in, struct proto_span key,
                        unsigned *seen)
{
    char where[32];
    struct proto_span type;
    int r;
    input_place(p, where, sizeof(where));
    if (proto_span_is(key, "name")) {
        r = once(p, seen, NAME, where);
        return r < 0 ? r : take_string(p, &in->name);
    }
    if (proto_span_is(key, "shape")) {
        r = once(p, seen, SHAPE, where);
        return r < 0 ? r : take_shape(p, in);
    }
    if (proto_span_is(key, "datatype")) {
        r = once(p, seen, DATATYPE, where);
        if (r >= 0)
            r = proto_scan_string(&p->scan, &type);
        if (r < 0)
            return r;
        in->datatype = proto_datatype_parse(type);
        return in->datatype ? 0 : fail(p, where, "the datatype is unknown");
    }
    if (proto_span_is(key, "parameters")) {
        r = once(p, seen, PARAMETERS, where);
        return r < 0 ? r : input_parameters(p);
    }
    if (proto_span_is(key, "data")) {
        r = once(p, seen, DATA, where);
        return r < 0 ? r : proto_scan_skip_array(&p->scan, &in->data);
    }
    return proto_scan_skip(&p->scan, NULL);
}

static int take_input(struct parser *p)
{
    struct proto_input *in = &p->r->inputs[p->r->n_inputs];
    struct proto_span key;
    unsigned seen = 0;
    char where[32];
    int n = 0, r;
    if (p->r->n_inputs == PROTO_INPUTS_MAX)
        return fail(p, "inputs", "too many of them");
    input_place(p, where, sizeof(where));
    *in = (struct proto_input){0};
    p->binary_size[p->r->n_inputs] = -1;
    r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0)
        r = input_member(p, in, key, &seen);
    if (r < 0)
        return r;
    if (!(seen & NAME) || !in->name.len)
        return fail(p, where, "has no name");
    if (!(seen & SHAPE))
        return fail(p, where, "has no shape");
    if (!(seen & DATATYPE))
        return fail(p, where, "has no datatype");
    if (in->data.s && p->binary_size[p->r->n_inputs] >= 0)
        return fail(p, where, "has both data and binary_data_size");
    if (in->data.s && (in->datatype == PROTO_FP16 || in->datatype == PROTO_BF16))
        return fail(p, where, "FP16 and BF16 have no JSON form; send binary data");
    for (int i = 0; i < p->r->n_inputs; i++) {
        if (proto_span_same(p->r->inputs[i].name, in->name))
            return fail(p, where, "has the name of another input");
    }
    p->r->n_inputs++;
    return 0;
}

static int take_inputs(struct parser *p)
{
    int n = 0, r = proto_scan_enter_array(&p->scan);
    while (r >= 0 && (r = proto_scan_element(&p->scan, &n)) > 0)
        r = take_input(p);
    return r;
}

static int output_parameters(struct parser *p, struct proto_output *out)
{
    struct proto_span key;
    uint64_t classes;
    int n = 0, r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0) {
        if (proto_span_is(key, "binary_data")) {
            r = proto_scan_bool(&p->scan, &out->binary);
        } else if (proto_span_is(key, "classification")) {
            r = take_count(p, &classes, "classification");
            if (r >= 0)
                out->classification = classes > 1000000 ? 1000000 : (int)classes;
        } else if (proto_span_is(key, "shared_memory_region")) {
            r = fail(p, "outputs", "shared memory is not supported");
        } else {
            r = skip_parameter(p);
        }
    }
    return r;
}

static int take_output(struct parser *p)
{
    struct proto_output *out = &p->r->outputs[p->r->n_outputs];
    struct proto_span key;
    unsigned seen = 0;
    int n = 0, r;
    if (p->r->n_outputs == PROTO_OUTPUTS_MAX)
        return fail(p, "outputs", "too many of them");
    *out = (struct proto_output){.binary = -1};
    r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0) {
        if (proto_span_is(key, "name")) {
            r = once(p, &seen, NAME, "outputs");
            r = r < 0 ? r : take_string(p, &out->name);
        } else if (proto_span_is(key, "parameters")) {
            r = once(p, &seen, PARAMETERS, "outputs");
            r = r < 0 ? r : output_parameters(p, out);
        } else {
            r = proto_scan_skip(&p->scan, NULL);
        }
    }
    if (r < 0)
        return r;
    if (!out->name.len)
        return fail(p, "outputs", "one has no name");
    for (int i = 0; i < p->r->n_outputs; i++) {
        if (proto_span_same(p->r->outputs[i].name, out->name))
            return fail(p, "outputs", "a name is given twice");
    }
    p->r->n_outputs++;
    return 0;
}

static int take_outputs(struct parser *p)
{
    int n = 0, r = proto_scan_enter_array(&p->scan);
    while (r >= 0 && (r = proto_scan_element(&p->scan, &n)) > 0)
        r = take_output(p);
    return r;
}

enum { ID = 1, REQUEST_PARAMETERS = 2, INPUTS = 4, OUTPUTS = 8 };

static int take_request(struct parser *p)
{
    struct proto_span key;
    unsigned seen = 0;
    int n = 0, r = proto_scan_enter_object(&p->scan);
    while (r >= 0 && (r = proto_scan_member(&p->scan, &n, &key)) > 0) {
        unsigned bit = proto_span_is(key, "id")           ? ID
                       : proto_span_is(key, "parameters") ? REQUEST_PARAMETERS
                       : proto_span_is(key, "inputs")     ? INPUTS
                       : proto_span_is(key, "outputs")    ? OUTPUTS
                                                          : 0;
        r = once(p, &seen, bit, "request");
        if (r < 0)
            return r;
        if (bit == ID)
            r = take_string(p, &p->r->id);
        else if (bit == REQUEST_PARAMETERS)
            r = request_parameters(p);
        else if (bit == INPUTS)
            r = take_inputs(p);
        else if (bit == OUTPUTS)
            r = take_outputs(p);
        else
            r = proto_scan_skip(&p->scan, NULL);
    }
    if (r >= 0)
        r = proto_scan_finish(&p->scan);
    if (r >= 0 && !p->r->n_inputs)
        r = fail(p, "request", "has no inputs");
    return r;
}

/* Hands the bytes behind the JSON out, in the order of the inputs. */
static int share_binary(struct parser *p)
{
    char where[32];
    size_t left = p->binary_len;
    for (int i = 0; i < p->r->n_inputs; i++) {
        struct proto_input *in = &p->r->inputs[i];
        int64_t size = p->binary_size[i];
        snprintf(where, sizeof(where), "inputs[%d]", i);
        if (in->data.s)
            continue;
        if (size < 0 && p->r->n_inputs == 1 && p->binary_len)
            size = (int64_t)left;
        if (size < 0)
            return fail(p, where, "has neither data nor binary_data_size");
        if ((uint64_t)size > left)
            return fail(p, where, "binary_data_size is more than the body holds");
        in->form = PROTO_FORM_RAW;
        in->data = (struct proto_span){p->binary + (p->binary_len - left), (size_t)size};
        left -= (size_t)size;
    }
    return left ? fail(p, "request", "the body has bytes that belong to no input") : 0;
}

static void one_raw_tensor(struct proto_infer_request *r, const void *body, size_t len)
{
    r->n_inputs = 1;
    r->inputs[0] = (struct proto_input){.form = PROTO_FORM_RAW, .data = {body, len}};
    r->binary_data_output = 1;
}

int proto_infer_parse_json(struct proto_infer_request *ret, const void *body, size_t len,
                           long header_len, char *err, size_t errlen)
{
    struct proto_infer_request request = {0};
    struct parser p = {.r = &request, .err = err, .errlen = errlen};
    if (header_len == 0) {
        one_raw_tensor(&request, body, len);
        *ret = request;
        return 0;
    }
    if (header_len < -1 || (header_len > 0 && (size_t)header_len > len))
        return fail(&p, "Inference-Header-Content-Length", "is not a length within the body");
    p.json = body;
    p.json_len = header_len > 0 ? (size_t)header_len : len;
    p.binary = p.json + p.json_len;
    p.binary_len = len - p.json_len;
    proto_scan_init(&p.scan, p.json, p.json_len, err, errlen);
    int r = take_request(&p);
    if (r >= 0)
        r = share_binary(&p);
    if (r < 0) {
        proto_infer_finish(&request);
        return r;
    }
    *ret = request;
    return 0;
}
