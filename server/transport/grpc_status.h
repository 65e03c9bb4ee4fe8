/* How a gRPC call ended, as the fields that say so. */
#ifndef SRV_GRPC_STATUS_H
#define SRV_GRPC_STATUS_H

#include "protocol/http2.h"
#include "protocol/rpc.h"
#include "server/handlers/call.h"

enum { SRV_GRPC_SENTENCE_MAX = 1024 };

/* The fields point into it, and into the call. */
struct srv_grpc_status {
    struct proto_h2_field fields[3 + SRV_REPLY_HEADERS];
    int n;
    char code[16], sentence[SRV_GRPC_SENTENCE_MAX], pushback[32];
    char names[SRV_REPLY_HEADERS][64];
};

/* c: whose id and headers go along; NULL: nobody's. The sentence goes out with errors alone. */
void srv_grpc_status_init(struct srv_grpc_status *s, enum proto_rpc_status code,
                          const char *sentence, const struct srv_call *c);

#endif
