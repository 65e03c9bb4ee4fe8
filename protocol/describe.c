/* Field names and their order are those of Triton's answers. */
#include "protocol/describe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/buffer.h"
#include "protocol/json_scan.h"

static void put_string(struct proto_buf *b, const char *text)
{
    proto_buf_string(b, (struct proto_span){text, strlen(text)});
}

static void put_text(struct proto_buf *b, const char *key, const char *value)
{
    proto_buf_text(b, key);
    put_string(b, value);
}

static void put_number(struct proto_buf *b, const char *key, int64_t value)
{
    proto_buf_text(b, key);
    proto_buf_int(b, value);
}

/* ---- server and model ---- */

char *proto_describe_server(const struct proto_server_metadata *m, size_t *ret_len)
{
    struct proto_buf b = {0};
    put_text(&b, "{\"name\":", m->name);
    put_text(&b, ",\"version\":", m->version);
    proto_buf_text(&b, ",\"extensions\":[");
    for (int i = 0; i < m->n_extensions; i++)
        put_text(&b, i ? "," : "", m->extensions[i]);
    proto_buf_text(&b, "]}");
    return proto_buf_take(&b, ret_len);
}

static void put_tensors(struct proto_buf *b, const char *key, const struct proto_tensor *t, int n)
{
    proto_buf_text(b, key);
    for (int i = 0; i < n; i++) {
        put_text(b, i ? ",{\"name\":" : "{\"name\":", t[i].name);
        put_text(b, ",\"datatype\":", proto_datatype_name(t[i].datatype));
        proto_buf_text(b, ",\"shape\":[");
        for (int d = 0; d < t[i].n_dims; d++)
            put_number(b, d ? "," : "", t[i].shape[d]);
        proto_buf_text(b, "]}");
    }
    proto_buf_text(b, "]");
}

char *proto_describe_model(const struct proto_model_metadata *m, size_t *ret_len)
{
    struct proto_buf b = {0};
    put_text(&b, "{\"name\":", m->name);
    put_text(&b, ",\"versions\":[", m->version);
    put_text(&b, "],\"platform\":", m->platform);
    put_tensors(&b, ",\"inputs\":[", m->inputs, m->n_inputs);
    put_tensors(&b, ",\"outputs\":[", m->outputs, m->n_outputs);
    proto_buf_text(&b, ",\"properties\":{");
    for (int i = 0; i < m->n_properties; i++) {
        put_text(&b, i ? "," : "", m->properties[i].key);
        put_text(&b, ":", m->properties[i].value);
    }
    proto_buf_text(&b, "}}");
    return proto_buf_take(&b, ret_len);
}

/* ---- configuration ---- */

static const char *triton_type(enum proto_datatype type)
{
    switch (type) {
    case PROTO_FP32:
        return "TYPE_FP32";
    case PROTO_UINT8:
        return "TYPE_UINT8";
    case PROTO_INT8:
        return "TYPE_INT8";
    case PROTO_INT32:
        return "TYPE_INT32";
    case PROTO_INT64:
        return "TYPE_INT64";
    case PROTO_BOOL:
        return "TYPE_BOOL";
    case PROTO_BYTES:
        return "TYPE_STRING";
    default:
        return "TYPE_INVALID";
    }
}

/* Without the batch, which max_batch_size implies. Triton allows no empty dims: a number for each
 * image is [1], reshaped (docs/user_guide/model_configuration.md, "Reshape"). */
static void put_dims(struct proto_buf *b, const struct proto_tensor *t)
{
    if (t->n_dims == 1) {
        proto_buf_text(b, ",\"dims\":[1],\"reshape\":{\"shape\":[]}");
        return;
    }
    proto_buf_text(b, ",\"dims\":[");
    for (int d = 1; d < t->n_dims; d++)
        put_number(b, d > 1 ? "," : "", t->shape[d]);
    proto_buf_text(b, "]");
}

static void put_config_tensors(struct proto_buf *b, const struct proto_model_metadata *m)
{
    proto_buf_text(b, ",\"input\":[");
    for (int i = 0; i < m->n_inputs; i++) {
        put_text(b, i ? ",{\"name\":" : "{\"name\":", m->inputs[i].name);
        put_text(b, ",\"data_type\":", triton_type(m->inputs[i].datatype));
        proto_buf_text(b, ",\"format\":\"FORMAT_NHWC\"");
        put_dims(b, &m->inputs[i]);
        proto_buf_text(b, ",\"is_shape_tensor\":false,\"allow_ragged_batch\":false,"
                          "\"optional\":false}");
    }
    proto_buf_text(b, "],\"output\":[");
    for (int i = 0; i < m->n_outputs; i++) {
        put_text(b, i ? ",{\"name\":" : "{\"name\":", m->outputs[i].name);
        put_text(b, ",\"data_type\":", triton_type(m->outputs[i].datatype));
        put_dims(b, &m->outputs[i]);
        proto_buf_text(b, ",\"label_filename\":\"\",\"is_shape_tensor\":false}");
    }
    proto_buf_text(b, "]");
}

static void put_batching(struct proto_buf *b, const struct proto_model_metadata *m)
{
    proto_buf_text(b, ",\"dynamic_batching\":{\"preferred_batch_size\":[],"
                      "\"max_queue_delay_microseconds\":0,\"preserve_ordering\":false");
    put_number(b, ",\"priority_levels\":", m->priority_levels);
    put_number(b, ",\"default_priority_level\":", m->default_priority);
    proto_buf_text(b, ",\"default_queue_policy\":{\"timeout_action\":\"REJECT\"");
    put_number(b, ",\"default_timeout_microseconds\":", (int64_t)m->default_timeout_us);
    put_number(b, ",\"allow_timeout_override\":true,\"max_queue_size\":", m->max_queue);
    proto_buf_text(b, "}}");
}

char *proto_describe_config(const struct proto_model_metadata *m, size_t *ret_len)
{
    struct proto_buf b = {0};
    put_text(&b, "{\"name\":", m->name);
    put_text(&b, ",\"platform\":", m->platform);
    put_text(&b, ",\"backend\":", m->backend);
    proto_buf_text(&b, ",\"version_policy\":{\"latest\":{\"num_versions\":1}}");
    put_number(&b, ",\"max_batch_size\":", m->max_batch);
    put_config_tensors(&b, m);
    put_text(&b, ",\"instance_group\":[{\"name\":", m->name);
    put_number(&b, ",\"kind\":\"KIND_CPU\",\"count\":", m->instances);
    proto_buf_text(&b, ",\"gpus\":[]}],\"default_model_filename\":\"\"");
    put_batching(&b, m);
    proto_buf_text(&b, ",\"parameters\":{");
    for (int i = 0; i < m->n_properties; i++) {
        put_text(&b, i ? "," : "", m->properties[i].key);
        put_text(&b, ":{\"string_value\":", m->properties[i].value);
        proto_buf_text(&b, "}");
    }
    proto_buf_text(&b, "},\"model_warmup\":[]}");
    return proto_buf_take(&b, ret_len);
}

/* ---- statistics ---- */

static void put_duration(struct proto_buf *b, const char *key, struct proto_duration d)
{
    proto_buf_text(b, key);
    put_number(b, ":{\"count\":", (int64_t)d.count);
    put_number(b, ",\"ns\":", (int64_t)d.ns);
    proto_buf_text(b, "}");
}

static void put_batch(struct proto_buf *b, const struct proto_batch_statistics *s)
{
    put_number(b, "{\"batch_size\":", (int64_t)s->batch_size);
    put_duration(b, ",\"compute_input\"", s->compute_input);
    put_duration(b, ",\"compute_infer\"", s->compute_infer);
    put_duration(b, ",\"compute_output\"", s->compute_output);
    proto_buf_text(b, "}");
}

static void put_statistics(struct proto_buf *b, const struct proto_model_statistics *s)
{
    const struct proto_duration none = {0, 0};
    put_text(b, "{\"name\":", s->name);
    put_text(b, ",\"version\":", s->version);
    put_number(b, ",\"last_inference\":", (int64_t)s->last_inference_ms);
    put_number(b, ",\"inference_count\":", (int64_t)s->inference_count);
    put_number(b, ",\"execution_count\":", (int64_t)s->execution_count);
    put_duration(b, ",\"inference_stats\":{\"success\"", s->success);
    put_duration(b, ",\"fail\"", s->fail);
    put_duration(b, ",\"queue\"", s->queue);
    put_duration(b, ",\"compute_input\"", s->compute_input);
    put_duration(b, ",\"compute_infer\"", s->compute_infer);
    put_duration(b, ",\"compute_output\"", s->compute_output);
    put_duration(b, ",\"cache_hit\"", none);
    put_duration(b, ",\"cache_miss\"", none);
    proto_buf_text(b, "},\"batch_stats\":[");
    for (int i = 0; i < s->n_batches; i++) {
        proto_buf_text(b, i ? "," : "");
        put_batch(b, &s->batches[i]);
    }
    put_number(b, "],\"memory_usage\":[{\"type\":\"CPU\",\"id\":0,\"byte_size\":",
               (int64_t)s->memory_bytes);
    proto_buf_text(b, "}]}");
}

char *proto_describe_statistics(const struct proto_model_statistics *s, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"model_stats\":[");
    for (int i = 0; i < n; i++) {
        proto_buf_text(&b, i ? "," : "");
        put_statistics(&b, &s[i]);
    }
    proto_buf_text(&b, "]}");
    return proto_buf_take(&b, ret_len);
}

/* ---- the rest ---- */

char *proto_describe_index(const struct proto_model_index *m, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "[");
    for (int i = 0; i < n; i++) {
        put_text(&b, i ? ",{\"name\":" : "{\"name\":", m[i].name);
        put_text(&b, ",\"version\":", m[i].version);
        put_text(&b, ",\"state\":", m[i].state);
        put_text(&b, ",\"reason\":", m[i].reason);
        proto_buf_text(&b, "}");
    }
    proto_buf_text(&b, "]");
    return proto_buf_take(&b, ret_len);
}

static const char *word(int yes)
{
    return yes ? "true" : "false";
}

char *proto_describe_log(const struct proto_log_settings *l, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"log_file\":\"\",\"log_info\":");
    proto_buf_text(&b, word(l->info));
    proto_buf_text(&b, ",\"log_warning\":");
    proto_buf_text(&b, word(l->warning));
    proto_buf_text(&b, ",\"log_error\":");
    proto_buf_text(&b, word(l->error));
    put_number(&b, ",\"log_verbose_level\":", l->verbose_level);
    proto_buf_text(&b, ",\"log_format\":\"default\"}");
    return proto_buf_take(&b, ret_len);
}

char *proto_describe_ready(const char *name, int ready, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{");
    if (name)
        put_text(&b, "\"name\":", name);
    proto_buf_text(&b, name ? ",\"ready\":" : "\"ready\":");
    proto_buf_text(&b, word(ready));
    proto_buf_text(&b, "}");
    return proto_buf_take(&b, ret_len);
}

/* ---- requests ---- */

typedef int member_fn(struct proto_scan *scan, struct proto_span key, void *arg);

static int each_member(struct proto_scan *scan, member_fn *fn, void *arg)
{
    struct proto_span key;
    int n = 0, r = proto_scan_enter_object(scan);
    while (r >= 0 && (r = proto_scan_member(scan, &n, &key)) > 0)
        r = fn(scan, key, arg);
    return r;
}

static int is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", s[i]) || !s[i])
            return 0;
    return 1;
}

static int parse_object(const void *body, size_t len, member_fn *fn, void *arg, char *err,
                        size_t errlen)
{
    struct proto_scan scan;
    if (is_blank(body, len))
        return 0;
    proto_scan_init(&scan, body, len, err, errlen);
    int r = each_member(&scan, fn, arg);
    return r < 0 ? r : proto_scan_finish(&scan);
}

static int index_member(struct proto_scan *scan, struct proto_span key, void *arg)
{
    return proto_span_is(key, "ready") ? proto_scan_bool(scan, arg) : proto_scan_skip(scan, NULL);
}

int proto_index_parse(const void *body, size_t len, int *ret_ready, char *err, size_t errlen)
{
    int ready = 0, r = parse_object(body, len, index_member, &ready, err, errlen);
    if (r >= 0)
        *ret_ready = ready;
    return r;
}

static int load_parameter(struct proto_scan *scan, struct proto_span key, void *arg)
{
    int *override = arg;
    if (proto_span_is(key, "config") || (key.len >= 5 && !memcmp(key.s, "file:", 5)))
        *override = 1;
    return proto_scan_skip(scan, NULL);
}

static int load_member(struct proto_scan *scan, struct proto_span key, void *arg)
{
    return proto_span_is(key, "parameters") ? each_member(scan, load_parameter, arg)
                                            : proto_scan_skip(scan, NULL);
}

int proto_load_parse(const void *body, size_t len, int *ret_override, char *err, size_t errlen)
{
    int override = 0, r = parse_object(body, len, load_member, &override, err, errlen);
    if (r >= 0)
        *ret_override = override;
    return r;
}

static int log_member(struct proto_scan *scan, struct proto_span key, void *arg)
{
    struct proto_log_settings *l = arg;
    int64_t level;
    if (proto_span_is(key, "log_info"))
        return proto_scan_bool(scan, &l->info);
    if (proto_span_is(key, "log_warning"))
        return proto_scan_bool(scan, &l->warning);
    if (proto_span_is(key, "log_error"))
        return proto_scan_bool(scan, &l->error);
    if (!proto_span_is(key, "log_verbose_level"))
        return proto_scan_fail(scan, "this log setting cannot be changed");
    int r = proto_scan_int(scan, &level);
    if (r >= 0)
        l->verbose_level = level > 0;
    return r;
}

int proto_log_parse(const void *body, size_t len, struct proto_log_settings *ret, char *err,
                    size_t errlen)
{
    struct proto_log_settings l = *ret;
    int r = parse_object(body, len, log_member, &l, err, errlen);
    if (r >= 0)
        *ret = l;
    return r;
}
