/* What libmicrohttpd 0.9.75 lets pass even in strict mode and what must not reach a route: ways to
 * make two servers disagree on where a request ends. */
#ifndef SRV_HTTP_CHECK_H
#define SRV_HTTP_CHECK_H

#include <stdint.h>

struct MHD_Connection;

struct srv_http_framing {
    int64_t declared; /* Content-Length; 0 if there is no header (RFC 9112 6.3), -1 if chunked */
    int expects;      /* Expect: 100-continue: the body is held back until we ask for it */
};

/* 0, or the status with which to refuse and close; ret_sentence says why. */
int srv_http_check(struct MHD_Connection *connection, const char *version,
                   struct srv_http_framing *ret, const char **ret_sentence);

#endif
