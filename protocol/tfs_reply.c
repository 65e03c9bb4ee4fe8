/* Answers of TensorFlow Serving. */
#include <string.h>

#include "protocol/buffer.h"
#include "protocol/tfs.h"

static void put_text(struct proto_buf *b, const char *text)
{
    proto_buf_string(b, (struct proto_span){text, strlen(text)});
}

static void put_element(struct proto_buf *b, const struct proto_tensor *t, size_t i)
{
    switch (t->datatype) {
    case PROTO_FP32:
        proto_buf_float(b, ((const float *)t->data)[i]);
        break;
    case PROTO_BYTES:
        put_text(b, t->strings[i]);
        break;
    case PROTO_BOOL:
        proto_buf_text(b, proto_tensor_integer(t, i) ? "true" : "false");
        break;
    default:
        proto_buf_int(b, proto_tensor_integer(t, i));
        break;
    }
}

/* Row i of the batch, a list in a list for each dimension; a scalar if the tensor has no other. A
 * bracket opens or closes wherever the count of elements is a multiple of a dimension's size. */
static void put_row(struct proto_buf *b, const struct proto_tensor *t, int64_t i)
{
    size_t size[PROTO_DIMS_MAX + 1], width;
    size[t->n_dims] = 1;
    for (int d = t->n_dims - 1; d > 0; d--)
        size[d] = size[d + 1] * (size_t)t->shape[d];
    width = size[1];
    if (width == 0)
        proto_buf_text(b, "[]");
    for (size_t k = 0; k < width; k++) {
        if (k)
            proto_buf_text(b, ",");
        for (int d = 1; d < t->n_dims; d++)
            proto_buf_text(b, k % size[d] == 0 ? "[" : "");
        put_element(b, t, (size_t)i * width + k);
        for (int d = 1; d < t->n_dims; d++)
            proto_buf_text(b, (k + 1) % size[d] == 0 ? "]" : "");
    }
}

static void put_all_rows(struct proto_buf *b, const struct proto_tensor *t)
{
    proto_buf_text(b, "[");
    for (int64_t i = 0; i < t->shape[0]; i++) {
        if (i)
            proto_buf_text(b, ",");
        put_row(b, t, i);
    }
    proto_buf_text(b, "]");
}

/* {"name":value,…} over the outputs: of row i, or of all rows (i < 0). */
static void put_named(struct proto_buf *b, const struct proto_tensor *outputs, int n, int64_t i)
{
    for (int k = 0; k < n; k++) {
        proto_buf_text(b, k ? "," : "{");
        put_text(b, outputs[k].name);
        proto_buf_text(b, ":");
        if (i < 0)
            put_all_rows(b, &outputs[k]);
        else
            put_row(b, &outputs[k], i);
    }
    proto_buf_text(b, "}");
}

char *proto_tfs_predictions(enum proto_tfs_form form, const struct proto_tensor *outputs, int n,
                            size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, form == PROTO_TFS_COLUMN ? "{\"outputs\":" : "{\"predictions\":");
    if (n == 1) {
        put_all_rows(&b, outputs);
    } else if (form == PROTO_TFS_COLUMN) {
        put_named(&b, outputs, n, -1);
    } else {
        proto_buf_text(&b, "[");
        for (int64_t i = 0; i < outputs[0].shape[0]; i++) {
            if (i)
                proto_buf_text(&b, ",");
            put_named(&b, outputs, n, i);
        }
        proto_buf_text(&b, "]");
    }
    proto_buf_text(&b, "}");
    return proto_buf_take(&b, ret_len);
}

char *proto_tfs_result(const struct proto_tfs_class *classes, int n, int k, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"results\":[");
    for (int i = 0; i < n; i++) {
        proto_buf_text(&b, i ? ",[" : "[");
        for (int j = 0; j < k; j++) {
            const struct proto_tfs_class *c = &classes[(size_t)i * (size_t)k + (size_t)j];
            proto_buf_text(&b, j ? ",[" : "[");
            put_text(&b, c->label);
            proto_buf_text(&b, ",");
            proto_buf_float(&b, c->score);
            proto_buf_text(&b, "]");
        }
        proto_buf_text(&b, "]");
    }
    proto_buf_text(&b, "]}");
    return proto_buf_take(&b, ret_len);
}

char *proto_tfs_status(const struct proto_tfs_version *versions, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"model_version_status\":[");
    for (int i = 0; i < n; i++) {
        proto_buf_text(&b, i ? ",{\"version\":" : "{\"version\":");
        put_text(&b, versions[i].version);
        proto_buf_text(&b, ",\"state\":");
        put_text(&b, versions[i].state);
        proto_buf_text(&b, ",\"status\":{\"error_code\":");
        put_text(&b, *versions[i].message ? "UNKNOWN" : "OK");
        proto_buf_text(&b, ",\"error_message\":");
        put_text(&b, versions[i].message);
        proto_buf_text(&b, "}}");
    }
    proto_buf_text(&b, "]}");
    return proto_buf_take(&b, ret_len);
}

static const char *tensorflow_type(enum proto_datatype type)
{
    switch (type) {
    case PROTO_FP32:
        return "DT_FLOAT";
    case PROTO_UINT8:
        return "DT_UINT8";
    case PROTO_INT8:
        return "DT_INT8";
    case PROTO_BOOL:
        return "DT_BOOL";
    case PROTO_INT32:
        return "DT_INT32";
    case PROTO_INT64:
        return "DT_INT64";
    case PROTO_BYTES:
        return "DT_STRING";
    default:
        return "DT_INVALID";
    }
}

static void put_signature_tensor(struct proto_buf *b, const struct proto_tensor *t)
{
    put_text(b, t->name);
    proto_buf_text(b, ":{\"dtype\":");
    put_text(b, tensorflow_type(t->datatype));
    proto_buf_text(b, ",\"tensor_shape\":{\"dim\":[");
    for (int i = 0; i < t->n_dims; i++) {
        /* The unknown batch is -1; TensorFlow writes sizes as strings. */
        proto_buf_text(b, i ? ",{\"size\":\"" : "{\"size\":\"");
        proto_buf_int(b, t->shape[i]);
        proto_buf_text(b, "\",\"name\":\"\"}");
    }
    proto_buf_text(b, "],\"unknown_rank\":false},\"name\":");
    put_text(b, t->name);
    proto_buf_text(b, "}");
}

char *proto_tfs_metadata(const char *name, const char *version, const struct proto_tensor *input,
                         const struct proto_tensor *outputs, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"model_spec\":{\"name\":");
    put_text(&b, name);
    proto_buf_text(&b, ",\"signature_name\":\"\",\"version\":");
    put_text(&b, version);
    proto_buf_text(&b, "},\"metadata\":{\"signature_def\":{\"signature_def\":{\"serving_default\":{"
                       "\"inputs\":{");
    put_signature_tensor(&b, input);
    proto_buf_text(&b, "},\"outputs\":{");
    for (int i = 0; i < n; i++) {
        if (i)
            proto_buf_text(&b, ",");
        put_signature_tensor(&b, &outputs[i]);
    }
    proto_buf_text(&b, "},\"method_name\":\"tensorflow/serving/predict\"}}}}}");
    return proto_buf_take(&b, ret_len);
}
