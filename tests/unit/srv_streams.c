/* gRPC calls over one HTTP/2 connection without a socket: a client of nghttp2 on one side, the
 * port's streams on the other. Statuses, messages cut anywhere, streams of many, clients that
 * reset, and REST beside them. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "protocol/http2.h"
#include "server/transport/grpc_stream.h"
#include "server/transport/rest_stream.h"
#include "server/transport/transport.h"
#include "tests/unit/house.h"

enum { STREAMS = 8 };

/* What the client sends on a stream, and what it got. */
struct asked {
    int32_t id;
    const unsigned char *body;
    size_t len, sent, piece; /* of a DATA frame; 0: as much as fits */
    int keeps_open;          /* the client does not end it */
    char status[16], grpc_status[8], message[256];
    unsigned char got[8192];
    size_t n_got;
    int closed; /* 1 + the error */
};

struct line {
    struct house house;
    struct srv_transport transport;
    struct srv_stream_home home;
    struct proto_h2 *server;
    nghttp2_session *client;
    struct asked all[STREAMS];
    int n;
};

static struct asked *asked_by(struct line *l, int32_t id)
{
    for (int i = 0; i < l->n; i++)
        if (l->all[i].id == id)
            return &l->all[i];
    fail_msg("there is no stream %d", id);
    return NULL;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct asked *a = asked_by(arg, f->hd.stream_id);
    (void)s;
    (void)flags;
    static const char *const names[] = {":status", "grpc-status", "grpc-message"};
    char *const to[] = {a->status, a->grpc_status, a->message};
    const size_t room[] = {sizeof(a->status), sizeof(a->grpc_status), sizeof(a->message)};
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            snprintf(to[i], room[i], "%.*s", (int)value_len, (const char *)value);
    return 0;
}

static int on_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                    void *arg)
{
    struct asked *a = asked_by(arg, id);
    (void)s;
    (void)flags;
    assert_true(a->n_got + len <= sizeof(a->got));
    memcpy(a->got + a->n_got, data, len);
    a->n_got += len;
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
    (void)s;
    asked_by(arg, id)->closed = 1 + (int)error;
    return 0;
}

static ssize_t read_body(nghttp2_session *s, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct asked *a = source->ptr;
    size_t n = a->len - a->sent;
    (void)s;
    (void)id;
    (void)arg;
    n = n > room ? room : n;
    n = a->piece && n > a->piece ? a->piece : n;
    memcpy(to, a->body + a->sent, n);
    a->sent += n;
    if (a->sent == a->len && a->keeps_open && n == 0)
        return NGHTTP2_ERR_DEFERRED;
    if (a->sent == a->len && !a->keeps_open)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void dirty(struct srv_stream_home *home)
{
    (void)home; /* every turn of carry() takes what there is */
}

static void open_line(struct line *l)
{
    nghttp2_session_callbacks *cb;
    const struct proto_h2_limits limits = {100, 32768, 1 << 20, 16 << 20};
    memset(l, 0, sizeof(*l));
    house_open(&l->house, "");
    l->transport = (struct srv_transport){.env = &l->house.env, .api = &l->house.api};
    srv_stream_home_init(&l->home, &l->transport);
    l->home.client = "test";
    l->home.client_fd = -1;
    l->home.dirty = dirty;
    assert_int_equal(proto_h2_create(&l->server, &limits, &srv_port_events, &l->home), 0);
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    assert_int_equal(nghttp2_session_client_new(&l->client, cb, l), 0);
    nghttp2_session_callbacks_del(cb);
    assert_int_equal(nghttp2_submit_settings(l->client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static void close_line(struct line *l)
{
    nghttp2_session_del(l->client);
    proto_h2_destroy(l->server);
    assert_null(l->home.streams);
    assert_null(l->home.rests);
    assert_int_equal(l->home.partial, 0);
    srv_stream_home_finish(&l->home);
    while (l->house.sched.requests) /* of who left: jobs are on their way back */
        uv_run(&l->house.env.loop, UV_RUN_ONCE);
    house_close(&l->house);
}

/* Bytes both ways, until neither has any. */
static void carry(struct line *l)
{
    int moved = 1;
    while (moved) {
        const uint8_t *out;
        const void *in;
        ssize_t n = nghttp2_session_mem_send(l->client, &out);
        assert_true(n >= 0);
        if (n > 0)
            assert_int_equal(proto_h2_feed(l->server, out, (size_t)n), 0);
        long m = proto_h2_take(l->server, &in);
        assert_true(m >= 0);
        if (m > 0)
            assert_true(nghttp2_session_mem_recv(l->client, in, (size_t)m) == m);
        moved = n > 0 || m > 0;
    }
}

static struct asked *ask(struct line *l, const char *method, const char *path, const char *type,
                         const void *body, size_t len, const char *timeout)
{
#define FIELD(name, value)                                                                         \
    {(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value), 0}
    nghttp2_nv fields[] = {
        FIELD(":method", method),    FIELD(":scheme", "http"),
        FIELD(":path", path),        FIELD(":authority", "x"),
        FIELD("content-type", type), FIELD("grpc-timeout", timeout ? timeout : "")};
    struct asked *a = &l->all[l->n++];
    *a = (struct asked){.body = body, .len = len};
    nghttp2_data_provider data = {.source.ptr = a, .read_callback = read_body};
    a->id = nghttp2_submit_request(l->client, NULL, fields, timeout ? 6 : 5, &data, NULL);
    assert_true(a->id > 0);
    return a;
}

static void wait_closed(struct line *l, const struct asked *a)
{
    carry(l);
    while (!a->closed) {
        uv_run(&l->house.env.loop, UV_RUN_ONCE);
        carry(l);
    }
}

/* ---- messages ---- */

#define METHOD "/inference.GRPCInferenceService/"
#define GRPC "application/grpc"

static size_t field(unsigned char *to, int number, const void *data, size_t len)
{
    assert_true(len < 128);
    to[0] = (unsigned char)(number << 3 | 2);
    to[1] = (unsigned char)len;
    memcpy(to + 2, data, len);
    return len + 2;
}

/* A message with its prefix: ModelInferRequest of inference.proto, one picture. */
static size_t infer_message(unsigned char *to, const char *model, const char *id,
                            const void *picture, size_t len)
{
    unsigned char input[64];
    size_t n = 5, m = field(input, 1, "input", 5);
    m += field(input + m, 2, "BYTES", 5);
    m += field(input + m, 3, "\1", 1);
    n += field(to + n, 1, model, strlen(model));
    n += field(to + n, 3, id, strlen(id));
    n += field(to + n, 5, input, m);
    n += field(to + n, 7, picture, len);
    memcpy(to, (unsigned char[]){0, 0, 0, 0, (unsigned char)(n - 5)}, 5);
    return n;
}

/* How many messages have come, each with its whole length. */
static int messages(const struct asked *a)
{
    int n = 0;
    for (size_t at = 0; at < a->n_got; n++) {
        assert_true(a->n_got - at >= 5);
        const unsigned char *p = a->got + at;
        at += 5 + ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]);
        assert_true(at <= a->n_got);
    }
    return n;
}

static int says(const struct asked *a, const char *text)
{
    return memmem(a->got, a->n_got, text, strlen(text)) != NULL;
}

/* ---- tests ---- */

static void one_message_cut_anywhere(void **state)
{
    (void)state;
    struct line l;
    unsigned char message[256];
    static const size_t pieces[] = {0, 1, 3, 7};
    open_line(&l);
    for (int i = 0; i < 4; i++) {
        size_t n = infer_message(message, "tiny", "mine", house_png, sizeof(house_png));
        struct asked *a = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n, NULL);
        a->piece = pieces[i];
        wait_closed(&l, a);
        if (strcmp(a->grpc_status, "0") != 0)
            fail_msg("grpc-status %s %s", a->grpc_status, a->message);
        assert_string_equal(a->status, "200");
        assert_int_equal(messages(a), 1);
        assert_true(says(a, "mine") && says(a, "probabilities"));
    }
    close_line(&l);
}

static void statuses(void **state)
{
    (void)state;
    struct line l;
    unsigned char whole[256], cut[256], nobody[256], broken[256];
    size_t n = infer_message(whole, "tiny", "1", house_png, sizeof(house_png));
    memcpy(cut, whole, n);
    size_t m = infer_message(nobody, "nobody", "1", house_png, sizeof(house_png));
    size_t k = infer_message(broken, "tiny", "1", house_png, sizeof(house_png) - 20);
    const struct {
        const char *method, *path, *type;
        const void *body;
        size_t len;
        const char *timeout, *status, *grpc;
    } rows[] = {
        {"POST", METHOD "Nothing", GRPC, "", 0, NULL, "200", "12"},
        {"POST", METHOD "ModelInfer", GRPC, cut, n - 1, NULL, "200", "13"},
        {"POST", METHOD "ModelInfer", GRPC, "", 0, NULL, "200", "13"},
        {"POST", METHOD "ModelInfer", GRPC, nobody, m, NULL, "200", "5"},
        {"POST", METHOD "ModelInfer", GRPC, broken, k, NULL, "200", "3"},
        {"POST", METHOD "ModelInfer", GRPC, whole, n, "1x", "200", "3"},
        {"GET", METHOD "ModelInfer", GRPC, "", 0, NULL, "405", ""},
        {"POST", METHOD "ModelInfer", "text/plain", "", 0, NULL, "415", ""},
    };
    open_line(&l);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct asked *a = ask(&l, rows[i].method, rows[i].path, rows[i].type, rows[i].body,
                              rows[i].len, rows[i].timeout);
        wait_closed(&l, a);
        if (strcmp(a->status, rows[i].status) || strcmp(a->grpc_status, rows[i].grpc))
            fail_msg("row %zu: %s, grpc %s %s", i, a->status, a->grpc_status, a->message);
        assert_int_equal(a->grpc_status[0] != 0, a->message[0] != 0);
    }
    close_line(&l);
}

/* Answers in the order of the messages, of which one is none; then more on the same stream. */
static void many_on_one_stream(void **state)
{
    (void)state;
    struct line l;
    unsigned char all[1024];
    size_t n = 0;
    open_line(&l);
    n += infer_message(all + n, "tiny", "id-a", house_png, sizeof(house_png));
    n += infer_message(all + n, "nobody", "id-b", house_png, sizeof(house_png));
    n += infer_message(all + n, "tiny", "id-c", house_png, sizeof(house_png));
    struct asked *a = ask(&l, "POST", METHOD "ModelStreamInfer", GRPC, all, n, NULL);
    a->keeps_open = 1;
    carry(&l);
    while (messages(a) < 3) {
        uv_run(&l.house.env.loop, UV_RUN_ONCE);
        carry(&l);
    }
    const char *ids[] = {"id-a", "id-b", "id-c"};
    const unsigned char *last = a->got;
    for (int i = 0; i < 3; i++) {
        const unsigned char *at = memmem(a->got, a->n_got, ids[i], 4);
        assert_true(at > last);
        last = at;
    }
    assert_int_equal(a->closed, 0);
    a->keeps_open = 0;
    assert_int_equal(nghttp2_session_resume_data(l.client, a->id), 0);
    wait_closed(&l, a);
    assert_string_equal(a->grpc_status, "0");
    assert_int_equal(messages(a), 3);
    close_line(&l);
}

static void who_resets_costs_nothing(void **state)
{
    (void)state;
    struct line l;
    unsigned char message[256];
    open_line(&l);
    size_t n = infer_message(message, "tiny", "1", house_png, sizeof(house_png));
    struct asked *a = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n, NULL);
    struct asked *half = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n - 7, NULL);
    half->keeps_open = 1;
    carry(&l);
    assert_true(l.home.partial > 0);
    nghttp2_submit_rst_stream(l.client, NGHTTP2_FLAG_NONE, a->id, NGHTTP2_CANCEL);
    nghttp2_submit_rst_stream(l.client, NGHTTP2_FLAG_NONE, half->id, NGHTTP2_CANCEL);
    carry(&l);
    assert_null(l.home.streams);
    assert_int_equal(l.house.api.calls_open, 0);
    close_line(&l); /* with the next: memory, requests, calls */
}

static void late_streams_end(void **state)
{
    (void)state;
    struct line l;
    unsigned char message[256];
    open_line(&l);
    size_t n = infer_message(message, "tiny", "1", house_png, sizeof(house_png));
    struct asked *a = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n - 1, "1S");
    a->keeps_open = 1;
    carry(&l);
    srv_stream_tick(&l.home, uv_hrtime());
    carry(&l);
    assert_int_equal(a->closed, 0);
    srv_stream_tick(&l.home, uv_hrtime() + (uint64_t)3600 * 1000000000); /* an hour later */
    carry(&l);
    assert_string_equal(a->grpc_status, "4");
    close_line(&l);
}

/* A message that is never whole ends, though its client gave no deadline. */
static void messages_that_never_come_end(void **state)
{
    (void)state;
    struct line l;
    unsigned char message[256];
    open_line(&l);
    size_t n = infer_message(message, "tiny", "1", house_png, sizeof(house_png));
    struct asked *a = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n - 1, NULL);
    a->keeps_open = 1;
    carry(&l);
    srv_stream_tick(&l.home, uv_hrtime());
    carry(&l);
    assert_string_equal(a->grpc_status, "");
    srv_stream_tick(&l.home, uv_hrtime() + (uint64_t)3600 * 1000000000);
    carry(&l);
    assert_true(a->grpc_status[0] && strcmp(a->grpc_status, "0") != 0);
    close_line(&l);
}

/* One answer at once, and one for each change. */
static void health_is_watched(void **state)
{
    (void)state;
    struct line l;
    static const unsigned char all[5];
    open_line(&l);
    struct asked *a = ask(&l, "POST", "/grpc.health.v1.Health/Watch", GRPC, all, sizeof(all), NULL);
    carry(&l);
    while (messages(a) < 1) {
        uv_run(&l.house.env.loop, UV_RUN_NOWAIT);
        carry(&l);
    }
    static const unsigned char serving[] = {0, 0, 0, 0, 2, 8, 1},
                               not_serving[] = {0, 0, 0, 0, 2, 8, 2};
    assert_int_equal(a->n_got, sizeof(serving));
    assert_memory_equal(a->got, serving, sizeof(serving));
    srv_stream_tick(&l.home, uv_hrtime());
    carry(&l);
    assert_int_equal(messages(a), 1); /* nothing has changed */
    l.house.api.phase = SRV_GRACE;
    srv_stream_tick(&l.home, uv_hrtime());
    carry(&l);
    assert_int_equal(messages(a), 2);
    assert_memory_equal(a->got + sizeof(serving), not_serving, sizeof(not_serving));
    assert_int_equal(a->closed, 0);
    l.house.api.phase = SRV_SERVING;
    close_line(&l);
}

static void compressed_without_a_coding(void **state)
{
    (void)state;
    struct line l;
    unsigned char message[256];
    open_line(&l);
    size_t n = infer_message(message, "tiny", "1", house_png, sizeof(house_png));
    message[0] = 1;
    struct asked *a = ask(&l, "POST", METHOD "ModelInfer", GRPC, message, n, NULL);
    wait_closed(&l, a);
    assert_true(a->grpc_status[0] && strcmp(a->grpc_status, "0") != 0);
    close_line(&l);
}

static void rest_beside_it(void **state)
{
    (void)state;
    struct line l;
    open_line(&l);
    struct asked *a =
        ask(&l, "PUT", "/v1/classify", "image/png", house_png, sizeof(house_png), NULL);
    struct asked *b = ask(&l, "GET", "/nothing", "text/plain", "", 0, NULL);
    a->piece = 10;
    wait_closed(&l, a);
    wait_closed(&l, b);
    assert_string_equal(a->status, "200");
    assert_true(says(a, "\"predictions\""));
    assert_string_equal(b->status, "404");
    close_line(&l);
}

static void streams_that_wait_end_with_the_server(void **state)
{
    (void)state;
    struct line l;
    open_line(&l);
    struct asked *a = ask(&l, "POST", METHOD "ModelStreamInfer", GRPC, "", 0, NULL);
    a->keeps_open = 1;
    carry(&l);
    srv_stream_drain(&l.home);
    carry(&l);
    assert_string_equal(a->grpc_status, "14");
    close_line(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_cut_anywhere),
        cmocka_unit_test(statuses),
        cmocka_unit_test(many_on_one_stream),
        cmocka_unit_test(who_resets_costs_nothing),
        cmocka_unit_test(late_streams_end),
        cmocka_unit_test(messages_that_never_come_end),
        cmocka_unit_test(health_is_watched),
        cmocka_unit_test(compressed_without_a_coding),
        cmocka_unit_test(rest_beside_it),
        cmocka_unit_test(streams_that_wait_end_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
