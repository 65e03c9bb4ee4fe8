/* One HTTP/2 connection, driven by frames written out by hand: nothing here trusts the library that
 * the code under test is made of. */
#include "protocol/http2.h"
#include "protocol/http2_frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

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

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const unsigned char post_request[] = {0x83, 0x86, 0x84, 0x01, 1, 'x'}; /* POST http / x */

struct seen {
    struct proto_h2 *h;
    struct proto_h2_stream *last;
    int opens, ends, closes, drains, too_large;
    uint32_t error; /* of the last close */
    size_t body;
    int consume; /* give the window back at once */
    int answer;  /* "ok" with a trailer at the end of a request */
};

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

static void answer(struct proto_h2_stream *s, size_t len)
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
        answer(s, (size_t)t->answer);
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

static int setup(void **state)
{
    const struct proto_h2_limits limits = {10, 8192, WINDOW, 1 << 20};
    struct seen *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(proto_h2_create(&t->h, &limits, &events, t), 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct seen *t = *state;
    proto_h2_destroy(t->h);
    free(t);
    return 0;
}

/* ---- frames ---- */

static size_t head(unsigned char *to, size_t len, int type, int flags, uint32_t id)
{
    const unsigned char h[9] = {
        (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
        (unsigned char)type,        (unsigned char)flags,      (unsigned char)(id >> 24),
        (unsigned char)(id >> 16),  (unsigned char)(id >> 8),  (unsigned char)id};
    memcpy(to, h, 9);
    return 9;
}

static int send_frame(struct seen *t, int type, int flags, uint32_t id, const void *payload,
                      size_t len)
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

static void half_hello(struct seen *t)
{
    assert_int_equal(proto_h2_feed(t->h, preface, sizeof(preface) - 1), 0);
    assert_int_equal(send_frame(t, SETTINGS, 0, 0, "", 0), 0);
}

static void hello(struct seen *t)
{
    half_hello(t);
    assert_int_equal(send_frame(t, SETTINGS, ACK, 0, "", 0), 0); /* ours are in force */
}

static void request(struct seen *t, uint32_t id, int flags)
{
    assert_int_equal(
        send_frame(t, HEADERS, END_HEADERS | flags, id, post_request, sizeof(post_request)), 0);
}

/* All that it has to say. count[type]: frames; the error code of the last GOAWAY and RST_STREAM. */
struct heard {
    int count[16], ends;
    uint32_t goaway, rst;
    size_t data;
    size_t window; /* sum of the increments for streams */
};

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct heard listen_to(struct seen *t)
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

/* ---- tests ---- */

static void a_request_and_its_answer(void **state)
{
    struct seen *t = *state;
    t->answer = 2;
    hello(t);
    struct heard first = listen_to(t);
    assert_int_equal(first.count[SETTINGS], 2); /* ours, and the ACK of theirs */
    request(t, 1, 0);
    assert_int_equal(t->opens, 1);
    assert_string_equal(proto_h2_header(t->last, ":method"), "POST");
    assert_string_equal(proto_h2_header(t->last, ":path"), "/");
    assert_null(proto_h2_header(t->last, "te"));
    send_frame(t, DATA, 0, 1, "hello", 5);
    assert_int_equal(t->ends, 0);
    send_frame(t, DATA, END_STREAM, 1, "", 0);
    assert_int_equal(t->ends, 1);
    assert_int_equal(t->body, 5);
    struct heard h = listen_to(t);
    assert_int_equal(h.count[HEADERS], 2); /* and trailers */
    assert_int_equal(h.data, 6);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.count[RST_STREAM], 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->error, 0);
    assert_false(proto_h2_is_done(t->h));
}

static void bytes_one_by_one(void **state)
{
    struct seen *t = *state;
    unsigned char wire[256];
    size_t n = sizeof(preface) - 1;
    memcpy(wire, preface, n);
    n += head(wire + n, 0, SETTINGS, 0, 0);
    n += head(wire + n, sizeof(post_request), HEADERS, END_HEADERS, 1);
    memcpy(wire + n, post_request, sizeof(post_request));
    n += sizeof(post_request);
    n += head(wire + n, 4, DATA, END_STREAM, 1);
    memcpy(wire + n, "abcd", 4);
    n += 4;
    t->answer = 70000;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(proto_h2_feed(t->h, wire + i, 1), 0);
    assert_int_equal(t->body, 4);
    struct heard h = listen_to(t);
    assert_int_equal(h.data, 65535); /* the window that a client has by default */
    assert_int_equal(h.ends, 0);
    send_frame(t, WINDOW_UPDATE, 0, 1, "\0\1\0\0", 4);
    send_frame(t, WINDOW_UPDATE, 0, 0, "\0\1\0\0", 4);
    h = listen_to(t);
    assert_int_equal(h.data, 70004 - 65535);
    assert_int_equal(h.ends, 1);
    assert_int_equal(t->drains, 0); /* it was finished, nobody waits to write more */
}

static void the_window_opens_by_consuming_alone(void **state)
{
    struct seen *t = *state;
    char *piece = calloc(1, 16384);
    assert_non_null(piece);
    hello(t);
    request(t, 1, 0);
    listen_to(t);
    for (int i = 0; i < WINDOW / 16384; i++)
        send_frame(t, DATA, 0, 1, piece, 16384);
    assert_int_equal(listen_to(t).window, 0);
    proto_h2_consume(t->last, t->body);
    assert_int_equal(listen_to(t).window, t->body);
    for (int i = 0; i < WINDOW / 16384 + 1; i++)
        send_frame(t, DATA, 0, 1, piece, 16384);
    struct heard h = listen_to(t); /* more than the window: an error of this stream */
    assert_int_equal(h.rst, 3);    /* FLOW_CONTROL_ERROR */
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->error, 3);
    free(piece);
}

static void an_early_answer_stops_the_client(void **state)
{
    struct seen *t = *state;
    hello(t);
    request(t, 1, 0);
    answer(t->last, 2);
    struct heard h = listen_to(t);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.rst, PROTO_H2_NO_ERROR);
    assert_int_equal(t->closes, 1);
}

static void a_client_that_cancels(void **state)
{
    struct seen *t = *state;
    hello(t);
    request(t, 1, END_STREAM);
    send_frame(t, RST_STREAM, 0, 1, "\0\0\0\x08", 4);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->error, PROTO_H2_CANCEL);
    assert_int_equal(proto_h2_streams(t->h), 0);
}

static void streams_and_headers_have_limits(void **state)
{
    struct seen *t = *state;
    unsigned char block[12000];
    half_hello(t); /* it cannot know the limit yet */
    for (uint32_t i = 0; i < 11; i++)
        request(t, 1 + 2 * i, 0);
    assert_int_equal(t->opens, 10);
    assert_int_equal(listen_to(t).rst, PROTO_H2_REFUSED_STREAM);
    send_frame(t, RST_STREAM, 0, 1, "\0\0\0\x08", 4);
    size_t n = sizeof(post_request);
    memcpy(block, post_request, n);
    const unsigned char long_field[] = {0x00, 1, 'a', 0x7f, 0x89, 0x4d}; /* a: 10000 bytes */
    memcpy(block + n, long_field, sizeof(long_field));
    n += sizeof(long_field);
    memset(block + n, 'x', 127 + 9 + 0x4d * 128);
    n += 127 + 9 + 0x4d * 128;
    send_frame(t, HEADERS, END_HEADERS | END_STREAM, 101, block, n);
    assert_int_equal(t->opens, 11);
    assert_int_equal(t->too_large, 1);
    assert_null(proto_h2_header(t->last, "a"));
    send_frame(t, SETTINGS, ACK, 0, "", 0);
    request(t, 103, 0);
    assert_int_equal(t->opens, 11);
    assert_int_equal(listen_to(t).goaway, 1); /* now it knows: PROTOCOL_ERROR */
}

static void floods_end_the_connection(void **state)
{
    struct seen *t = *state;
    static const struct {
        const char *name;
        int type, flags;
        uint32_t id;
        size_t len;
    } floods[] = {
        {"ping", PING, 0, 0, 8},         {"settings", SETTINGS, 0, 0, 0},
        {"empty data", DATA, 0, 1, 0},   {"window updates", WINDOW_UPDATE, 0, 0, 4},
        {"padding", DATA, PADDED, 1, 2}, /* one byte of it, and none of data */
    };
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        void *mine;
        const unsigned char zeros[8] = {0, 0, 0, 1}, pad[8] = {1};
        const unsigned char *payload = floods[i].flags & PADDED ? pad : zeros;
        struct heard h = {.goaway = 0xffff};
        int n = 0;
        setup(&mine);
        t = mine;
        hello(t);
        request(t, 1, 0);
        listen_to(t);
        for (; n < 20000 && h.goaway == 0xffff; n++) {
            int rc = send_frame(t, floods[i].type, floods[i].flags, floods[i].id, payload,
                                floods[i].len);
            assert_int_equal(rc, 0);
            if (n % 500 == 0)
                h = listen_to(t);
        }
        print_message("# %s: %d frames\n", floods[i].name, n);
        assert_int_equal(h.goaway, PROTO_H2_ENHANCE_YOUR_CALM);
        assert_in_range(n, 9000, 12000);
        assert_true(proto_h2_is_done(t->h));
        teardown(&mine);
    }
}

/* Of one byte each: the client pays nine more for each, and so may send more of them. */
static void thin_data_ends_the_connection(void **state)
{
    struct seen *t = *state;
    uint32_t goaway = 0xffff;
    int n = 0;
    hello(t);
    request(t, 1, 0);
    t->consume = 1;
    for (; n < 400000 && goaway == 0xffff; n++) {
        send_frame(t, DATA, 0, 1, "x", 1);
        if (n % 500 == 0)
            goaway = listen_to(t).goaway;
    }
    assert_int_equal(goaway, PROTO_H2_ENHANCE_YOUR_CALM);
    assert_in_range(n, 150000, 200000);
}

/* A field of 4000 bytes in the table, named by one byte each. */
static size_t bomb(unsigned char *block, size_t names, int first)
{
    size_t n = sizeof(post_request);
    memcpy(block, post_request, n);
    if (first) {
        const unsigned char field[] = {0x40, 1, 'a', 0x7f, 0xa1, 0x1e}; /* indexed, 4000 bytes */
        memcpy(block + n, field, sizeof(field));
        n += sizeof(field);
        memset(block + n, 'x', 4000);
        n += 4000;
    }
    memset(block + n, 0xbe, names); /* entry 62: the newest */
    return n + names;
}

static void one_bomb_of_headers_ends_the_connection(void **state)
{
    struct seen *t = *state;
    unsigned char block[16000];
    hello(t);
    size_t n = bomb(block, 10000, 1); /* 40 MB */
    assert_int_equal(send_frame(t, HEADERS, END_HEADERS | END_STREAM, 1, block, n), -EPROTO);
    assert_int_equal(listen_to(t).goaway, PROTO_H2_ENHANCE_YOUR_CALM);
    assert_int_equal(t->opens, 0);
}

/* Each too long, none absurd. */
static void many_long_lists_end_the_connection(void **state)
{
    struct seen *t = *state;
    unsigned char block[16000];
    uint32_t goaway = 0xffff, n = 0;
    hello(t);
    t->answer = 2;
    for (; n < 5000 && goaway == 0xffff; n++) {
        size_t len = bomb(block, 14, n == 0);
        send_frame(t, HEADERS, END_HEADERS | END_STREAM, 1 + 2 * n, block, len);
        goaway = listen_to(t).goaway;
    }
    assert_true(t->too_large > 100);
    assert_int_equal(goaway, PROTO_H2_ENHANCE_YOUR_CALM);
    assert_in_range(n, 500, 2500);
}

/* Decoded all the same, for the sake of the table. */
static void blocks_of_refused_streams_are_charged(void **state)
{
    struct seen *t = *state;
    unsigned char block[16000];
    uint32_t goaway = 0xffff, n = 0;
    half_hello(t); /* it cannot know the limit yet */
    for (uint32_t i = 0; i < 10; i++)
        request(t, 1 + 2 * i, 0);
    memcpy(block, post_request, sizeof(post_request));
    memset(block + sizeof(post_request), 0x82, 15000);
    for (; n < 5000 && goaway == 0xffff; n++) {
        send_frame(t, HEADERS, END_HEADERS | END_STREAM, 101 + 2 * n, block, 15000);
        goaway = listen_to(t).goaway;
    }
    assert_int_equal(goaway, PROTO_H2_ENHANCE_YOUR_CALM);
    assert_in_range(n, 300, 1000);
}

static void time_and_work_earn_patience(void **state)
{
    struct seen *t = *state;
    hello(t);
    for (uint32_t n = 0; n < 30000; n++) {
        assert_int_equal(send_frame(t, PING, 0, 0, "12345678", 8), 0);
        if (n % 500 == 0)
            proto_h2_tick(t->h);
        if (n % 100 == 0)
            assert_int_equal(listen_to(t).goaway, 0xffff);
    }
}

static void rapid_resets_end_the_connection(void **state)
{
    struct seen *t = *state;
    uint32_t n = 0, goaway = 0xffff;
    hello(t);
    for (; n < 5000 && goaway == 0xffff; n++) {
        request(t, 1 + 2 * n, END_STREAM);
        send_frame(t, RST_STREAM, 0, 1 + 2 * n, "\0\0\0\x08", 4);
        goaway = listen_to(t).goaway;
    }
    assert_in_range(n, 900, 2000);
    assert_int_equal(goaway, 2); /* the library says INTERNAL_ERROR */
    assert_int_equal(t->opens, t->closes);
}

static void continuations_end(void **state)
{
    struct seen *t = *state;
    int rc = 0, n = 0;
    hello(t);
    listen_to(t);
    rc = send_frame(t, HEADERS, 0, 1, post_request, sizeof(post_request));
    for (; n < 1000 && rc == 0 && !proto_h2_is_done(t->h); n++) {
        rc = send_frame(t, CONTINUATION, 0, 1, "", 0);
        listen_to(t);
    }
    assert_in_range(n, 1, 20);
    assert_int_equal(t->opens, 0);
}

static void not_http2(void **state)
{
    struct seen *t = *state;
    static const char http1[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(proto_h2_feed(t->h, http1, sizeof(http1) - 1), -EPROTO);
    listen_to(t);
    assert_true(proto_h2_is_done(t->h));
    assert_int_equal(proto_h2_feed(t->h, http1, sizeof(http1) - 1), -EPROTO);
}

static void the_way_out(void **state)
{
    struct seen *t = *state;
    hello(t);
    request(t, 1, 0);
    listen_to(t);
    proto_h2_announce_end(t->h);
    assert_int_equal(listen_to(t).goaway, 0);
    request(t, 3, 0); /* it had not heard yet */
    assert_int_equal(t->opens, 2);
    proto_h2_end(t->h);
    assert_int_equal(listen_to(t).goaway, 0);
    request(t, 5, 0);
    assert_int_equal(t->opens, 2);
    assert_false(proto_h2_is_done(t->h));
    t->answer = 3;
    send_frame(t, DATA, END_STREAM, 1, "", 0);
    send_frame(t, DATA, END_STREAM, 3, "", 0);
    assert_int_equal(listen_to(t).ends, 2);
    assert_true(proto_h2_is_done(t->h));
}

static void what_is_open_is_closed_by_destroy(void **state)
{
    void *mine;
    (void)state;
    setup(&mine);
    struct seen *t = mine, copy;
    hello(t);
    request(t, 1, 0);
    answer(t->last, 100000); /* unsent */
    request(t, 3, 0);
    proto_h2_destroy(t->h);
    copy = *t;
    free(t);
    assert_int_equal(copy.closes, 2);
    assert_int_equal(copy.error, PROTO_H2_CANCEL);
}

/* ---- the heads of frames ---- */

/* What is refused, and where, does not depend on how the bytes were cut on their way. */
static void cut_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned char bytes[32]; /* behind a request on stream 1 that has ended */
        size_t len, good;
        uint32_t error;
    } rows[] = {
        {"DATA on a closed stream", {0, 0, 1, DATA, 0, 0, 0, 0, 1, 'x'}, 10, 0, 5},
        {"PRIORITY of 3 on 3", {0, 0, 5, PRIORITY, 0, 0, 0, 0, 3, 0, 0, 0, 3, 16}, 14, 12, 1},
        {"PRIORITY of 3 on 1", {0, 0, 5, PRIORITY, 0, 0, 0, 0, 3, 0, 0, 0, 1, 16}, 14, 14, 0},
        {"HEADERS of 3 on 3",
         {0, 0, 7, HEADERS, 0x2c, 0, 0, 0, 3, 0, 0x80, 0, 0, 3, 16, 0x83},
         16,
         13,
         1},
        {"HEADERS of 3 on 1, with 3 bytes of padding",
         {0, 0, 10, HEADERS, 0x2c, 0, 0, 0, 3, 3, 0, 0, 0, 1, 16, 0x83, 0, 0, 3},
         19,
         19,
         0},
    };
    unsigned char all[96];
    size_t before = sizeof(preface) - 1;
    memcpy(all, preface, before);
    memcpy(all + before, (unsigned char[]){0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x83}, 10);
    before += 10;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t first = 1; first <= before + rows[i].len; first++) {
            struct proto_h2_frames f;
            uint32_t error = 0;
            size_t len = before + rows[i].len;
            memcpy(all + before, rows[i].bytes, rows[i].len);
            proto_h2_frames_init(&f);
            size_t good = proto_h2_frames_check(&f, all, first, &error);
            for (size_t at = first; !error && at < len; at++)
                good += proto_h2_frames_check(&f, all + at, 1, &error);
            assert_int_equal(error, rows[i].error);
            /* of a head that is refused, bytes that came before its last have gone on already */
            if (rows[i].good > 9 || first == len)
                assert_int_equal(good, before + rows[i].good);
            else
                assert_in_range(good, before + rows[i].good, before + 9);
        }
}

/* Five hundred and twelve streams are remembered, and no bit is taken for another's. */
static void ended_streams_are_remembered(void **state)
{
    (void)state;
    struct proto_h2_frames f;
    uint32_t error = 0;
    proto_h2_frames_init(&f);
    assert_int_equal(proto_h2_frames_check(&f, preface, sizeof(preface) - 1, &error),
                     sizeof(preface) - 1);
    for (unsigned stream = 1; stream < 4001; stream += 2) {
        unsigned char h[9] = {0,
                              0,
                              0,
                              HEADERS,
                              stream % 6 == 1 ? 4 : 5,
                              0,
                              0,
                              (unsigned char)(stream >> 8),
                              (unsigned char)stream};
        assert_int_equal(proto_h2_frames_check(&f, h, 9, &error), 9);
        for (unsigned back = 0; back < 1200 && back < stream; back += 2) {
            struct proto_h2_frames copy = f;
            unsigned old = stream - back;
            unsigned char d[9] = {
                0, 0, 0, DATA, 0, 0, 0, (unsigned char)(old >> 8), (unsigned char)old};
            error = 0;
            proto_h2_frames_check(&copy, d, 9, &error);
            assert_int_equal(error, back / 2 < PROTO_H2_REMEMBERED && old % 6 != 1 ? 5 : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_and_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_opens_by_consuming_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(an_early_answer_stops_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_and_headers_have_limits, setup, teardown),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(ended_streams_are_remembered),
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test_setup_teardown(thin_data_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(one_bomb_of_headers_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(many_long_lists_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_of_refused_streams_are_charged, setup, teardown),
        cmocka_unit_test_setup_teardown(time_and_work_earn_patience, setup, teardown),
        cmocka_unit_test_setup_teardown(rapid_resets_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(continuations_end, setup, teardown),
        cmocka_unit_test_setup_teardown(not_http2, setup, teardown),
        cmocka_unit_test_setup_teardown(the_way_out, setup, teardown),
        cmocka_unit_test(what_is_open_is_closed_by_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
