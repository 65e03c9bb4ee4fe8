/* Headers of a reply become trailing metadata; Retry-After takes gRPC's own form. */
#include "server/transport/grpc_status.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/grpc.h"

static void put(struct srv_grpc_status *s, const char *name, const char *value)
{
    s->fields[s->n++] = (struct proto_h2_field){name, value};
}

static void put_headers(struct srv_grpc_status *s, const struct srv_call *c)
{
    put(s, "x-request-id", c->id);
    for (int i = 0; i < c->reply.n_headers; i++) {
        const struct srv_header *h = &c->reply.headers[i];
        if (strcasecmp(h->name, "Retry-After") == 0) {
            snprintf(s->pushback, sizeof(s->pushback), "%s000", h->value);
            put(s, "grpc-retry-pushback-ms", s->pushback);
            continue;
        }
        size_t n = 0;
        for (; h->name[n] && n + 1 < sizeof(s->names[i]); n++)
            s->names[i][n] = (char)(h->name[n] | (h->name[n] >= 'A' && h->name[n] <= 'Z' ? 32 : 0));
        s->names[i][n] = 0;
        put(s, s->names[i], h->value);
    }
}

void srv_grpc_status_init(struct srv_grpc_status *s, enum proto_rpc_status code,
                          const char *sentence, const struct srv_call *c)
{
    s->n = 0;
    snprintf(s->code, sizeof(s->code), "%d", (int)code);
    put(s, "grpc-status", s->code);
    if (code != PROTO_RPC_OK) {
        proto_grpc_message(sentence, s->sentence, sizeof(s->sentence));
        put(s, "grpc-message", s->sentence);
    }
    if (c)
        put_headers(s, c);
}
