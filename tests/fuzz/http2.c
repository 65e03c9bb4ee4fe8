/* A client's bytes, in pieces of a size that the first byte gives, to a server that answers with
 * what it got, refuses, resets or leaves open. Streams are counted home, and with the window shut
 * no client gets more through than its window. */
#include "protocol/grpc.h"
#include "protocol/http2.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WINDOW = 1000, STREAMS = 5, MESSAGE_MAX = 4096 };

struct peer {
    int opens, closes, behaviour;
};

struct stream {
    size_t got;
    struct proto_grpc_stream messages;
};

static void require(int condition)
{
    if (!condition)
        abort();
}

static void finish(struct proto_h2_stream *s)
{
    const struct proto_h2_field fields[] = {{"grpc-status", "0"}, {"grpc-message", "a%20b"}};
    proto_h2_finish(s, fields, 2);
}

static void on_open(void *arg, struct proto_h2_stream *s)
{
    const struct proto_h2_field type = {"content-type", "application/grpc"};
    struct peer *p = arg;
    struct stream *mine = calloc(1, sizeof(*mine));
    require(mine != NULL);
    proto_grpc_init(&mine->messages, MESSAGE_MAX, NULL);
    s->user = mine;
    p->opens++;
    require(s->headers_too_large || proto_h2_header(s, ":method") != NULL);
    if (p->behaviour & 1)
        proto_h2_respond(s, 200, &type, 1, p->behaviour & 2);
    else if (p->behaviour & 2)
        proto_h2_reset(s, PROTO_H2_REFUSED_STREAM);
}

static void echo(struct proto_h2_stream *s, void *message, size_t len)
{
    unsigned char prefix[PROTO_GRPC_PREFIX];
    proto_grpc_prefix(prefix, (uint32_t)len, 0);
    proto_h2_write(s, prefix, sizeof(prefix), message, len);
}

static void on_data(void *arg, struct proto_h2_stream *s, const void *data, size_t len)
{
    struct peer *p = arg;
    struct stream *mine = s->user;
    mine->got += len;
    if (p->behaviour & 4)
        proto_h2_consume(s, len);
    else
        require(mine->got <= 65535);
    while (len) {
        size_t used, message_len;
        void *message;
        int zipped;
        int r = proto_grpc_feed(&mine->messages, data, len, &used, &message, &message_len, &zipped);
        if (r < 0) {
            proto_h2_reset(s, PROTO_H2_CANCEL);
            return;
        }
        data = (const char *)data + used;
        len -= used;
        if (r == 1)
            echo(s, message, message_len);
        else
            break;
    }
}

static void on_end(void *arg, struct proto_h2_stream *s)
{
    struct peer *p = arg;
    if (p->behaviour & 8)
        return;
    if (!(p->behaviour & 3))
        proto_h2_respond(s, 200, NULL, 0, 0);
    finish(s);
}

static void on_drained(void *arg, struct proto_h2_stream *s)
{
    struct peer *p = arg;
    require(s->unsent == 0);
    if (p->behaviour & 16)
        finish(s);
}

static void on_closed(void *arg, struct proto_h2_stream *s, uint32_t error)
{
    struct peer *p = arg;
    struct stream *mine = s->user;
    (void)error;
    p->closes++;
    proto_grpc_finish(&mine->messages);
    free(mine);
}

static void take_all(struct proto_h2 *h)
{
    const void *piece;
    long n;
    while ((n = proto_h2_take(h, &piece)) > 0) {
        volatile char last = ((const char *)piece)[n - 1];
        (void)last;
    }
}

static void run(const uint8_t *data, size_t size, size_t piece, int behaviour, int greet)
{
    static const struct proto_h2_events events = {on_open, on_data, on_end, on_drained, on_closed};
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    const struct proto_h2_limits limits = {STREAMS, 512, WINDOW, 70000};
    struct peer p = {.behaviour = behaviour};
    struct proto_h2 *h;
    require(proto_h2_create(&h, &limits, &events, &p) == 0);
    if (greet)
        proto_h2_feed(h, preface, sizeof(preface)); /* the literal's NUL ends the SETTINGS frame */
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        int rc = proto_h2_feed(h, data + at, n);
        take_all(h);
        require(proto_h2_streams(h) <= 2 * STREAMS);
        if (rc < 0 || proto_h2_is_done(h))
            break;
        if (behaviour & 32)
            proto_h2_announce_end(h);
    }
    proto_h2_tick(h);
    proto_h2_end(h);
    take_all(h);
    proto_h2_destroy(h);
    require(p.opens == p.closes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    run(data + 2, size - 2, 1 + data[0], data[1], !(data[1] & 64));
    return 0;
}
