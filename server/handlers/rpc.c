/* The procedures that need no more than a line or two, and what all of them share. */
#include "server/handlers/rpc_handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers/api.h"
#include "server/handlers/call.h"

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

void srv_rpc_server_live(struct srv_call *c)
{
    size_t len = 0;
    char *message = proto_rpc_flag(1, &len);
    srv_rpc_reply(c, message, len);
}

void srv_rpc_server_ready(struct srv_call *c)
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

enum { WATCHED_MAX = 4096 }; /* of a request to watch, inflated */

int srv_rpc_watched(const struct srv_req *r, char ret_service[PROTO_RPC_NAME_MAX])
{
    void *inflated = NULL;
    size_t len = 0;
    if (r->coding == PROTO_IDENTITY)
        return proto_health_parse(r->body, r->body_len, ret_service);
    int rc = proto_inflate(r->coding, r->body, r->body_len, WATCHED_MAX, NULL, &inflated, &len);
    if (rc == 0)
        rc = proto_health_parse(inflated, len, ret_service);
    free(inflated);
    return rc;
}

void srv_rpc_health_check(struct srv_call *c)
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

void srv_rpc_health_list(struct srv_call *c)
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

void srv_rpc_reflection(struct srv_call *c)
{
    char *message = NULL;
    size_t len = 0;
    int rc = proto_reflection_reply(c->req->body, c->req->body_len, &message, &len);
    if (rc < 0)
        srv_rpc_malformed(c, rc);
    else
        srv_rpc_reply(c, message, len);
}
