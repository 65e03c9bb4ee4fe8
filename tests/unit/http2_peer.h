/* The client's end of one HTTP/2 connection for unit tests: frames written out by hand, and what
 * came back. Nothing here trusts the library that the code under test is made of. */
#ifndef TESTS_HTTP2_PEER_H
#define TESTS_HTTP2_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/http2.h"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
enum { WINDOW = 100000 };

extern const char preface[25];
extern const unsigned char post_request[6]; /* POST http / x */

struct seen {
    struct proto_h2 *h;
    struct proto_h2_stream *last;
    int opens, ends, closes, drains, too_large;
    uint32_t error; /* of the last close */
    size_t body;
    int consume; /* give the window back at once */
    int answer;  /* "ok" with a trailer at the end of a request */
};

int setup(void **state);
int teardown(void **state);

/* The head of a frame into 9 bytes; 9. */
size_t head(unsigned char *to, size_t len, int type, int flags, uint32_t id);
/* What proto_h2_feed() says. */
int send_frame(struct seen *t, int type, int flags, uint32_t id, const void *payload, size_t len);
void half_hello(struct seen *t);
void hello(struct seen *t); /* with our settings in force */
void request(struct seen *t, uint32_t id, int flags);

/* The server's answer: "head", a body of `len` bytes, a trailer. */
void reply(struct proto_h2_stream *s, size_t len);

/* All that it has to say. count[type]: frames; the error code of the last GOAWAY and RST_STREAM. */
struct heard {
    int count[16], ends;
    uint32_t goaway, rst;
    size_t data;
    size_t window; /* sum of the increments for streams */
};

struct heard listen_to(struct seen *t);

#endif
