/* One stream of an HTTP/2 connection: a gRPC call with its messages. Between the connection
 * (http2_port.c) and the procedures (routes.def). Loop thread only. */
#ifndef SRV_GRPC_STREAM_H
#define SRV_GRPC_STREAM_H

#include <stdint.h>

#include "protocol/http2.h"
#include "protocol/room.h"
#include "server/base/account.h"

struct srv_transport;
struct srv_rest;
struct srv_stream;

/* What a stream needs of its connection. */
struct srv_stream_home {
    struct srv_transport *transport;
    const char *client; /* address, for the log */
    int client_fd;
    int asked;                   /* it has opened a stream */
    int crowded;                 /* its place is in the reserve: health alone is answered */
    struct srv_account *account; /* of all that is held for it; NULL: there was no memory for one */
    struct proto_room room;      /* of messages that are not complete */
    size_t partial;              /* bytes of messages that are not complete */
    struct srv_stream *streams;  /* all of it */
    struct srv_rest *rests;      /* of rest_stream.h */
    void (*dirty)(struct srv_stream_home *home); /* has something to send, from outside of h2 */
};

/* account and room; the rest is the connection's. */
void srv_stream_home_init(struct srv_stream_home *home, struct srv_transport *t);
void srv_stream_home_finish(struct srv_stream_home *home); /* its streams are closed */

/* The events of proto_h2; its arg is the home. The user of a stream begins with a pointer to them.
 */
extern const struct proto_h2_events srv_stream_events;

/* A header by its name in any case, or NULL. */
const char *srv_stream_header(const struct proto_h2_stream *h2, const char *name);
/* By its content-type. */
int srv_stream_is_grpc(const struct proto_h2_stream *h2);

/* About once a second: ends what is past its deadline, tells watchers what has changed. */
void srv_stream_tick(struct srv_stream_home *home, uint64_t now);
/* The server stops: streams that wait for the client, not for us, end. */
void srv_stream_drain(struct srv_stream_home *home);

#endif
