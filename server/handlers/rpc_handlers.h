/* The procedures that routes.def names, and what they share. */
#ifndef SRV_RPC_HANDLERS_H
#define SRV_RPC_HANDLERS_H

#include <stddef.h>

#include "protocol/rpc.h"

struct srv_api;
struct srv_call;
struct srv_req;

void srv_rpc_server_live(struct srv_call *c);
void srv_rpc_server_ready(struct srv_call *c);
void srv_rpc_health_check(struct srv_call *c);
void srv_rpc_health_list(struct srv_call *c);
void srv_rpc_reflection(struct srv_call *c);
void srv_rpc_infer(struct srv_call *c);
void srv_rpc_server_metadata(struct srv_call *c);
void srv_rpc_model_ready(struct srv_call *c);
void srv_rpc_model_metadata(struct srv_call *c);
void srv_rpc_model_config(struct srv_call *c);
void srv_rpc_model_statistics(struct srv_call *c);
void srv_rpc_repository_index(struct srv_call *c);
void srv_rpc_load(struct srv_call *c);
void srv_rpc_unload(struct srv_call *c);
void srv_rpc_log(struct srv_call *c);

/* message_take NULL: out of memory (503). */
void srv_rpc_reply(struct srv_call *c, char *message_take, size_t len);
/* rc: -EINVAL (400) or -ENOMEM (503). */
void srv_rpc_malformed(struct srv_call *c, int rc);

/* Of a service; "" = the server as a whole. */
enum proto_health srv_rpc_health(const struct srv_api *api, const char *service);

/* The service that the request of a Health/Watch names, short enough to be inflated on the loop.
 * -EINVAL, -EMSGSIZE, -ENOMEM. */
int srv_rpc_watched(const struct srv_req *r, char ret_service[PROTO_RPC_NAME_MAX]);

#endif
