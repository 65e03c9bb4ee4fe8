/* JSON bodies of the image API, headers of NumPy files, and the admin requests of OIP v2. */
#include "protocol/describe.h"
#include "protocol/picture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct proto_pictures p;
static struct proto_span items[3];
static char err[200];

static int parse(const char *text)
{
    memset(&p, 0, sizeof(p));
    err[0] = 0;
    return proto_pictures_parse(&p, text, strlen(text), items, 3, err, sizeof(err));
}

static void pictures(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"image\":\"YQ==\",\"top_k\":3,\"id\":\"x\\n\",\"more\":[{}]}"), 0);
    assert_int_equal(p.n, 1);
    assert_false(p.many);
    assert_int_equal(p.top_k, 3);
    assert_true(proto_span_is(p.id, "\"x\\n\""));
    assert_true(proto_span_is(items[0], "YQ=="));
    assert_int_equal(parse(" {\"images\":[\"a\",{\"b64\":\"b\"}],\"id\":-1.5e3}\n"), 0);
    assert_int_equal(p.n, 2);
    assert_true(p.many);
    assert_true(proto_span_is(items[1], "b"));
    assert_true(proto_span_is(p.id, "-1.5e3"));
}

static void damaged_pictures(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "{\"image\":1}",
        "{\"images\":{}}",
        "{\"images\":[]}",
        "{\"image\":{}}",
        "{\"image\":{\"b64\":1}}",
        "{\"image\":{\"b64\":\"a\",\"c\":1}}",
        "{\"image\":\"a\",\"image\":\"a\"}",
        "{\"image\":\"a\",\"images\":[\"a\"]}",
        "{\"image\":\"a\",\"top_k\":0}",
        "{\"image\":\"a\",\"top_k\":1.5}",
        "{\"image\":\"a\",\"id\":[]}",
        "{\"image\":\"a\",\"id\":null}",
        "{\"image\":\"a\"}x",
        "{\"image\":\"a",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(bad[i]), -EINVAL);
        assert_true(err[0] != 0);
    }
    assert_int_equal(parse("{\"images\":[\"a\",\"b\",\"c\",\"d\"]}"), -E2BIG);
    char longest[400];
    memset(longest, '1', sizeof(longest));
    memcpy(longest, "{\"image\":\"a\",\"id\":", 18);
    memcpy(longest + sizeof(longest) - 2, "}", 2);
    assert_int_equal(parse(longest), -EINVAL);
}

static void numpy_header(void **state)
{
    (void)state;
    static const int64_t shape[] = {2, 224, 224, 3};
    static const char want[] =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 224, 224, 3), }";
    char buf[128];
    assert_int_equal(proto_npy_header(buf, sizeof(buf), "<f4", shape, 4), 128);
    assert_memory_equal(buf, "\x93NUMPY\x01\x00\x76\x00", 10);
    assert_memory_equal(buf + 10, want, sizeof(want) - 1);
    assert_int_equal(buf[127], '\n');
    assert_int_equal(proto_npy_header(buf, 127, "<f4", shape, 4), -ENOSPC);
}

static void admin_requests(void **state)
{
    (void)state;
    int yes = 7;
    assert_int_equal(proto_index_parse(NULL, 0, &yes, err, sizeof(err)), 0);
    assert_int_equal(yes, 0);
    assert_int_equal(proto_index_parse("{\"ready\":true}", 14, &yes, err, sizeof(err)), 0);
    assert_int_equal(yes, 1);
    assert_int_equal(proto_index_parse("{\"ready\":2}", 11, &yes, err, sizeof(err)), -EINVAL);
    static const char load[] = "{\"parameters\":{\"file:1/model.x\":\"YQ==\"}}";
    assert_int_equal(proto_load_parse(load, sizeof(load) - 1, &yes, err, sizeof(err)), 0);
    assert_int_equal(yes, 1);
    struct proto_log_settings l = {1, 1, 1, 0};
    static const char quiet[] = "{\"log_info\":false,\"log_verbose_level\":0}";
    assert_int_equal(proto_log_parse(quiet, sizeof(quiet) - 1, &l, err, sizeof(err)), 0);
    assert_int_equal(l.info, 0);
    static const char file[] = "{\"log_warning\":false,\"log_file\":\"x\"}";
    assert_int_equal(proto_log_parse(file, sizeof(file) - 1, &l, err, sizeof(err)), -EINVAL);
    assert_int_equal(l.warning, 1); /* a failure changes nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures),
        cmocka_unit_test(damaged_pictures),
        cmocka_unit_test(numpy_header),
        cmocka_unit_test(admin_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
