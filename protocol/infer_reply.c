/* Answer of OIP v2 REST. Order of the fields as other servers write them: id, model_name,
 * model_version, outputs; in an output name, datatype, shape, parameters, data. */
#include <string.h>

#include "protocol/buffer.h"
#include "protocol/infer.h"

static struct proto_span of(const char *text)
{
    return (struct proto_span){text, strlen(text)};
}

static void put_member(struct proto_buf *b, const char *key, struct proto_span value)
{
    proto_buf_text(b, key);
    proto_buf_string(b, value);
}

static void put_shape(struct proto_buf *b, const struct proto_tensor *t)
{
    proto_buf_text(b, ",\"shape\":[");
    for (int i = 0; i < t->n_dims; i++) {
        if (i)
            proto_buf_text(b, ",");
        proto_buf_int(b, t->shape[i]);
    }
    proto_buf_text(b, "]");
}

static void put_data(struct proto_buf *b, const struct proto_tensor *t)
{
    if (t->datatype == PROTO_FP32) {
        proto_buf_floats(b, t->data, t->elements);
        return;
    }
    proto_buf_text(b, "[");
    for (size_t i = 0; i < t->elements; i++) {
        if (i)
            proto_buf_text(b, ",");
        if (t->datatype == PROTO_BYTES)
            proto_buf_string(b, of(t->strings[i]));
        else if (t->datatype == PROTO_BOOL)
            proto_buf_text(b, proto_tensor_integer(t, i) ? "true" : "false");
        else
            proto_buf_int(b, proto_tensor_integer(t, i));
    }
    proto_buf_text(b, "]");
}

static size_t binary_size(const struct proto_tensor *t)
{
    size_t size = t->elements * proto_datatype_size(t->datatype);
    for (size_t i = 0; t->datatype == PROTO_BYTES && i < t->elements; i++)
        size += 4 + strlen(t->strings[i]);
    return size;
}

static void put_binary(struct proto_buf *b, const struct proto_tensor *t)
{
    if (t->datatype != PROTO_BYTES) {
        proto_buf_put(b, t->data, binary_size(t));
        return;
    }
    for (size_t i = 0; i < t->elements; i++) {
        uint32_t n = (uint32_t)strlen(t->strings[i]);
        const unsigned char len[4] = {(unsigned char)n, (unsigned char)(n >> 8),
                                      (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
        proto_buf_put(b, len, 4);
        proto_buf_put(b, t->strings[i], n);
    }
}

void proto_infer_put_tensor(struct proto_buf *b, const struct proto_tensor *t)
{
    put_member(b, "{\"name\":", of(t->name));
    put_member(b, ",\"datatype\":", of(proto_datatype_name(t->datatype)));
    put_shape(b, t);
    if (t->binary) {
        proto_buf_text(b, ",\"parameters\":{\"binary_data_size\":");
        proto_buf_int(b, (int64_t)binary_size(t));
        proto_buf_text(b, "}}");
    } else {
        proto_buf_text(b, ",\"data\":");
        put_data(b, t);
        proto_buf_text(b, "}");
    }
}

char *proto_infer_reply_json(const struct proto_infer_reply *r, size_t *ret_len,
                             size_t *ret_header_len)
{
    struct proto_buf b = {0};
    int any_binary = 0;
    proto_buf_text(&b, "{");
    if (r->id.s) {
        put_member(&b, "\"id\":", r->id);
        proto_buf_text(&b, ",");
    }
    put_member(&b, "\"model_name\":", of(r->model_name));
    put_member(&b, ",\"model_version\":", of(r->model_version));
    proto_buf_text(&b, ",\"outputs\":[");
    for (int i = 0; i < r->n_outputs; i++) {
        if (i)
            proto_buf_text(&b, ",");
        proto_infer_put_tensor(&b, &r->outputs[i]);
        any_binary |= r->outputs[i].binary;
    }
    proto_buf_text(&b, "]}");
    size_t header = b.len;
    for (int i = 0; i < r->n_outputs; i++) {
        if (r->outputs[i].binary)
            put_binary(&b, &r->outputs[i]);
    }
    char *ret = proto_buf_take(&b, ret_len);
    if (ret)
        *ret_header_len = any_binary ? header : 0;
    return ret;
}
