/* One HTTP/2 connection, driven by frames written out by hand: nothing here trusts the library that
 * the code under test is made of. */
#include "protocol/http2.h"
#include "protocol/http2_frames.h"
#include "tests/unit/http2_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

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
    reply(t->last, 2);
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
    reply(t->last, 100000); /* unsent */
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
        cmocka_unit_test_setup_teardown(rapid_resets_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(continuations_end, setup, teardown),
        cmocka_unit_test_setup_teardown(not_http2, setup, teardown),
        cmocka_unit_test_setup_teardown(the_way_out, setup, teardown),
        cmocka_unit_test(what_is_open_is_closed_by_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
