/* Small messages by protobuf-c, behind its guard (unpack.h). */
#include "protocol/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health.pb-c.h"
#include "inference.pb-c.h"
#include "protocol/unpack.h"

static char *mutable(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c's strings are not const, though it reads only */
}

enum proto_rpc_status proto_rpc_status_of(int http_status)
{
    switch (http_status) {
    case 200:
        return PROTO_RPC_OK;
    case 401:
        return PROTO_RPC_UNAUTHENTICATED;
    case 403:
        return PROTO_RPC_PERMISSION_DENIED;
    case 404:
        return PROTO_RPC_NOT_FOUND;
    case 405:
    case 501:
        return PROTO_RPC_UNIMPLEMENTED;
    case 409:
        return PROTO_RPC_ALREADY_EXISTS;
    case 413:
    case 429:
    case 431:
        return PROTO_RPC_RESOURCE_EXHAUSTED;
    case 499:
        return PROTO_RPC_CANCELLED;
    case 503:
        return PROTO_RPC_UNAVAILABLE;
    case 504:
        return PROTO_RPC_DEADLINE_EXCEEDED;
    default:
        return http_status >= 400 && http_status < 500 ? PROTO_RPC_INVALID_ARGUMENT
                                                       : PROTO_RPC_INTERNAL;
    }
}

static int copy(char ret[PROTO_RPC_NAME_MAX], const char *text)
{
    size_t len = strlen(text);
    if (len >= PROTO_RPC_NAME_MAX)
        return -EINVAL;
    memcpy(ret, text, len + 1);
    return 0;
}

int proto_rpc_parse_model(const void *data, size_t len, struct proto_rpc_model *ret)
{
    struct proto_unpacked u;
    /* the four messages are the same on the wire */
    int rc = proto_unpack(&u, &inference__model_ready_request__descriptor, data, len);
    if (rc < 0)
        return rc;
    const Inference__ModelReadyRequest *m = u.message;
    rc = copy(ret->name, m->name);
    if (rc == 0)
        rc = copy(ret->version, m->version);
    proto_unpack_finish(&u);
    return rc;
}

char *proto_rpc_flag(int value, size_t *ret_len)
{
    Inference__ServerLiveResponse m = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
    m.live = value != 0;
    return proto_pack(&m, ret_len);
}

int proto_health_parse(const void *data, size_t len, char ret[PROTO_RPC_NAME_MAX])
{
    struct proto_unpacked u;
    int rc = proto_unpack(&u, &grpc__health__v1__health_check_request__descriptor, data, len);
    if (rc < 0)
        return rc;
    rc = copy(ret, ((const Grpc__Health__V1__HealthCheckRequest *)u.message)->service);
    proto_unpack_finish(&u);
    return rc;
}

char *proto_health_reply(enum proto_health status, size_t *ret_len)
{
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    m.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return proto_pack(&m, ret_len);
}

char *proto_health_list(const char *const *services, int n, enum proto_health status,
                        size_t *ret_len)
{
    Grpc__Health__V1__HealthListResponse m = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    Grpc__Health__V1__HealthCheckResponse one = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    Grpc__Health__V1__HealthListResponse__StatusesEntry *entries = calloc(
        (size_t)n + 1, sizeof(*entries) + sizeof(entries)); /* and their pointers behind them */
    if (!entries)
        return NULL;
    m.statuses = (void *)(entries + n);
    m.n_statuses = (size_t)n;
    one.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    for (int i = 0; i < n; i++) {
        grpc__health__v1__health_list_response__statuses_entry__init(&entries[i]);
        entries[i].key = mutable(services[i]);
        entries[i].value = &one;
        m.statuses[i] = &entries[i];
    }
    char *ret = proto_pack(&m, ret_len);
    free(entries);
    return ret;
}
