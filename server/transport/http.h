/* HTTP/1.1 by libmicrohttpd on the loop: external epoll under a uv_poll, calls suspended while they
 * wait for workers. Loop thread only. */
#ifndef SRV_HTTP_H
#define SRV_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct srv;
struct srv_http;

/* Listens and serves. ret_bound: the address in use. */
int srv_http_start(struct srv_http **ret, struct srv *s, char *ret_bound, size_t bound_len,
                   char *err, size_t errlen);
/* Accepts what has arrived, then no more; the socket is closed. */
void srv_http_quiesce(struct srv_http *h);
/* Lets libmicrohttpd work: after calls were answered. */
void srv_http_pump(struct srv_http *h);
int srv_http_connections(const struct srv_http *h);
int srv_http_backlog(const struct srv_http *h); /* connections that wait to be accepted */
/* Nobody waits for an answer or takes one, and nobody has just come, or had one. */
int srv_http_is_quiet(const struct srv_http *h);
uint64_t srv_http_cut(const struct srv_http *h); /* ever, for being too slow */
/* What is open is cut off, calls that wait with 503. Its uv handles are closed: run the loop once
 * more before it goes. */
void srv_http_stop(struct srv_http *h);
void srv_http_destroy(struct srv_http *h); /* after the handles' closing callbacks */

#endif
