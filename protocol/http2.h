/* The server's end of one HTTP/2 connection (RFC 9113), over nghttp2: feed bytes in, take bytes
 * out. No I/O, no clock. Untrusted bytes.
 *
 * What one client can make us do is bounded: streams open at a time, header lists, what costs more
 * than it brings (http2_calm.h), and unread bytes, since a stream's window opens only by
 * proto_h2_consume(). */
#ifndef PROTO_HTTP2_H
#define PROTO_HTTP2_H

#include <stddef.h>
#include <stdint.h>

struct proto_h2;

struct proto_h2_limits {
    uint32_t max_streams;      /* open at a time; more are refused */
    uint32_t max_header_bytes; /* of a header list: names, values, 32 for each field */
    uint32_t stream_window;    /* bytes that a client may send ahead on one stream */
    uint32_t connection_window;
};

struct proto_h2_stream {
    void *user; /* the owner's */
    int32_t id;
    int headers_too_large; /* over max_header_bytes: incomplete, fit for a refusal alone */
    size_t unsent;         /* bytes handed to proto_h2_write() and not yet taken */
    struct proto_h2_private *priv;
};

/* Called out of feed and take. In them every function below may be called but feed, take and
 * destroy; a stream is gone when `closed` returns. */
struct proto_h2_events {
    /* The header section is complete. */
    void (*open)(void *arg, struct proto_h2_stream *s);
    /* A piece of the body; proto_h2_consume() asks for more of it. */
    void (*data)(void *arg, struct proto_h2_stream *s, const void *data, size_t len);
    /* The client has sent all. */
    void (*end)(void *arg, struct proto_h2_stream *s);
    /* All that was written has been taken. */
    void (*drained)(void *arg, struct proto_h2_stream *s);
    /* error: 0 = in good order, else the code of the reset (RFC 9113 7). */
    void (*closed)(void *arg, struct proto_h2_stream *s, uint32_t error);
};

/* -ENOMEM. events stays the caller's and must outlive it. */
int proto_h2_create(struct proto_h2 **ret, const struct proto_h2_limits *limits,
                    const struct proto_h2_events *events, void *arg);
/* Calls `closed` for what is open. */
void proto_h2_destroy(struct proto_h2 *h);

/* 0; -EPROTO or -ENOMEM: take what is left, then close. */
int proto_h2_feed(struct proto_h2 *h, const void *data, size_t len);
/* The next piece to send, valid until the next call; its length; 0: nothing now; -ENOMEM: close. */
long proto_h2_take(struct proto_h2 *h, const void **ret);
/* Both sides are through: nothing to send, nothing to wait for. */
int proto_h2_is_done(const struct proto_h2 *h);
/* Once a second: a client's allowance of frames that bring no work grows again. */
void proto_h2_tick(struct proto_h2 *h);
int proto_h2_streams(const struct proto_h2 *h); /* open */
/* What the client has begun and must not take for ever, a frame or a header section: a number that
 * stays the same until that is complete; 0: nothing. */
uint64_t proto_h2_unfinished(const struct proto_h2 *h);

/* The way out in two steps: an announcement, and, at least one round trip later, the end of new
 * streams. Those that are open go on. */
void proto_h2_announce_end(struct proto_h2 *h);
void proto_h2_end(struct proto_h2 *h);
void proto_h2_ping(struct proto_h2 *h);

/* A header of the request (lower case; ":path", ":method", ":authority"), or NULL. */
const char *proto_h2_header(const struct proto_h2_stream *s, const char *name);
/* Lets the client send n more bytes on this stream. */
void proto_h2_consume(struct proto_h2_stream *s, size_t n);

struct proto_h2_field {
    const char *name, *value; /* name in lower case */
};
enum { PROTO_H2_FIELDS_MAX = 16, PROTO_H2_HEAD_MAX = 8 };

/* Headers of the answer; fields are copied. last: no body follows. -ENOMEM, -E2BIG, -EALREADY. */
int proto_h2_respond(struct proto_h2_stream *s, int status, const struct proto_h2_field *fields,
                     int n, int last);
/* A piece of the answer's body: a head of at most PROTO_H2_HEAD_MAX bytes, copied, and a malloc'ed
 * body, taken in any case. -ENOMEM. */
int proto_h2_write(struct proto_h2_stream *s, const void *head, size_t head_len, void *body_take,
                   size_t len);
/* The answer is complete: trailers (n may be 0) follow what was written. A client that still sends
 * is told to stop. */
int proto_h2_finish(struct proto_h2_stream *s, const struct proto_h2_field *trailers, int n);
void proto_h2_reset(struct proto_h2_stream *s, uint32_t error);

enum {
    PROTO_H2_NO_ERROR = 0,
    PROTO_H2_INTERNAL_ERROR = 2,
    PROTO_H2_REFUSED_STREAM = 7,
    PROTO_H2_CANCEL = 8,
    PROTO_H2_ENHANCE_YOUR_CALM = 11,
};

#endif
