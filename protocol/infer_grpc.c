/* ModelInferRequest read in place, so that a tensor is never copied, and ModelInferResponse.
 * Outputs always travel in raw_output_contents, the form that clients of every server read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inference.pb-c.h"
#include "protocol/buffer.h"
#include "protocol/infer.h"
#include "protocol/unpack.h"
#include "protocol/utf8.h"
#include "protocol/wire.h"

struct parser {
    struct proto_infer_request *r;
    struct proto_span raw[PROTO_INPUTS_MAX]; /* raw_input_contents */
    int n_raw, any_contents;
    char *err;
    size_t errlen;
};

static int fail(struct parser *p, const char *where, const char *what)
{
    snprintf(p->err, p->errlen, "%s: %s", where, what);
    return -EINVAL;
}

static int malformed(struct parser *p)
{
    return fail(p, "request", "is not a valid ModelInferRequest message");
}

static int take_text(struct parser *p, const struct proto_field *f, struct proto_span *ret)
{
    if (f->type != PROTO_WIRE_BYTES)
        return malformed(p);
    if (memchr(f->bytes.s, 0, f->bytes.len) || !proto_utf8_is_valid(f->bytes.s, f->bytes.len))
        return fail(p, "request", "a string is not valid UTF-8, or holds a NUL");
    *ret = f->bytes;
    return 0;
}

/* ---- parameters ---- */

struct parameter {
    struct proto_span key;
    int kind;       /* field number of the choice that is set, 0: none */
    uint64_t value; /* of a bool, int64 or uint64 */
};

static int take_choice(struct parser *p, struct proto_span of, struct parameter *ret)
{
    struct proto_wire w;
    struct proto_field f;
    int r;
    proto_wire_init(&w, of);
    while ((r = proto_wire_next(&w, &f)) > 0) {
        if (f.number > 5)
            continue;
        if (f.type != (f.number == 3   ? PROTO_WIRE_BYTES
                       : f.number == 4 ? PROTO_WIRE_64
                                       : PROTO_WIRE_VARINT))
            return malformed(p);
        ret->kind = (int)f.number;
        ret->value = f.value;
    }
    return r < 0 ? malformed(p) : 0;
}

static int take_parameter(struct parser *p, const struct proto_field *field, struct parameter *ret)
{
    struct proto_wire w;
    struct proto_field f;
    int r;
    *ret = (struct parameter){.key = {"", 0}};
    if (field->type != PROTO_WIRE_BYTES)
        return malformed(p);
    proto_wire_init(&w, field->bytes);
    while ((r = proto_wire_next(&w, &f)) > 0) {
        if (f.number == 1)
            r = take_text(p, &f, &ret->key);
        else if (f.number == 2)
            r = f.type == PROTO_WIRE_BYTES ? take_choice(p, f.bytes, ret) : malformed(p);
        if (r < 0)
            return r;
    }
    return r < 0 ? malformed(p) : 0;
}

/* A whole number, whichever of the integer choices it came in. */
static int count_of(struct parser *p, const struct parameter *a, uint64_t *ret)
{
    char where[64];
    snprintf(where, sizeof(where), "parameters.%.*s", a->key.len > 40 ? 40 : (int)a->key.len,
             a->key.s);
    if (a->kind != 2 && a->kind != 5)
        return fail(p, where, "must be an integer");
    if (a->kind == 2 && (int64_t)a->value < 0)
        return fail(p, where, "must not be negative");
    *ret = a->value;
    return 0;
}

static int request_parameter(struct parser *p, const struct proto_field *f)
{
    struct parameter a;
    int r = take_parameter(p, f, &a);
    if (r < 0)
        return r;
    if (proto_span_is(a.key, "priority"))
        return count_of(p, &a, &p->r->priority);
    if (proto_span_is(a.key, "timeout"))
        return count_of(p, &a, &p->r->timeout_us);
    if (proto_span_is(a.key, "triton_enable_empty_final_response"))
        return a.kind == 1
                   ? 0
                   : fail(p, "parameters.triton_enable_empty_final_response", "must be a boolean");
    if (a.key.len >= 7 && !memcmp(a.key.s, "triton_", 7))
        return fail(p, "parameters",
                    "names that begin with 'triton_' are reserved; "
                    "triton_enable_empty_final_response alone is known");
    return 0;
}

static int no_shared_memory(struct parser *p, const struct parameter *a, const char *where)
{
    if (!proto_span_is(a->key, "shared_memory_region"))
        return 0;
    return fail(p, where, "shared memory is not supported");
}

/* ---- inputs ---- */

static int add_dim(struct parser *p, struct proto_input *in, uint64_t dim, const char *where)
{
    if (in->n_dims == PROTO_DIMS_MAX)
        return fail(p, where, "the shape has too many dimensions");
    if ((int64_t)dim < 0)
        return fail(p, where, "the shape has a negative dimension");
    if (__builtin_mul_overflow(in->elements, dim, &in->elements) ||
        in->elements > PROTO_ELEMENTS_MAX)
        return fail(p, where, "the shape has too many elements");
    in->shape[in->n_dims++] = (int64_t)dim;
    return 0;
}

static int take_shape(struct parser *p, struct proto_input *in, const struct proto_field *f,
                      const char *where)
{
    struct proto_wire w;
    uint64_t dim;
    if (f->type == PROTO_WIRE_VARINT)
        return add_dim(p, in, f->value, where);
    if (f->type != PROTO_WIRE_BYTES)
        return malformed(p);
    proto_wire_init(&w, f->bytes);
    while (w.p < w.end) {
        int r = proto_wire_varint(&w, &dim) < 0 ? malformed(p) : add_dim(p, in, dim, where);
        if (r < 0)
            return r;
    }
    return 0;
}

enum { NAME = 1, DATATYPE = 2, SHAPE = 3, PARAMETERS = 4, CONTENTS = 5 };

static int input_field(struct parser *p, struct proto_input *in, const struct proto_field *f,
                       const char *where)
{
    struct proto_span type;
    struct parameter a;
    int r;
    switch (f->number) {
    case NAME:
        return take_text(p, f, &in->name);
    case DATATYPE:
        r = take_text(p, f, &type);
        if (r < 0)
            return r;
        in->datatype = proto_datatype_parse(type);
        return in->datatype ? 0 : fail(p, where, "the datatype is unknown");
    case SHAPE:
        return take_shape(p, in, f, where);
    case PARAMETERS:
        r = take_parameter(p, f, &a);
        return r < 0 ? r : no_shared_memory(p, &a, where);
    case CONTENTS:
        if (f->type != PROTO_WIRE_BYTES)
            return malformed(p);
        if (in->data.s)
            return fail(p, where, "contents are given twice");
        in->data = f->bytes;
        return 0;
    default:
        return 0;
    }
}

static int take_input(struct parser *p, struct proto_span of)
{
    struct proto_input in = {.name = {"", 0}, .form = PROTO_FORM_PACKED, .elements = 1};
    struct proto_wire w;
    struct proto_field f;
    char where[32];
    int r;
    snprintf(where, sizeof(where), "inputs[%d]", p->r->n_inputs);
    if (p->r->n_inputs == PROTO_INPUTS_MAX)
        return fail(p, "inputs", "too many of them");
    proto_wire_init(&w, of);
    while ((r = proto_wire_next(&w, &f)) > 0)
        if ((r = input_field(p, &in, &f, where)) < 0)
            return r;
    if (r < 0)
        return malformed(p);
    if (!in.name.len)
        return fail(p, where, "has no name");
    if (!in.datatype)
        return fail(p, where, "has no datatype");
    for (int i = 0; i < p->r->n_inputs; i++)
        if (proto_span_same(p->r->inputs[i].name, in.name))
            return fail(p, where, "has the name of another input");
    p->any_contents |= in.data.len > 0;
    p->r->inputs[p->r->n_inputs++] = in;
    return 0;
}

/* ---- outputs ---- */

static int output_parameter(struct parser *p, struct proto_output *out, const struct proto_field *f)
{
    struct parameter a;
    uint64_t classes;
    int r = take_parameter(p, f, &a);
    if (r < 0 || !proto_span_is(a.key, "classification"))
        return r < 0 ? r : no_shared_memory(p, &a, "outputs");
    r = count_of(p, &a, &classes);
    if (r == 0)
        out->classification = classes > 1000000 ? 1000000 : (int)classes;
    return r;
}

static int take_output(struct parser *p, struct proto_span of)
{
    struct proto_output out = {.name = {"", 0}, .binary = 1};
    struct proto_wire w;
    struct proto_field f;
    int r;
    if (p->r->n_outputs == PROTO_OUTPUTS_MAX)
        return fail(p, "outputs", "too many of them");
    proto_wire_init(&w, of);
    while ((r = proto_wire_next(&w, &f)) > 0) {
        if (f.number == 1)
            r = take_text(p, &f, &out.name);
        else if (f.number == 2)
            r = output_parameter(p, &out, &f);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return malformed(p);
    if (!out.name.len)
        return fail(p, "outputs", "one has no name");
    for (int i = 0; i < p->r->n_outputs; i++)
        if (proto_span_same(p->r->outputs[i].name, out.name))
            return fail(p, "outputs", "a name is given twice");
    p->r->outputs[p->r->n_outputs++] = out;
    return 0;
}

/* ---- the message ---- */

static int take_raw(struct parser *p, struct proto_span of)
{
    if (p->n_raw == PROTO_INPUTS_MAX)
        return fail(p, "raw_input_contents", "too many of them");
    p->raw[p->n_raw++] = of;
    return 0;
}

static int request_field(struct parser *p, const struct proto_field *f)
{
    if (f->number > 7)
        return 0;
    if (f->type != PROTO_WIRE_BYTES)
        return malformed(p);
    switch (f->number) {
    case 1:
        return take_text(p, f, &p->r->model_name);
    case 2:
        return take_text(p, f, &p->r->model_version);
    case 3:
        return take_text(p, f, &p->r->id);
    case 4:
        return request_parameter(p, f);
    case 5:
        return take_input(p, f->bytes);
    case 6:
        return take_output(p, f->bytes);
    default:
        return take_raw(p, f->bytes);
    }
}

static int share_raw(struct parser *p)
{
    struct proto_infer_request *r = p->r;
    char where[32];
    if (!r->n_inputs)
        return fail(p, "request", "has no inputs");
    if (p->n_raw && p->any_contents)
        return fail(p, "request", "has both raw_input_contents and contents");
    if (p->n_raw && p->n_raw != r->n_inputs)
        return fail(p, "raw_input_contents", "there must be one for each input");
    for (int i = 0; i < r->n_inputs; i++) {
        struct proto_input *in = &r->inputs[i];
        snprintf(where, sizeof(where), "inputs[%d]", i);
        if (p->n_raw) {
            in->form = PROTO_FORM_RAW;
            in->data = p->raw[i];
        } else if (in->datatype == PROTO_FP16 || in->datatype == PROTO_BF16) {
            return fail(p, where, "FP16 and BF16 travel in raw_input_contents alone");
        } else if (!in->data.s) {
            in->data = (struct proto_span){"", 0};
        }
    }
    return 0;
}

int proto_infer_parse_grpc(struct proto_infer_request *ret, const void *body, size_t len, char *err,
                           size_t errlen)
{
    struct proto_infer_request request = {
        .model_name = {"", 0}, .model_version = {"", 0}, .binary_data_output = 1};
    struct parser p = {.r = &request, .err = err, .errlen = errlen};
    struct proto_wire w;
    struct proto_field f;
    int r;
    proto_wire_init(&w, (struct proto_span){len ? body : "", len});
    while ((r = proto_wire_next(&w, &f)) > 0)
        if ((r = request_field(&p, &f)) < 0)
            return r;
    if (r < 0)
        return malformed(&p);
    r = share_raw(&p);
    if (r == 0)
        *ret = request;
    return r;
}

/* ---- the answer ---- */

typedef Inference__ModelInferResponse__InferOutputTensor output_message;

struct reply {
    Inference__ModelInferResponse m;
    output_message outputs[PROTO_OUTPUTS_MAX], *pointers[PROTO_OUTPUTS_MAX];
    ProtobufCBinaryData raw[PROTO_OUTPUTS_MAX];
    char *owned[PROTO_OUTPUTS_MAX]; /* BYTES tensors, serialised */
    char *id;
    int failed;
};

static void put_strings(struct reply *r, int i, const struct proto_tensor *t)
{
    struct proto_buf b = {0};
    size_t len = 0;
    for (size_t k = 0; k < t->elements; k++) {
        uint32_t n = (uint32_t)strlen(t->strings[k]);
        const unsigned char size[4] = {(unsigned char)n, (unsigned char)(n >> 8),
                                       (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
        proto_buf_put(&b, size, 4);
        proto_buf_put(&b, t->strings[k], n);
    }
    r->owned[i] = proto_buf_take(&b, &len);
    r->failed |= !r->owned[i];
    r->raw[i] = (ProtobufCBinaryData){len, (uint8_t *)r->owned[i]};
}

static void put_output(struct reply *r, int i, const struct proto_tensor *t)
{
    output_message *m = &r->outputs[i];
    inference__model_infer_response__infer_output_tensor__init(m);
    m->name = (char *)(uintptr_t)t->name;
    m->datatype = (char *)(uintptr_t)proto_datatype_name(t->datatype);
    m->n_shape = (size_t)t->n_dims;
    m->shape = (int64_t *)(uintptr_t)t->shape;
    r->pointers[i] = m;
    if (t->datatype == PROTO_BYTES)
        put_strings(r, i, t);
    else
        r->raw[i] = (ProtobufCBinaryData){t->elements * proto_datatype_size(t->datatype),
                                          (uint8_t *)(uintptr_t)t->data};
}

char *proto_infer_reply_grpc(const struct proto_infer_reply *from, size_t *ret_len)
{
    struct reply r = {.failed = from->n_outputs > PROTO_OUTPUTS_MAX};
    char *ret = NULL;
    inference__model_infer_response__init(&r.m);
    r.m.model_name = (char *)(uintptr_t)from->model_name;
    r.m.model_version = (char *)(uintptr_t)from->model_version;
    if (from->id.s) {
        r.id = strndup(from->id.s, from->id.len);
        r.failed |= !r.id;
        r.m.id = r.id;
    }
    for (int i = 0; i < from->n_outputs && !r.failed; i++)
        put_output(&r, i, &from->outputs[i]);
    r.m.n_outputs = r.m.n_raw_output_contents = (size_t)from->n_outputs;
    r.m.outputs = r.pointers;
    r.m.raw_output_contents = r.raw;
    if (!r.failed)
        ret = proto_pack(&r.m, ret_len);
    for (int i = 0; i < from->n_outputs && i < PROTO_OUTPUTS_MAX; i++)
        free(r.owned[i]);
    free(r.id);
    return ret;
}

/* ---- the answer of a stream ---- */

static size_t put_varint(unsigned char *to, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        to[n++] = (unsigned char)(v | 0x80);
    to[n++] = (unsigned char)v;
    return n;
}

/* `parameters` of a ModelInferResponse, as Triton's streams have it: {"triton_final_response":
 * true}. One message gets one answer, which is so its last. A field may stand behind all others. */
static const char final_response[] = "\x22\x1b"
                                     "\x0a\x15"
                                     "triton_final_response"
                                     "\x12\x02\x08\x01";
enum { FINAL_LEN = sizeof(final_response) - 1 };

char *proto_infer_stream_reply(const char *message, size_t len, size_t *ret_len)
{
    unsigned char head[16];
    size_t n = 0;
    head[n++] = 2 << 3 | PROTO_WIRE_BYTES; /* infer_response */
    n += put_varint(head + n, len + FINAL_LEN);
    char *ret = malloc(n + len + FINAL_LEN);
    if (!ret)
        return NULL;
    memcpy(ret, head, n);
    if (len)
        memcpy(ret + n, message, len);
    memcpy(ret + n + len, final_response, FINAL_LEN);
    *ret_len = n + len + FINAL_LEN;
    return ret;
}

struct proto_span proto_infer_id(const void *message, size_t len)
{
    struct proto_span ret = {NULL, 0};
    struct proto_wire w;
    struct proto_field f;
    proto_wire_init(&w, (struct proto_span){len ? message : "", len});
    while (proto_wire_next(&w, &f) > 0)
        if (f.number == 3 && f.type == PROTO_WIRE_BYTES && !memchr(f.bytes.s, 0, f.bytes.len) &&
            proto_utf8_is_valid(f.bytes.s, f.bytes.len))
            ret = f.bytes;
    return ret;
}

char *proto_infer_stream_error(const char *sentence, struct proto_span id, size_t *ret_len)
{
    Inference__ModelStreamInferResponse m = INFERENCE__MODEL_STREAM_INFER_RESPONSE__INIT;
    Inference__ModelInferResponse inside = INFERENCE__MODEL_INFER_RESPONSE__INIT;
    Inference__InferParameter yes = INFERENCE__INFER_PARAMETER__INIT;
    Inference__ModelInferResponse__ParametersEntry entry =
        INFERENCE__MODEL_INFER_RESPONSE__PARAMETERS_ENTRY__INIT;
    Inference__ModelInferResponse__ParametersEntry *entries[] = {&entry};
    char key[] = "triton_final_response";
    char *copy = id.s ? strndup(id.s, id.len) : NULL;
    yes.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
    yes.bool_param = 1;
    entry.key = key;
    entry.value = &yes;
    inside.parameters = entries;
    inside.n_parameters = 1;
    if (copy)
        inside.id = copy;
    m.error_message = (char *)(uintptr_t)sentence;
    m.infer_response = &inside;
    char *ret = id.s && !copy ? NULL : proto_pack(&m, ret_len);
    free(copy);
    return ret;
}
