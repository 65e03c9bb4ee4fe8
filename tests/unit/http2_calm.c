/* What costs much and brings little ends the connection, and what earns does not. */
#include "protocol/http2_calm.h"
#include "tests/unit/http2_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void floods_end_the_connection(void **state)
{
    (void)state;
    struct seen *t;
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

/* To the last unit. */
static void what_it_counts(void **state)
{
    (void)state;
    struct proto_h2_calm c;
    proto_h2_calm_init(&c);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(proto_h2_calm_fault(&c), 0);
    assert_int_equal(proto_h2_calm_fault(&c), 1);
    assert_int_equal(proto_h2_calm_fault(&c), 1);
    proto_h2_calm_tick(&c);
    for (int i = 0; i < 100; i++)
        assert_int_equal(proto_h2_calm_fault(&c), 0);
    assert_int_equal(proto_h2_calm_fault(&c), 1);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX); /* nobody saves */
    assert_int_equal(proto_h2_calm_data_frame(&c, 64), 0);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX);
    for (int i = 0; i < 16; i++)
        assert_int_equal(proto_h2_calm_data_frame(&c, 63), 0);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 1);
    for (int i = 0; i < 9; i++)
        assert_int_equal(proto_h2_calm_data_frame(&c, 0), 0);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 10);
    proto_h2_calm_request(&c);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 2);
    proto_h2_calm_data(&c, 4095);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 2);
    proto_h2_calm_data(&c, 1);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 1);
    assert_int_equal(proto_h2_calm_field(&c, 4096 - 32), 0);
    assert_int_equal(proto_h2_calm_blocks(&c, 1023), 0);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 2);
    assert_int_equal(proto_h2_calm_blocks(&c, 1024), 0);
    assert_int_equal(c.left, PROTO_H2_CALM_MAX - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_counts),
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test_setup_teardown(thin_data_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(one_bomb_of_headers_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(many_long_lists_end_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_of_refused_streams_are_charged, setup, teardown),
        cmocka_unit_test_setup_teardown(time_and_work_earn_patience, setup, teardown),
    };
    return cmocka_run_group_tests_name("http2_calm", tests, NULL, NULL);
}
