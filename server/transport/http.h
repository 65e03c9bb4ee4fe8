/* HTTP/1.1 by libmicrohttpd on the loop: external epoll under a uv_poll, calls suspended while they
 * wait for workers. Loop thread only. */
#ifndef SRV_HTTP_H
#define SRV_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "server/handlers/api.h"

struct srv_transport;
struct srv_http;

/* Listens and serves. port: SRV_PORT_HTTP or SRV_PORT_ADMIN. fd_take: a bound socket; limit: its
 * connections. */
int srv_http_start(struct srv_http **ret, struct srv_transport *t, enum srv_port port, int fd_take,
                   int limit, char *err, size_t errlen);
/* Below, NULL is fine: the port is off. */

/* Accepts what has arrived, then no more; the socket is closed. */
void srv_http_quiesce(struct srv_http *h);
/* Lets libmicrohttpd work: after calls were answered. */
void srv_http_pump(struct srv_http *h);
/* Nobody waits for an answer or takes one, and nobody has just come, or had one. */
int srv_http_is_quiet(const struct srv_http *h);
/* What is open is cut off, calls that wait with 503. Its uv handles are closed: run the loop once
 * more before it goes. */
void srv_http_stop(struct srv_http *h);
void srv_http_destroy(struct srv_http *h); /* after the handles' closing callbacks */

#endif
