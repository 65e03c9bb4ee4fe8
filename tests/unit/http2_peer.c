/* A client, frame by frame. */
#include "tests/unit/http2_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

const char preface[25] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const unsigned char post_request[6] = {0x83, 0x86, 0x84, 0x01, 1, 'x'}; /* POST http / x */

static void on_open(void *arg, struct proto_h2_stream *s)
{
    struct seen *t = arg;
    t->opens++;
    t->last = s;
    t->too_large += s->headers_too_large;
}

static void on_data(void *arg, struct proto_h2_stream *s, const void *data, size_t len)
{
    struct seen *t = arg;
    assert_non_null(data);
    t->body += len;
    if (t->consume)
        proto_h2_consume(s, len);
}

void reply(struct proto_h2_stream *s, size_t len)
{
    const struct proto_h2_field type = {"content-type", "text/plain"}, end = {"x-end", "yes"};
    char *body = malloc(len + 1);
    assert_non_null(body);
    memset(body, 'b', len);
    assert_int_equal(proto_h2_respond(s, 200, &type, 1, 0), 0);
    assert_int_equal(proto_h2_respond(s, 200, &type, 1, 0), -EALREADY);
    assert_int_equal(proto_h2_write(s, "head", 4, body, len), 0);
    assert_int_equal(proto_h2_finish(s, &end, 1), 0);
    assert_int_equal(proto_h2_finish(s, &end, 1), -EALREADY);
}

static void on_end(void *arg, struct proto_h2_stream *s)
{
    struct seen *t = arg;
    t->ends++;
    if (t->answer)
        reply(s, (size_t)t->answer);
}

static void on_drained(void *arg, struct proto_h2_stream *s)
{
    struct seen *t = arg;
    assert_int_equal(s->unsent, 0);
    t->drains++;
}

static void on_closed(void *arg, struct proto_h2_stream *s, uint32_t error)
{
    struct seen *t = arg;
    (void)s;
    t->closes++;
    t->error = error;
}

static const struct proto_h2_events events = {on_open, on_data, on_end, on_drained, on_closed};

int setup(void **state)
{
    const struct proto_h2_limits limits = {10, 8192, WINDOW, 1 << 20};
    struct seen *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(proto_h2_create(&t->h, &limits, &events, t), 0);
    *state = t;
    return 0;
}

int teardown(void **state)
{
    struct seen *t = *state;
    proto_h2_destroy(t->h);
    free(t);
    return 0;
}

/* ---- frames ---- */

size_t head(unsigned char *to, size_t len, int type, int flags, uint32_t id)
{
    const unsigned char h[9] = {
        (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
        (unsigned char)type,        (unsigned char)flags,      (unsigned char)(id >> 24),
        (unsigned char)(id >> 16),  (unsigned char)(id >> 8),  (unsigned char)id};
    memcpy(to, h, 9);
    return 9;
}

int send_frame(struct seen *t, int type, int flags, uint32_t id, const void *payload, size_t len)
{
    unsigned char *frame = malloc(9 + len);
    assert_non_null(frame);
    size_t n = head(frame, len, type, flags, id);
    if (len)
        memcpy(frame + n, payload, len);
    int rc = proto_h2_feed(t->h, frame, n + len);
    free(frame);
    return rc;
}

void half_hello(struct seen *t)
{
    assert_int_equal(proto_h2_feed(t->h, preface, sizeof(preface) - 1), 0);
    assert_int_equal(send_frame(t, SETTINGS, 0, 0, "", 0), 0);
}

void hello(struct seen *t)
{
    half_hello(t);
    assert_int_equal(send_frame(t, SETTINGS, ACK, 0, "", 0), 0); /* ours are in force */
}

void request(struct seen *t, uint32_t id, int flags)
{
    assert_int_equal(
        send_frame(t, HEADERS, END_HEADERS | flags, id, post_request, sizeof(post_request)), 0);
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct heard listen_to(struct seen *t)
{
    struct heard ret = {.goaway = 0xffff, .rst = 0xffff};
    unsigned char *all = NULL;
    size_t len = 0;
    const void *piece;
    long n;
    while ((n = proto_h2_take(t->h, &piece)) > 0) {
        all = realloc(all, len + (size_t)n);
        assert_non_null(all);
        memcpy(all + len, piece, (size_t)n);
        len += (size_t)n;
    }
    assert_int_equal(n, 0);
    for (size_t at = 0; at < len;) {
        const unsigned char *f = all + at;
        size_t size = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        assert_true(at + 9 + size <= len && f[3] < 16);
        ret.count[f[3]]++;
        ret.ends += f[3] <= HEADERS && f[4] & END_STREAM;
        if (f[3] == DATA)
            ret.data += size;
        if (f[3] == GOAWAY)
            ret.goaway = u32(f + 9 + 4);
        if (f[3] == RST_STREAM)
            ret.rst = u32(f + 9);
        if (f[3] == WINDOW_UPDATE && u32(f + 5))
            ret.window += u32(f + 9);
        at += 9 + size;
    }
    free(all);
    return ret;
}
