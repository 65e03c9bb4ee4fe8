/* What a server says of itself and of its models in the Open Inference Protocol: metadata, Triton's
 * configuration and statistics, the repository's index, log settings. The structures serve JSON and
 * gRPC; what the writers make is malloc'ed, the caller's; NULL: out of memory. */
#ifndef PROTO_DESCRIBE_H
#define PROTO_DESCRIBE_H

#include "protocol/infer.h"

struct proto_server_metadata {
    const char *name, *version;
    const char *const *extensions;
    int n_extensions;
};

struct proto_property {
    const char *key;
    char value[96];
};

/* Of tensors only name, datatype and shape count; the first dimension is the batch (-1). */
struct proto_model_metadata {
    const char *name, *version, *platform;
    const struct proto_tensor *inputs, *outputs;
    int n_inputs, n_outputs;
    const struct proto_property *properties;
    int n_properties;
    /* For the configuration. */
    const char *backend;
    int max_batch, instances, max_queue;
    int priority_levels, default_priority;
    uint64_t default_timeout_us;
};

struct proto_duration {
    uint64_t count, ns;
};
struct proto_batch_statistics {
    uint64_t batch_size;
    struct proto_duration compute_input, compute_infer, compute_output;
};
struct proto_model_statistics {
    const char *name, *version;
    uint64_t last_inference_ms; /* since 1970; 0: never */
    uint64_t inference_count;   /* images */
    uint64_t execution_count;   /* batches */
    struct proto_duration success, fail, queue, compute_input, compute_infer, compute_output;
    const struct proto_batch_statistics *batches;
    int n_batches;
    uint64_t memory_bytes;
};

struct proto_model_index {
    const char *name, *version, *state, *reason; /* READY, UNAVAILABLE, LOADING, UNLOADING */
};

struct proto_log_settings {
    int info, warning, error, verbose_level;
};

char *proto_describe_server(const struct proto_server_metadata *m, size_t *ret_len);
char *proto_describe_model(const struct proto_model_metadata *m, size_t *ret_len);
char *proto_describe_config(const struct proto_model_metadata *m, size_t *ret_len);
char *proto_describe_statistics(const struct proto_model_statistics *s, int n, size_t *ret_len);
char *proto_describe_index(const struct proto_model_index *m, int n, size_t *ret_len);
char *proto_describe_log(const struct proto_log_settings *l, size_t *ret_len);
/* {"name":…,"ready":…}; name NULL: left out. */
char *proto_describe_ready(const char *name, int ready, size_t *ret_len);

/* The same as messages: ServerMetadata-, ModelMetadata-, ModelConfig-, ModelStatistics-,
 * RepositoryIndex- and LogSettingsResponse. */
char *proto_describe_server_grpc(const struct proto_server_metadata *m, size_t *ret_len);
char *proto_describe_model_grpc(const struct proto_model_metadata *m, size_t *ret_len);
char *proto_describe_config_grpc(const struct proto_model_metadata *m, size_t *ret_len);
char *proto_describe_statistics_grpc(const struct proto_model_statistics *s, int n,
                                     size_t *ret_len);
char *proto_describe_index_grpc(const struct proto_model_index *m, int n, size_t *ret_len);
char *proto_describe_log_grpc(const struct proto_log_settings *l, size_t *ret_len);

/* RepositoryIndexRequest. 0, -EINVAL, -ENOMEM. */
int proto_index_parse_grpc(const void *message, size_t len, int *ret_ready);
/* RepositoryModelLoad- and RepositoryModelUnloadRequest, which have the same fields, as
 * proto_load_parse(); the model's name, NUL-terminated, into name. */
int proto_load_parse_grpc(const void *message, size_t len, char *name, size_t name_len,
                          int *ret_override);
/* LogSettingsRequest: as proto_log_parse(). *ret_changes: settings that it names. */
int proto_log_parse_grpc(const void *message, size_t len, struct proto_log_settings *ret,
                         int *ret_changes, char *err, size_t errlen);

/* Request of the index, {"ready":bool}; an empty body is {}. 0; -EINVAL with a sentence. */
int proto_index_parse(const void *body, size_t len, int *ret_ready, char *err, size_t errlen);
/* Request of load and unload: parameters are looked through. *ret_override: a configuration or
 * files were sent. */
int proto_load_parse(const void *body, size_t len, int *ret_override, char *err, size_t errlen);
/* Settings of a POST to the log, over those in *ret: log_info, log_warning, log_error,
 * log_verbose_level. Others (log_file, log_format) are refused. */
int proto_log_parse(const void *body, size_t len, struct proto_log_settings *ret, char *err,
                    size_t errlen);

#endif
