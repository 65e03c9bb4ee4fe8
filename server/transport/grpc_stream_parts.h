/* What the parts of a gRPC stream share. Internal to grpc_*.c. */
#ifndef SRV_GRPC_STREAM_PARTS_H
#define SRV_GRPC_STREAM_PARTS_H

#include "protocol/grpc.h"
#include "protocol/rpc.h"
#include "server/handlers/call.h"
#include "server/transport/grpc_stream.h"

struct rpc_call {
    struct srv_call call;
    struct srv_stream *stream;
    struct rpc_call *next;
};

struct srv_stream {
    const struct proto_h2_events *events; /* first */
    struct srv_stream *next, *prev;
    struct srv_stream_home *home;
    struct proto_h2_stream *h2;
    const struct srv_route *rpc; /* NULL: refused */
    enum proto_coding coding;    /* of messages that are marked as compressed */
    struct proto_grpc_stream framing;
    size_t charged, unsent; /* for the stream itself; for answers that the client has not taken */
    uint64_t opened_ns, deadline_ns; /* deadline_ns: SRV_NEVER if the client gave none */
    struct rpc_call *calls, **tail;  /* in order of their messages */
    int n_calls;
    char *held; /* bytes that came and are not looked at yet */
    size_t held_len;
    int got;                          /* messages so far */
    int asked;                        /* a call is on its way */
    int ended;                        /* by the client */
    int responded;                    /* headers are out */
    int over;                         /* the last word is said */
    char service[PROTO_RPC_NAME_MAX]; /* watched */
    int health;                       /* as last told; -1: not a watcher */
};

/* ---- grpc_stream.c ---- */

int srv_stream_takes_many(const struct srv_stream *st);
void srv_stream_send(struct srv_stream *st, char *message_take, size_t len);
/* The last word: in trailers behind messages, or in the headers if there were none. c may be NULL.
 */
void srv_stream_end(struct srv_stream *st, enum proto_rpc_status code, const char *sentence,
                    const struct srv_call *c);
/* A fault of the stream, not of a message. */
void srv_stream_refuse(struct srv_stream *st, int http_status, const char *sentence);

/* ---- grpc_charge.c ---- */

/* Of the connection alone: a key that pays is that of a call. */
struct srv_payer srv_stream_payer(const struct srv_stream *st);
/* As proto_room: arg is the home. */
int srv_stream_change(void *arg, size_t from, size_t to);
int srv_stream_charge(struct srv_stream *st, size_t n); /* 0, -EDQUOT */
void srv_stream_uncharge(struct srv_stream *st, size_t n);
/* The client has taken all answers, or never will. */
void srv_stream_forget_unsent(struct srv_stream *st);

#endif
