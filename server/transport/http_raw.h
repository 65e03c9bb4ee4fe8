/* A reply past libmicrohttpd, which takes none in the middle of a body. */
#ifndef SRV_HTTP_RAW_H
#define SRV_HTTP_RAW_H

struct MHD_Connection;
struct srv_call;

/* Writes the call's reply and `Connection: close` into the connection, in clear or by TLS; the
 * caller must then end the connection. Only while nothing else is being sent on it. 0, or -1 if the
 * socket did not take it whole. Loop thread. */
int srv_http_raw(struct MHD_Connection *connection, const struct srv_call *c);
/* Nothing leaves on the connection after this. */
void srv_http_raw_end(struct MHD_Connection *connection);

#endif
