/* The procedures that the table of rpc.c names, and what they share. */
#ifndef SRV_RPC_API_H
#define SRV_RPC_API_H

#include <stddef.h>

struct srv_call;

void srv_rpc_infer(struct srv_call *c);

/* message_take NULL: out of memory (503). */
void srv_rpc_reply(struct srv_call *c, char *message_take, size_t len);
/* rc: -EINVAL (400) or -ENOMEM (503). */
void srv_rpc_malformed(struct srv_call *c, int rc);

#endif
