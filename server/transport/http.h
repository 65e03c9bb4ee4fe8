/* HTTP/1.1 by libmicrohttpd on the loop: external epoll under a uv_poll, calls suspended while they
 * wait for workers. Loop thread only. */
#ifndef SRV_HTTP_H
#define SRV_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct srv_transport;
struct srv_http;

/* Listens and serves. open_fd_take: a socket that listens already; -1 = none. ret_bound: the
 * address in use. */
int srv_http_start(struct srv_http **ret, struct srv_transport *t, int open_fd_take,
                   char *ret_bound, size_t bound_len, char *err, size_t errlen);
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
