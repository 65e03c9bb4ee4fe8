/* THE table of procedures that gRPC clients may call. A procedure is a route without a path
 * variable: its request message is the body, its answer the reply's. Errors are sentences with
 * HTTP's numbers, which the stream translates. */
#ifndef SRV_RPC_H
#define SRV_RPC_H

#include "protocol/rpc.h"
#include "server/handlers/route.h"

struct srv_api;

enum srv_rpc_kind {
    SRV_RPC_UNARY,
    SRV_RPC_INFER_STREAM, /* many messages, each answered by one, in their order */
    SRV_RPC_WATCH,        /* one message, then the state of health and each change of it */
    SRV_RPC_REFLECTION,   /* many messages, each answered at once */
};

struct srv_rpc {
    struct srv_route route; /* pattern: "/SERVICE/METHOD" */
    enum srv_rpc_kind kind;
};

const struct srv_rpc *srv_rpc_find(const char *path); /* NULL: there is none */
const struct srv_rpc *srv_rpc_at(int index);          /* NULL behind the last */
int srv_rpc_index(const struct srv_route *r);         /* -1: not of this table */

/* Of a service; "" = the server as a whole. */
enum proto_health srv_rpc_health(const struct srv_api *api, const char *service);

#endif
