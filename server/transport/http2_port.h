/* gRPC on the loop: HTTP/2 connections over libuv, their bytes through protocol/http2.h. Loop
 * thread only. */
#ifndef SRV_HTTP2_PORT_H
#define SRV_HTTP2_PORT_H

#include <stddef.h>

struct srv_transport;
struct srv_http2;

/* Listens and serves. fd_take: a bound socket. */
int srv_http2_start(struct srv_http2 **ret, struct srv_transport *t, int fd_take, char *err,
                    size_t errlen);
/* Below, NULL is fine: gRPC is off. */

/* Sends what calls have answered; tells watchers of health what has changed. */
void srv_http2_pump(struct srv_http2 *g);
/* No more connections; clients are told to go elsewhere, streams that only wait are ended. */
void srv_http2_quiesce(struct srv_http2 *g);
/* Cuts what is open. Its uv handles are closed: run the loop once more before it goes. */
void srv_http2_stop(struct srv_http2 *g);
void srv_http2_destroy(struct srv_http2 *g); /* after the handles' closing callbacks */

#endif
