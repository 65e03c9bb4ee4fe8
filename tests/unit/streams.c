/* gRPC messages in any pieces, grpc-message, grpc-timeout; inflation with a cap; NDJSON lines. */
#include "protocol/grpc.h"
#include "protocol/inflate.h"
#include "protocol/ndjson.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

static void grpc_in_pieces_of_every_size(void **state)
{
    (void)state;
    enum { BIG = 200000 };
    size_t total = 5 + 3 + 5 + 5 + BIG;
    unsigned char *wire = calloc(1, total), *p = wire;
    assert_non_null(wire);
    proto_grpc_prefix(p, 3, 0);
    memcpy(p + 5, "abc", 3);
    proto_grpc_prefix(p + 8, 0, 1);
    proto_grpc_prefix(p + 13, BIG, 0);
    memset(p + 18, 'x', BIG);
    for (size_t piece = 1; piece < total; piece = piece < 20 ? piece + 1 : piece * 3) {
        struct proto_grpc_stream s;
        size_t lens[3] = {0}, got = 0;
        proto_grpc_init(&s, BIG, NULL);
        for (size_t at = 0; at < total;) {
            size_t used, len, n = total - at < piece ? total - at : piece;
            void *message;
            int zipped, r = proto_grpc_feed(&s, wire + at, n, &used, &message, &len, &zipped);
            assert_true(r >= 0 && used <= n);
            at += used;
            if (r) {
                assert_true(got < 3);
                assert_int_equal(zipped, got == 1);
                assert_true(!len || !memcmp(message, got ? "xxx" : "abc", 3));
                lens[got++] = len;
                free(message);
            }
        }
        assert_int_equal(got, 3);
        assert_true(lens[0] == 3 && lens[1] == 0 && lens[2] == BIG);
        assert_true(proto_grpc_at_boundary(&s));
        proto_grpc_finish(&s);
    }
    free(wire);
}

static void grpc_refusals(void **state)
{
    (void)state;
    struct proto_grpc_stream s;
    size_t used, len;
    void *message;
    int zipped;
    proto_grpc_init(&s, 10, NULL);
    assert_int_equal(proto_grpc_feed(&s, "\0\0\0\0\x0b", 5, &used, &message, &len, &zipped),
                     -EMSGSIZE);
    proto_grpc_init(&s, 10, NULL);
    assert_int_equal(proto_grpc_feed(&s, "\2\0\0\0\1x", 6, &used, &message, &len, &zipped),
                     -EPROTO);
    proto_grpc_init(&s, SIZE_MAX, NULL);
    /* 4 GB announced, one byte sent. */
    assert_int_equal(proto_grpc_feed(&s, "\0\xff\xff\xff\xffx", 6, &used, &message, &len, &zipped),
                     0);
    assert_int_equal(used, 6);
    assert_false(proto_grpc_at_boundary(&s));
    proto_grpc_finish(&s);
}

static void grpc_header_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"1500m", 1500000}, {"1H", 3600000000}, {"2M", 120000000},
                {"3S", 3000000},    {"7u", 7},          {"1n", 1},
                {"1001n", 2},       {"0S", 0},          {"99999999H", 359999996400000000}};
    static const char *const bad[] = {"", "1", "S", "123456789S", "-1S", "1.5S", "1s", "1 S", "1h"};
    uint64_t us;
    char buf[64], small[6];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(proto_grpc_timeout(good[i].text, strlen(good[i].text), &us), 0);
        assert_true(us == good[i].us);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(proto_grpc_timeout(bad[i], strlen(bad[i]), &us), -EINVAL);
    assert_int_equal(proto_grpc_message("50% \xc3\xa9\n", buf, sizeof(buf)), 15);
    assert_string_equal(buf, "50%25 %C3%A9%0A");
    assert_int_equal(proto_grpc_message("ab%%", small, sizeof(small)), 5);
    assert_string_equal(small, "ab%25");
}

static size_t deflated(const void *data, size_t len, int bits, unsigned char *out, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)data;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = cap - z.avail_out;
    deflateEnd(&z);
    return n;
}

static void inflation(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    static const int bits[] = {31, 15, -15};
    unsigned char *data = calloc(1, SIZE), *zipped = malloc(SIZE);
    void *got;
    size_t len;
    assert_true(data && zipped);
    for (int i = 0; i < 3; i++) {
        enum proto_coding coding = i ? PROTO_DEFLATE : PROTO_GZIP;
        size_t n = deflated(data, SIZE, bits[i], zipped, SIZE - 1);
        assert_int_equal(proto_inflate(coding, zipped, n, SIZE, NULL, &got, &len), 0);
        assert_int_equal(len, SIZE);
        assert_memory_equal(got, data, SIZE);
        free(got);
        /* A bomb stops at the cap; a cut and a tail are damage. */
        assert_int_equal(proto_inflate(coding, zipped, n, SIZE - 1, NULL, &got, &len), -EMSGSIZE);
        assert_int_equal(proto_inflate(coding, zipped, n, 0, NULL, &got, &len), -EMSGSIZE);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(proto_inflate(coding, zipped, cut, SIZE, NULL, &got, &len), -EINVAL);
        zipped[n] = 0;
        assert_int_equal(proto_inflate(coding, zipped, n + 1, SIZE, NULL, &got, &len), -EINVAL);
    }
    size_t n = deflated("", 0, 31, zipped, SIZE);
    assert_int_equal(proto_inflate(PROTO_GZIP, zipped, n, 0, NULL, &got, &len), 0);
    assert_int_equal(len, 0);
    free(got);
    assert_int_equal(proto_inflate(PROTO_GZIP, "not gzip at all", 15, SIZE, NULL, &got, &len),
                     -EINVAL);
    free(data);
    free(zipped);
}

static void codings(void **state)
{
    (void)state;
    enum proto_coding c;
    assert_int_equal(proto_coding_parse(NULL, &c), 0);
    assert_int_equal(c, PROTO_IDENTITY);
    assert_int_equal(proto_coding_parse("GZIP", &c), 0);
    assert_int_equal(c, PROTO_GZIP);
    assert_int_equal(proto_coding_parse("deflate", &c), 0);
    assert_int_equal(c, PROTO_DEFLATE);
    assert_int_equal(proto_coding_parse("br", &c), -EINVAL);
    assert_int_equal(proto_coding_parse("gzip, gzip", &c), -EINVAL);
    assert_int_equal(proto_coding_parse("", &c), -EINVAL);
}

static void ndjson(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1}\r\n\n  \n {\"b\":2} \nlast";
    struct proto_span line;
    size_t pos = 0, n = sizeof(text) - 1;
    assert_int_equal(proto_ndjson_next(text, n, &pos, 0, 99, &line), 1);
    assert_true(proto_span_is(line, "{\"a\":1}"));
    assert_int_equal(proto_ndjson_next(text, n, &pos, 0, 99, &line), 1);
    assert_true(proto_span_is(line, "{\"b\":2}"));
    size_t before = pos;
    assert_int_equal(proto_ndjson_next(text, n, &pos, 0, 99, &line), 0);
    assert_int_equal(pos, before);
    assert_int_equal(proto_ndjson_next(text, n, &pos, 0, 3, &line), -EMSGSIZE);
    assert_int_equal(proto_ndjson_next(text, n, &pos, 1, 99, &line), 1);
    assert_true(proto_span_is(line, "last"));
    assert_int_equal(proto_ndjson_next(text, n, &pos, 1, 99, &line), 0);
}

struct account {
    size_t charged, most, limit;
};

static int change(void *arg, size_t from, size_t to)
{
    struct account *a = arg;
    if (to > from && a->charged - from + to > a->limit)
        return -EDQUOT;
    a->charged = a->charged - from + to;
    a->most = a->charged > a->most ? a->charged : a->most;
    return 0;
}

/* A message and an inflated body are charged before they grow, and are given back where they fail.
 */
static void memory_is_asked_for(void **state)
{
    (void)state;
    enum { WHOLE = 3 << 20 };
    struct account a = {.limit = WHOLE};
    const struct proto_room room = {change, &a};
    struct proto_grpc_stream s;
    unsigned char prefix[PROTO_GRPC_PREFIX], *zeros = calloc(1, WHOLE), *zipped = malloc(WHOLE);
    void *got = NULL;
    size_t used, len;
    int compressed;
    uLongf n = WHOLE;
    assert_true(zeros && zipped);
    proto_grpc_init(&s, SIZE_MAX, &room);
    proto_grpc_prefix(prefix, WHOLE, 0);
    assert_int_equal(proto_grpc_feed(&s, prefix, 5, &used, &got, &len, &compressed), 0);
    assert_int_equal(a.charged, 64 << 10); /* whatever is announced */
    assert_int_equal(proto_grpc_feed(&s, zeros, WHOLE - 1, &used, &got, &len, &compressed), 0);
    assert_in_range(a.charged, WHOLE - 1, WHOLE);
    assert_int_equal(proto_grpc_feed(&s, zeros, 1, &used, &got, &len, &compressed), 1);
    assert_int_equal(a.charged, len); /* the caller's, from now on */
    free(got);
    a.limit = 1 << 20;
    a.charged = 0;
    proto_grpc_feed(&s, prefix, 5, &used, &got, &len, &compressed);
    assert_int_equal(proto_grpc_feed(&s, zeros, 1 << 20, &used, &got, &len, &compressed), 0);
    assert_int_equal(proto_grpc_feed(&s, zeros, 1, &used, &got, &len, &compressed), -EDQUOT);
    proto_grpc_finish(&s);
    assert_int_equal(a.charged, 0);

    assert_int_equal(compress(zipped, &n, zeros, WHOLE), Z_OK);
    assert_int_equal(proto_inflate(PROTO_DEFLATE, zipped, n, WHOLE / 4, &room, &got, &len),
                     -EMSGSIZE);
    assert_int_equal(proto_inflate(PROTO_DEFLATE, zipped, n, WHOLE, &room, &got, &len), -EDQUOT);
    assert_int_equal(a.charged, 0);
    a.limit = WHOLE + WHOLE / 4;
    a.most = 0;
    assert_int_equal(proto_inflate(PROTO_DEFLATE, zipped, n, WHOLE, &room, &got, &len), 0);
    assert_int_equal(len, WHOLE);
    assert_int_equal(a.charged, WHOLE);
    assert_in_range(a.most, WHOLE, WHOLE + WHOLE / 4);
    free(got);
    free(zeros);
    free(zipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_asked_for),
        cmocka_unit_test(grpc_in_pieces_of_every_size),
        cmocka_unit_test(grpc_refusals),
        cmocka_unit_test(grpc_header_values),
        cmocka_unit_test(inflation),
        cmocka_unit_test(codings),
        cmocka_unit_test(ndjson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
