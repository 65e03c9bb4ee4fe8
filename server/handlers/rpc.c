/* The procedures that need no more than a line or two, and the table of all. Inference is in
 * rpc_infer.c. */
#include "server/handlers/rpc.h"

#include "server/handlers/auth.h"
#include "server/handlers/call.h"
#include "server/handlers/rpc_handlers.h"
#include "server/handlers/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char message_type[] = "application/grpc";

void srv_rpc_reply(struct srv_call *c, char *message_take, size_t len)
{
    srv_call_reply(c, 200, message_type, message_take, len);
}

void srv_rpc_malformed(struct srv_call *c, int rc)
{
    if (rc == -ENOMEM)
        srv_call_error(c, 503, "out of memory for the request");
    else
        srv_call_error(c, 400, "the request is not a valid message of its type");
}

/* ---- the server ---- */

static void server_live(struct srv_call *c)
{
    size_t len = 0;
    char *message = proto_rpc_flag(1, &len);
    srv_rpc_reply(c, message, len);
}

static void server_ready(struct srv_call *c)
{
    size_t len = 0;
    char *message = proto_rpc_flag(c->api->phase == SRV_SERVING, &len);
    srv_rpc_reply(c, message, len);
}

/* ---- health ---- */

enum { SERVICES_MAX = 8 };

enum proto_health srv_rpc_health(const struct srv_api *api, const char *service)
{
    char name[PROTO_RPC_NAME_MAX];
    int known = service[0] == 0;
    for (int i = 0; !known && proto_reflection_service(i, name, sizeof(name)); i++)
        known = strcmp(name, service) == 0;
    if (!known)
        return PROTO_HEALTH_SERVICE_UNKNOWN;
    return api->phase == SRV_SERVING ? PROTO_HEALTH_SERVING : PROTO_HEALTH_NOT_SERVING;
}

static void health_check(struct srv_call *c)
{
    char service[PROTO_RPC_NAME_MAX];
    size_t len = 0;
    int rc = proto_health_parse(c->req->body, c->req->body_len, service);
    if (rc < 0) {
        srv_rpc_malformed(c, rc);
        return;
    }
    enum proto_health health = srv_rpc_health(c->api, service);
    if (health == PROTO_HEALTH_SERVICE_UNKNOWN) {
        srv_call_error(c, 404, "there is no service \"%s\"", service);
        return;
    }
    char *message = proto_health_reply(health, &len);
    srv_rpc_reply(c, message, len);
}

static void health_list(struct srv_call *c)
{
    char names[SERVICES_MAX][PROTO_RPC_NAME_MAX];
    const char *list[SERVICES_MAX + 1] = {""};
    size_t len = 0;
    int n = 0;
    for (; n < SERVICES_MAX && proto_reflection_service(n, names[n], sizeof(names[n])); n++)
        list[n + 1] = names[n];
    char *message = proto_health_list(list, n + 1, srv_rpc_health(c->api, ""), &len);
    srv_rpc_reply(c, message, len);
}

/* ---- reflection ---- */

static void reflection(struct srv_call *c)
{
    char *message = NULL;
    size_t len = 0;
    int rc = proto_reflection_reply(c->req->body, c->req->body_len, &message, &len);
    if (rc < 0)
        srv_rpc_malformed(c, rc);
    else
        srv_rpc_reply(c, message, len);
}

/* ---- the table ---- */

#define INFERENCE "/inference.GRPCInferenceService/"
#define HEALTH "/grpc.health.v1.Health/"
#define SMALL(path, kind, finish, summary)                                                         \
    {                                                                                              \
        {path, SRV_POST, 2, NULL, finish, summary}, kind                                           \
    }
#define HEALTHY(path, kind, finish, summary)                                                       \
    {                                                                                              \
        {path, SRV_POST, 2, NULL, finish, summary, SRV_SCOPE_OPEN}, kind                           \
    }
#define LARGE(path, kind, finish, summary)                                                         \
    {                                                                                              \
        {path, SRV_POST, 1, NULL, finish, summary}, kind                                           \
    }

static const struct srv_rpc rpcs[] = {
    LARGE(INFERENCE "ModelInfer", SRV_RPC_UNARY, srv_rpc_infer, "Inference"),
    LARGE(INFERENCE "ModelStreamInfer", SRV_RPC_INFER_STREAM, srv_rpc_infer,
          "Inference, many requests on one stream"),
    SMALL(INFERENCE "ServerMetadata", SRV_RPC_UNARY, srv_rpc_server_metadata, "The server"),
    SMALL(INFERENCE "ModelReady", SRV_RPC_UNARY, srv_rpc_model_ready, "A model can be asked"),
    SMALL(INFERENCE "ModelMetadata", SRV_RPC_UNARY, srv_rpc_model_metadata, "A model"),
    SMALL(INFERENCE "ModelConfig", SRV_RPC_UNARY, srv_rpc_model_config,
          "Configuration of a model, as Triton describes it"),
    SMALL(INFERENCE "ModelStatistics", SRV_RPC_UNARY, srv_rpc_model_statistics,
          "Counts and times of a model, or of all"),
    SMALL(INFERENCE "RepositoryIndex", SRV_RPC_UNARY, srv_rpc_repository_index,
          "Models and their states"),
    {{INFERENCE "RepositoryModelLoad", SRV_POST, 2, NULL, srv_rpc_load,
      "Load a model, or load it again; needs the option `admin` and a key with that scope",
      SRV_SCOPE_ADMIN},
     SRV_RPC_UNARY},
    {{INFERENCE "RepositoryModelUnload", SRV_POST, 2, NULL, srv_rpc_unload,
      "Serve a model no longer; as above", SRV_SCOPE_ADMIN},
     SRV_RPC_UNARY},
    {{INFERENCE "LogSettings", SRV_POST, 2, NULL, srv_rpc_log,
      "What the log lets through; changes need the option `admin` and a key with that scope",
      SRV_SCOPE_INFER | SRV_SCOPE_ADMIN},
     SRV_RPC_UNARY},
    HEALTHY(INFERENCE "ServerLive", SRV_RPC_UNARY, server_live, "The process runs"),
    HEALTHY(INFERENCE "ServerReady", SRV_RPC_UNARY, server_ready, "Requests are welcome"),
    HEALTHY(HEALTH "Check", SRV_RPC_UNARY, health_check, "State of a service"),
    HEALTHY(HEALTH "List", SRV_RPC_UNARY, health_list, "State of every service"),
    HEALTHY(HEALTH "Watch", SRV_RPC_WATCH, health_check, "State of a service, and its changes"),
    SMALL("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", SRV_RPC_REFLECTION,
          reflection, "The schema of every service"),
    SMALL("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", SRV_RPC_REFLECTION,
          reflection, "The schema of every service"),
};

enum { RPCS = sizeof(rpcs) / sizeof(rpcs[0]) };

const struct srv_rpc *srv_rpc_find(const char *path)
{
    for (int i = 0; i < RPCS; i++)
        if (strcmp(rpcs[i].route.pattern, path) == 0)
            return &rpcs[i];
    return NULL;
}

const struct srv_rpc *srv_rpc_at(int index)
{
    return index >= 0 && index < RPCS ? &rpcs[index] : NULL;
}

int srv_rpc_index(const struct srv_route *r)
{
    for (int i = 0; i < RPCS; i++)
        if (&rpcs[i].route == r)
            return i;
    return -1;
}
