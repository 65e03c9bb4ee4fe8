/* The messages of describe.h, built out of blocks that go together once they are packed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inference.pb-c.h"
#include "protocol/describe.h"
#include "protocol/unpack.h"

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; /* protobuf-c's strings are not const, though packing only reads */
}

/* n messages of a type and the pointers to them, as protobuf-c wants repeated fields. NULL: out of
 * memory; finish() sees that. */
static void *new_list(struct proto_unpacked *u, const ProtobufCMessageDescriptor *type, int n)
{
    void **list = proto_unpack_alloc(u, (size_t)n * sizeof(*list) + 1);
    char *all = proto_unpack_alloc(u, (size_t)n * type->sizeof_message + 1);
    if (!list || !all)
        return NULL;
    for (int i = 0; i < n; i++) {
        list[i] = all + (size_t)i * type->sizeof_message;
        protobuf_c_message_init(type, list[i]);
    }
    return list;
}

static void *new_one(struct proto_unpacked *u, const ProtobufCMessageDescriptor *type)
{
    void *one = proto_unpack_alloc(u, type->sizeof_message);
    if (one)
        protobuf_c_message_init(type, one);
    return one;
}

static char *finish(struct proto_unpacked *u, const void *message, size_t *ret_len)
{
    char *ret = u->failed ? NULL : proto_pack(message, ret_len);
    proto_unpack_finish(u);
    return ret;
}

/* ---- server and model ---- */

char *proto_describe_server_grpc(const struct proto_server_metadata *from, size_t *ret_len)
{
    Inference__ServerMetadataResponse m = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
    m.name = text(from->name);
    m.version = text(from->version);
    m.n_extensions = (size_t)from->n_extensions;
    m.extensions = (char **)(uintptr_t)from->extensions;
    return proto_pack(&m, ret_len);
}

typedef Inference__ModelMetadataResponse__TensorMetadata tensor_message;
static tensor_message **tensors(struct proto_unpacked *u, const struct proto_tensor *from, int n)
{
    tensor_message **list =
        new_list(u, &inference__model_metadata_response__tensor_metadata__descriptor, n);
    for (int i = 0; list && i < n; i++) {
        list[i]->name = text(from[i].name);
        list[i]->datatype = text(proto_datatype_name(from[i].datatype));
        list[i]->n_shape = (size_t)from[i].n_dims;
        list[i]->shape = (int64_t *)(uintptr_t)from[i].shape;
    }
    return list;
}

char *proto_describe_model_grpc(const struct proto_model_metadata *from, size_t *ret_len)
{
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    Inference__ModelMetadataResponse m = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
    char *version = text(from->version);
    m.name = text(from->name);
    m.versions = &version;
    m.n_versions = 1;
    m.platform = text(from->platform);
    m.inputs = tensors(&u, from->inputs, from->n_inputs);
    m.n_inputs = (size_t)from->n_inputs;
    m.outputs = tensors(&u, from->outputs, from->n_outputs);
    m.n_outputs = (size_t)from->n_outputs;
    m.properties = new_list(&u, &inference__model_metadata_response__properties_entry__descriptor,
                            from->n_properties);
    m.n_properties = (size_t)from->n_properties;
    for (int i = 0; m.properties && i < from->n_properties; i++) {
        m.properties[i]->key = text(from->properties[i].key);
        m.properties[i]->value = text(from->properties[i].value);
    }
    return finish(&u, &m, ret_len);
}

/* ---- configuration ---- */

static Inference__DataType triton_type(enum proto_datatype type)
{
    switch (type) {
    case PROTO_FP32:
        return INFERENCE__DATA_TYPE__TYPE_FP32;
    case PROTO_UINT8:
        return INFERENCE__DATA_TYPE__TYPE_UINT8;
    case PROTO_INT8:
        return INFERENCE__DATA_TYPE__TYPE_INT8;
    case PROTO_INT32:
        return INFERENCE__DATA_TYPE__TYPE_INT32;
    case PROTO_INT64:
        return INFERENCE__DATA_TYPE__TYPE_INT64;
    case PROTO_BOOL:
        return INFERENCE__DATA_TYPE__TYPE_BOOL;
    case PROTO_BYTES:
        return INFERENCE__DATA_TYPE__TYPE_STRING;
    default:
        return INFERENCE__DATA_TYPE__TYPE_INVALID;
    }
}

/* Without the batch, which max_batch_size implies; a number for each image is [1], reshaped. */
static void add_dims(struct proto_unpacked *u, const struct proto_tensor *t, size_t *ret_n,
                     int64_t **ret_dims, Inference__ModelTensorReshape **ret_reshape)
{
    static const int64_t one[] = {1};
    int scalar = t->n_dims == 1;
    *ret_n = scalar ? 1 : (size_t)t->n_dims - 1;
    *ret_dims = (int64_t *)(uintptr_t)(scalar ? one : t->shape + 1);
    if (scalar)
        *ret_reshape = new_one(u, &inference__model_tensor_reshape__descriptor);
}

static void add_config_tensors(struct proto_unpacked *u, Inference__ModelConfig *c,
                               const struct proto_model_metadata *from)
{
    c->input = new_list(u, &inference__model_input__descriptor, from->n_inputs);
    c->n_input = (size_t)from->n_inputs;
    for (int i = 0; c->input && i < from->n_inputs; i++) {
        const struct proto_tensor *t = &from->inputs[i];
        c->input[i]->name = text(t->name);
        c->input[i]->data_type = triton_type(t->datatype);
        c->input[i]->format = INFERENCE__MODEL_INPUT__FORMAT__FORMAT_NHWC;
        c->input[i]->n_dims = (size_t)t->n_dims - 1; /* the batch is implied by max_batch_size */
        c->input[i]->dims = (int64_t *)(uintptr_t)(t->shape + 1);
    }
    c->output = new_list(u, &inference__model_output__descriptor, from->n_outputs);
    c->n_output = (size_t)from->n_outputs;
    for (int i = 0; c->output && i < from->n_outputs; i++) {
        const struct proto_tensor *t = &from->outputs[i];
        c->output[i]->name = text(t->name);
        c->output[i]->data_type = triton_type(t->datatype);
        add_dims(u, t, &c->output[i]->n_dims, &c->output[i]->dims, &c->output[i]->reshape);
    }
}

static void add_batching(struct proto_unpacked *u, Inference__ModelConfig *c,
                         const struct proto_model_metadata *from)
{
    Inference__ModelDynamicBatching *b = new_one(u, &inference__model_dynamic_batching__descriptor);
    Inference__ModelQueuePolicy *q = new_one(u, &inference__model_queue_policy__descriptor);
    if (!b || !q)
        return;
    b->priority_levels = (uint64_t)from->priority_levels;
    b->default_priority_level = (uint64_t)from->default_priority;
    b->default_queue_policy = q;
    q->default_timeout_microseconds = from->default_timeout_us;
    q->allow_timeout_override = 1;
    q->max_queue_size = (uint32_t)from->max_queue;
    c->dynamic_batching = b;
}

static void add_policies(struct proto_unpacked *u, Inference__ModelConfig *c,
                         const struct proto_model_metadata *from)
{
    Inference__ModelVersionPolicy *p = new_one(u, &inference__model_version_policy__descriptor);
    Inference__ModelVersionPolicy__Latest *latest =
        new_one(u, &inference__model_version_policy__latest__descriptor);
    if (p && latest) {
        latest->num_versions = 1;
        p->policy_choice_case = INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_LATEST;
        p->latest = latest;
        c->version_policy = p;
    }
    c->instance_group = new_list(u, &inference__model_instance_group__descriptor, 1);
    c->n_instance_group = 1;
    if (c->instance_group) {
        c->instance_group[0]->name = text(from->name);
        c->instance_group[0]->count = from->instances;
        c->instance_group[0]->kind = INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_CPU;
    }
}

static void add_parameters(struct proto_unpacked *u, Inference__ModelConfig *c,
                           const struct proto_model_metadata *from)
{
    int n = from->n_properties;
    Inference__ModelParameter **values = new_list(u, &inference__model_parameter__descriptor, n);
    c->parameters = new_list(u, &inference__model_config__parameters_entry__descriptor, n);
    c->n_parameters = (size_t)n;
    for (int i = 0; values && c->parameters && i < n; i++) {
        values[i]->string_value = text(from->properties[i].value);
        c->parameters[i]->key = text(from->properties[i].key);
        c->parameters[i]->value = values[i];
    }
}

char *proto_describe_config_grpc(const struct proto_model_metadata *from, size_t *ret_len)
{
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    Inference__ModelConfigResponse m = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
    Inference__ModelConfig c = INFERENCE__MODEL_CONFIG__INIT;
    c.name = text(from->name);
    c.platform = text(from->platform);
    c.backend = text(from->backend);
    c.max_batch_size = from->max_batch;
    add_policies(&u, &c, from);
    add_config_tensors(&u, &c, from);
    add_batching(&u, &c, from);
    add_parameters(&u, &c, from);
    m.config = &c;
    return finish(&u, &m, ret_len);
}

/* ---- statistics ---- */

static Inference__StatisticDuration *duration(struct proto_unpacked *u, struct proto_duration from)
{
    Inference__StatisticDuration *d = new_one(u, &inference__statistic_duration__descriptor);
    if (d) {
        d->count = from.count;
        d->ns = from.ns;
    }
    return d;
}

static void add_durations(struct proto_unpacked *u, Inference__ModelStatistics *m,
                          const struct proto_model_statistics *from)
{
    const struct proto_duration none = {0, 0};
    Inference__InferStatistics *s = new_one(u, &inference__infer_statistics__descriptor);
    if (!s)
        return;
    s->success = duration(u, from->success);
    s->fail = duration(u, from->fail);
    s->queue = duration(u, from->queue);
    s->compute_input = duration(u, from->compute_input);
    s->compute_infer = duration(u, from->compute_infer);
    s->compute_output = duration(u, from->compute_output);
    s->cache_hit = duration(u, none);
    s->cache_miss = duration(u, none);
    m->inference_stats = s;
}

static void add_batches(struct proto_unpacked *u, Inference__ModelStatistics *m,
                        const struct proto_model_statistics *from)
{
    m->batch_stats = new_list(u, &inference__infer_batch_statistics__descriptor, from->n_batches);
    m->n_batch_stats = (size_t)from->n_batches;
    for (int i = 0; m->batch_stats && i < from->n_batches; i++) {
        const struct proto_batch_statistics *b = &from->batches[i];
        m->batch_stats[i]->batch_size = b->batch_size;
        m->batch_stats[i]->compute_input = duration(u, b->compute_input);
        m->batch_stats[i]->compute_infer = duration(u, b->compute_infer);
        m->batch_stats[i]->compute_output = duration(u, b->compute_output);
    }
}

static void add_memory(struct proto_unpacked *u, Inference__ModelStatistics *m, uint64_t bytes)
{
    m->memory_usage = new_list(u, &inference__memory_usage__descriptor, 1);
    m->n_memory_usage = 1;
    if (m->memory_usage) {
        m->memory_usage[0]->type = text("CPU");
        m->memory_usage[0]->byte_size = bytes;
    }
}

char *proto_describe_statistics_grpc(const struct proto_model_statistics *from, int n,
                                     size_t *ret_len)
{
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    Inference__ModelStatisticsResponse m = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
    m.model_stats = new_list(&u, &inference__model_statistics__descriptor, n);
    m.n_model_stats = (size_t)n;
    for (int i = 0; m.model_stats && i < n; i++) {
        Inference__ModelStatistics *s = m.model_stats[i];
        s->name = text(from[i].name);
        s->version = text(from[i].version);
        s->last_inference = from[i].last_inference_ms;
        s->inference_count = from[i].inference_count;
        s->execution_count = from[i].execution_count;
        add_durations(&u, s, &from[i]);
        add_batches(&u, s, &from[i]);
        add_memory(&u, s, from[i].memory_bytes);
    }
    return finish(&u, &m, ret_len);
}

/* ---- the rest ---- */

char *proto_describe_index_grpc(const struct proto_model_index *from, int n, size_t *ret_len)
{
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    Inference__RepositoryIndexResponse m = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
    m.models = new_list(&u, &inference__repository_index_response__model_index__descriptor, n);
    m.n_models = (size_t)n;
    for (int i = 0; m.models && i < n; i++) {
        m.models[i]->name = text(from[i].name);
        m.models[i]->version = text(from[i].version);
        m.models[i]->state = text(from[i].state);
        m.models[i]->reason = text(from[i].reason);
    }
    return finish(&u, &m, ret_len);
}

int proto_index_parse_grpc(const void *message, size_t len, int *ret_ready)
{
    struct proto_unpacked u;
    int rc = proto_unpack(&u, &inference__repository_index_request__descriptor, message, len);
    if (rc < 0)
        return rc;
    *ret_ready = ((const Inference__RepositoryIndexRequest *)u.message)->ready;
    proto_unpack_finish(&u);
    return 0;
}

int proto_load_parse_grpc(const void *message, size_t len, char *name, size_t name_len,
                          int *ret_override)
{
    struct proto_unpacked u;
    int rc = proto_unpack(&u, &inference__repository_model_load_request__descriptor, message, len);
    if (rc < 0)
        return rc;
    const Inference__RepositoryModelLoadRequest *m = u.message;
    int override = 0;
    for (size_t i = 0; i < m->n_parameters; i++) {
        const char *key = m->parameters[i]->key;
        override |= strcmp(key, "config") == 0 || strncmp(key, "file:", 5) == 0;
    }
    if (snprintf(name, name_len, "%s", m->model_name) >= (int)name_len)
        rc = -EINVAL;
    else
        *ret_override = override;
    proto_unpack_finish(&u);
    return rc;
}

typedef Inference__LogSettingsResponse__SettingValue setting_message;
enum { SETTINGS = 6 };

char *proto_describe_log_grpc(const struct proto_log_settings *l, size_t *ret_len)
{
    static const char *const keys[SETTINGS] = {"log_info",          "log_warning", "log_error",
                                               "log_verbose_level", "log_file",    "log_format"};
    const int flags[3] = {l->info, l->warning, l->error};
    struct proto_unpacked u = {.left = PROTO_UNPACK_MEMORY};
    Inference__LogSettingsResponse m = INFERENCE__LOG_SETTINGS_RESPONSE__INIT;
    setting_message **values =
        new_list(&u, &inference__log_settings_response__setting_value__descriptor, SETTINGS);
    m.settings =
        new_list(&u, &inference__log_settings_response__settings_entry__descriptor, SETTINGS);
    m.n_settings = SETTINGS;
    for (int i = 0; values && m.settings && i < SETTINGS; i++) {
        m.settings[i]->key = text(keys[i]);
        m.settings[i]->value = values[i];
        values[i]->parameter_choice_case =
            i < 3 ? INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_BOOL_PARAM
            : i == 3
                ? INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_UINT32_PARAM
                : INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_STRING_PARAM;
        if (i < 3)
            values[i]->bool_param = flags[i];
        else if (i == 3)
            values[i]->uint32_param = (uint32_t)l->verbose_level;
        else
            values[i]->string_param = text(i == 4 ? "" : "default");
    }
    return finish(&u, &m, ret_len);
}

typedef Inference__LogSettingsRequest__SettingsEntry asked_message;

static int take_setting(const asked_message *e, struct proto_log_settings *ret, char *err,
                        size_t errlen)
{
    const Inference__LogSettingsRequest__SettingValue *v = e->value;
    int kind = v ? (int)v->parameter_choice_case : 0;
    int *flag = strcmp(e->key, "log_info") == 0      ? &ret->info
                : strcmp(e->key, "log_warning") == 0 ? &ret->warning
                : strcmp(e->key, "log_error") == 0   ? &ret->error
                                                     : NULL;
    if (flag &&
        kind == INFERENCE__LOG_SETTINGS_REQUEST__SETTING_VALUE__PARAMETER_CHOICE_BOOL_PARAM) {
        *flag = v->bool_param;
        return 0;
    }
    if (strcmp(e->key, "log_verbose_level") == 0 &&
        kind == INFERENCE__LOG_SETTINGS_REQUEST__SETTING_VALUE__PARAMETER_CHOICE_UINT32_PARAM) {
        ret->verbose_level = v->uint32_param > 0;
        return 0;
    }
    snprintf(err, errlen, "%.64s: this log setting cannot be changed so", e->key);
    return -EINVAL;
}

int proto_log_parse_grpc(const void *message, size_t len, struct proto_log_settings *ret,
                         int *ret_changes, char *err, size_t errlen)
{
    struct proto_unpacked u;
    struct proto_log_settings l = *ret;
    int rc = proto_unpack(&u, &inference__log_settings_request__descriptor, message, len);
    if (rc < 0) {
        snprintf(err, errlen, "the request is not a valid message of its type");
        return rc;
    }
    const Inference__LogSettingsRequest *m = u.message;
    for (size_t i = 0; i < m->n_settings; i++) {
        if (rc < 0)
            break;
        rc = take_setting(m->settings[i], &l, err, errlen);
    }
    if (rc == 0) {
        *ret = l;
        *ret_changes = (int)m->n_settings;
    }
    proto_unpack_finish(&u);
    return rc;
}
