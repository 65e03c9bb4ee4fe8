/* What libmicrohttpd 0.9.75 lets pass even in strict mode and what must not reach a route: ways to
 * make two servers disagree on where a request ends. */
#ifndef SRV_HTTP_CHECK_H
#define SRV_HTTP_CHECK_H

#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;

struct srv_http_framing {
    int64_t declared; /* Content-Length; 0 if there is no header (RFC 9112 6.3), -1 if chunked */
    int expects;      /* Expect: 100-continue: the body is held back until we ask for it */
};

/* The request line as libmicrohttpd has it, spans of its read buffer. */
struct srv_http_line {
    const char *method, *url, *version;
    size_t target_len; /* up to the first NUL */
};

/* 0, or the status with which to refuse and close; ret_sentence says why. */
int srv_http_check(struct MHD_Connection *connection, const struct srv_http_line *line,
                   struct srv_http_framing *ret, const char **ret_sentence);

#endif
