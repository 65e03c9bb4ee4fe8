/* What the HTTP/2 port does with a stream: gRPC methods go to grpc_stream.h, everything else to the
 * routes of HTTP, which do not know that it is not HTTP/1.1. Loop thread only. */
#ifndef SRV_REST_STREAM_H
#define SRV_REST_STREAM_H

#include <stdint.h>

#include "protocol/http2.h"

struct srv_stream_home;

/* The events of a connection; their arg is the srv_stream_home. */
extern const struct proto_h2_events srv_port_events;

/* About once a second: ends what should have been here by its deadline. */
void srv_rest_tick(struct srv_stream_home *home, uint64_t now);

#endif
