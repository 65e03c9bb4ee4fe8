/* The small messages of the gRPC services; inference itself is in infer.h. Requests are untrusted
 * bytes; answers are malloc'ed, NULL: out of memory. */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

#include <stddef.h>
#include <stdint.h>

enum { PROTO_RPC_NAME_MAX = 256 };

/* The codes of grpc-status. */
enum proto_rpc_status {
    PROTO_RPC_OK = 0,
    PROTO_RPC_CANCELLED = 1,
    PROTO_RPC_UNKNOWN = 2,
    PROTO_RPC_INVALID_ARGUMENT = 3,
    PROTO_RPC_DEADLINE_EXCEEDED = 4,
    PROTO_RPC_NOT_FOUND = 5,
    PROTO_RPC_ALREADY_EXISTS = 6,
    PROTO_RPC_PERMISSION_DENIED = 7,
    PROTO_RPC_RESOURCE_EXHAUSTED = 8,
    PROTO_RPC_FAILED_PRECONDITION = 9,
    PROTO_RPC_ABORTED = 10,
    PROTO_RPC_OUT_OF_RANGE = 11,
    PROTO_RPC_UNIMPLEMENTED = 12,
    PROTO_RPC_INTERNAL = 13,
    PROTO_RPC_UNAVAILABLE = 14,
    PROTO_RPC_UNAUTHENTICATED = 16,
};

/* Of an HTTP status, the one mapping for every error that a route gives. */
enum proto_rpc_status proto_rpc_status_of(int http_status);

/* ModelReady-, ModelMetadata-, ModelConfig- and ModelStatisticsRequest. */
struct proto_rpc_model {
    char name[PROTO_RPC_NAME_MAX], version[PROTO_RPC_NAME_MAX]; /* "": not given */
};
/* 0; -EINVAL: malformed, or a name that is too long; -ENOMEM. */
int proto_rpc_parse_model(const void *data, size_t len, struct proto_rpc_model *ret);

/* ServerLive-, ServerReady- and ModelReadyResponse. */
char *proto_rpc_flag(int value, size_t *ret_len);

/* --- grpc.health.v1 --- */

enum proto_health {
    PROTO_HEALTH_SERVING = 1,
    PROTO_HEALTH_NOT_SERVING,
    PROTO_HEALTH_SERVICE_UNKNOWN
};

/* HealthCheckRequest: service into ret. 0, -EINVAL, -ENOMEM. */
int proto_health_parse(const void *data, size_t len, char ret[PROTO_RPC_NAME_MAX]);
char *proto_health_reply(enum proto_health status, size_t *ret_len);
/* HealthListResponse: n services, all of them with the same status. */
char *proto_health_list(const char *const *services, int n, enum proto_health status,
                        size_t *ret_len);

/* --- grpc.reflection --- */

/* ServerReflectionResponse to a ServerReflectionRequest. 0; -EINVAL: the request is malformed;
 * -ENOMEM. Whatever is asked for and is not there is an answer, too. */
int proto_reflection_reply(const void *data, size_t len, char **ret_take, size_t *ret_len);
/* The i-th service that is described, into ret; 0 behind the last. */
int proto_reflection_service(int i, char *ret, size_t retlen);

#endif
