/* API keys: the file's syntax, the check, and the bucket. */
#include "server/handlers/auth.h"
#include "server/handlers/cors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* SHA-256 of "abc" (FIPS 180-4, example) and of "" */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* Of "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", the next example. */
#define LONG "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
#define SECOND UINT64_C(1000000000)

static int parse(struct srv_keys **ret, const char *text, char err[256])
{
    err[0] = 0;
    return srv_keys_parse(ret, text, strlen(text), err, 256);
}

static struct srv_keys *keys_of(const char *text)
{
    struct srv_keys *k = NULL;
    char err[256];
    if (parse(&k, text, err) < 0)
        fail_msg("%s", err);
    return k;
}

static int ask(struct srv_keys *k, unsigned scopes, const char *authorization, const char *api_key,
               uint64_t now)
{
    const struct srv_credentials c = {authorization, api_key};
    return srv_auth(k, scopes, &c, 1, now).status;
}

static void good_files(void **state)
{
    (void)state;
    struct srv_keys *k =
        keys_of("# people\r\n\n  a.B-1_ \t infer,admin,metrics " ABC " 2.5/10\r\nb metrics " EMPTY);
    assert_int_equal(k->n, 2);
    assert_string_equal(k->keys[0].name, "a.B-1_");
    assert_int_equal(k->keys[0].scopes, SRV_SCOPE_INFER | SRV_SCOPE_ADMIN | SRV_SCOPE_METRICS);
    assert_int_equal(k->keys[0].digest[0], 0xba);
    assert_int_equal(k->keys[0].digest[31], 0xad);
    assert_true(k->keys[0].rate == 2.5 && k->keys[0].burst == 10);
    assert_int_equal(k->keys[1].scopes, SRV_SCOPE_METRICS);
    assert_true(k->keys[1].rate == 0);
    srv_keys_destroy(k);
    k = keys_of("a infer " ABC " timeout_ms=1500 priority=4 2/3\nb infer " EMPTY " priority=8");
    assert_int_equal(k->keys[0].longest_ns, 1500000000);
    assert_int_equal(k->keys[0].most_urgent, 4);
    assert_true(k->keys[0].rate == 2 && k->keys[0].burst == 3);
    assert_int_equal(k->keys[1].most_urgent, 8);
    assert_int_equal(k->keys[1].longest_ns, 0);
    srv_keys_destroy(k);
    k = keys_of("");
    assert_int_equal(k->n, 0);
    assert_int_equal(ask(k, 0, "Bearer abc", NULL, 0), 401); /* an empty file lets nobody in */
    srv_keys_destroy(k);
}

static void bad_files(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"a", "scopes"},
        {"a infer", "digest"},
        {"a infer abc", "digest"},
        {"a infer " ABC "0", "digest"},
        {"a infer g" EMPTY, "digest"},
        {"a infer \xff\xff"
         "7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "digest"},
        {"a root " ABC, "scopes"},
        {"a infer, " ABC, "scopes"},
        {"a ,infer " ABC, "scopes"},
        {"a infer,,admin " ABC, "scopes"},
        {"a\"b infer " ABC, "name"},
        {"\x1b[2J infer " ABC, "name"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa infer " ABC, "name"},
        {"a infer " ABC " 5", "RATE"},
        {"a infer " ABC " 0/5", "RATE"},
        {"a infer " ABC " -1/5", "RATE"},
        {"a infer " ABC " 5/0", "RATE"},
        {"a infer " ABC " 5/0.5", "RATE"},
        {"a infer " ABC " 5/", "RATE"},
        {"a infer " ABC " /5", "RATE"},
        {"a infer " ABC " 1.2.3/5", "RATE"},
        {"a infer " ABC " nan/5", "RATE"},
        {"a infer " ABC " 1e3/5", "RATE"},
        {"a infer " ABC " 1000001/5", "RATE"},
        {"a infer " ABC " 99999999999999999999999/5", "RATE"},
        {"a infer " ABC " 5/5 more", "nothing behind"},
        {"a infer " ABC " 5/5 priority=2 timeout_ms=10 priority=2", "nothing behind"},
        {"a infer " ABC " priority=", "priority="},
        {"a infer " ABC " priority=0", "priority="},
        {"a infer " ABC " priority=9", "priority="},
        {"a infer " ABC " priority=12", "priority="},
        {"a infer " ABC " priority=x", "priority="},
        {"a infer " ABC " timeout_ms=0", "timeout_ms="},
        {"a infer " ABC " timeout_ms=1000001", "timeout_ms="},
        {"a infer " ABC " timeout_ms=5s", "timeout_ms="},
        {"a infer " ABC "\nb infer " ABC, "digest was"},
        {"a infer " ABC "\na infer " EMPTY, "name was"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srv_keys *k = (struct srv_keys *)1;
        char err[256];
        assert_int_equal(parse(&k, bad[i].text, err), -EINVAL);
        assert_ptr_equal(k, (struct srv_keys *)1);
        if (!strstr(err, bad[i].word) || strncmp(err, "line ", 5) != 0)
            fail_msg("\"%s\": %s", bad[i].text, err);
    }
    struct srv_keys *k = NULL;
    char err[256];
    assert_int_equal(srv_keys_parse(&k, "a infer\0 " ABC, 8 + 65, err, sizeof(err)), -EINVAL);
}

static void too_many(void **state)
{
    (void)state;
    char *text = malloc((SRV_KEYS_MAX + 1) * 100), err[256];
    size_t n = 0;
    struct srv_keys *k = NULL;
    assert_non_null(text);
    for (int i = 0; i < SRV_KEYS_MAX; i++)
        n += (size_t)snprintf(text + n, 100, "k%d infer %064x\n", i, i);
    assert_int_equal(srv_keys_parse(&k, text, n, err, sizeof(err)), 0);
    assert_int_equal(k->n, SRV_KEYS_MAX);
    srv_keys_destroy(k);
    n += (size_t)snprintf(text + n, 100, "one infer %064x\n", 5000);
    assert_int_equal(srv_keys_parse(&k, text, n, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "line 1025: "));
    free(text);
}

static void files(void **state)
{
    (void)state;
    struct srv_keys *k = (struct srv_keys *)1;
    char dir[] = "/tmp/keysXXXXXX", path[64], err[512];
    assert_int_equal(srv_keys_load(&k, "", err, sizeof(err)), 0);
    assert_null(k);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/f", dir);
    assert_int_equal(srv_keys_load(&k, path, err, sizeof(err)), -ENOENT);
    assert_non_null(strstr(err, path));
    assert_int_equal(srv_keys_load(&k, dir, err, sizeof(err)), -EINVAL);
    assert_int_equal(mkfifo(path, 0600), 0); /* would block for ever */
    assert_int_equal(srv_keys_load(&k, path, err, sizeof(err)), -EINVAL);
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("a infer " LONG "\n", f);
    fflush(f);
    assert_int_equal(srv_keys_load(&k, path, err, sizeof(err)), 0);
    assert_int_equal(k->n, 1);
    srv_keys_destroy(k);
    assert_int_equal(ftruncate(fileno(f), SRV_KEYS_FILE_MAX + 1), 0);
    assert_int_equal(srv_keys_load(&k, path, err, sizeof(err)), -EFBIG);
    fclose(f);
    unlink(path);
    rmdir(dir);
}

/* The digests of test, test2, test3, test4 once stood in the manual as those of four people. */
static void obvious_words_are_no_keys(void **state)
{
    static const struct {
        const char *digest, *word;
    } rows[] = {
        {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "\"test\""},
        {"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752", "\"test2\""},
        {"fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13", "\"test3\""},
        {"A4E624D686E03ED2767C0ABD85C14426B0B1157D2CE81D27BB4FE4F6F01D688A", "\"test4\""},
        {"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "\"password\""},
        {"f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2", "\"test\""}, /* echo */
        {EMPTY, "\"\""},
        {ABC, "\"abc\""},
    };
    (void)state;
    char path[] = "/tmp/keysXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srv_keys *k = (struct srv_keys *)1;
        char text[256], err[512];
        int len =
            snprintf(text, sizeof(text), "a infer " LONG "\noperator admin %s\n", rows[i].digest);
        assert_int_equal(pwrite(fd, text, (size_t)len, 0), len);
        assert_int_equal(ftruncate(fd, len), 0);
        assert_int_equal(srv_keys_load(&k, path, err, sizeof(err)), -EINVAL);
        assert_ptr_equal(k, (struct srv_keys *)1);
        if (!strstr(err, rows[i].word) || !strstr(err, "operator") || !strstr(err, path))
            fail_msg("%s", err);
    }
    close(fd);
    unlink(path);
}

static void credentials(void **state)
{
    (void)state;
    struct srv_keys *k = keys_of("other infer " EMPTY "\na infer " ABC);
    char *giant = malloc(100000);
    assert_non_null(giant);
    memset(giant, 'a', 99999);
    giant[99999] = 0;
    assert_int_equal(ask(k, 0, "Bearer abc", NULL, 0), 0);
    assert_int_equal(ask(k, 0, "bearer   abc", NULL, 0), 0);
    assert_int_equal(ask(k, 0, NULL, "abc", 0), 0);
    assert_int_equal(ask(k, 0, "Basic eDp5", "abc", 0), 0); /* a proxy's, beside ours */
    assert_int_equal(ask(k, 0, NULL, NULL, 0), 401);
    assert_int_equal(ask(k, 0, "Basic eDp5", NULL, 0), 401);
    assert_int_equal(ask(k, 0, "Bearer", NULL, 0), 401);
    assert_int_equal(ask(k, 0, "Bearer ", NULL, 0), 401); /* though SHA-256("") is a line */
    assert_int_equal(ask(k, 0, NULL, "", 0), 401);
    assert_int_equal(ask(k, 0, "Bearer abcd", NULL, 0), 401);
    assert_int_equal(ask(k, 0, "Bearer ab", NULL, 0), 401);
    assert_int_equal(ask(k, 0, "Bearer " ABC, NULL, 0), 401); /* the digest is no key */
    assert_int_equal(ask(k, 0, NULL, giant, 0), 401);
    free(giant);
    srv_keys_destroy(k);
}

static void scopes(void **state)
{
    (void)state;
    struct srv_keys *k = keys_of("m metrics,admin " ABC);
    const struct srv_credentials c = {NULL, "abc"}, none = {NULL, NULL};
    assert_int_equal(ask(k, SRV_SCOPE_METRICS, NULL, "abc", 0), 0);
    assert_int_equal(ask(k, SRV_SCOPE_ADMIN | SRV_SCOPE_INFER, NULL, "abc", 0), 0);
    assert_int_equal(ask(k, SRV_SCOPE_INFER, NULL, "abc", 0), 403);
    assert_int_equal(ask(k, 0, NULL, "abc", 0), 403); /* 0 is infer */
    assert_int_equal(ask(k, SRV_SCOPE_OPEN, NULL, NULL, 0), 0);
    struct srv_verdict v = srv_auth(k, 0, &c, 1, 0);
    assert_string_equal(v.by->name, "m");
    assert_non_null(strstr(v.challenge, "insufficient_scope"));
    v = srv_auth(k, 0, &none, 1, 0);
    assert_true(!v.by && !strstr(v.challenge, "error") && v.sentence);
    v = srv_auth(NULL, SRV_SCOPE_ADMIN, &c, 1, 0);
    assert_true(v.status == 0 && !v.by); /* without keys nobody is known */
    srv_keys_destroy(k);
}

static void bucket(void **state)
{
    (void)state;
    struct srv_keys *k = keys_of("a infer " ABC " 0.5/3");
    const struct srv_credentials c = {NULL, "abc"};
    uint64_t t = 1000 * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(k, 0, NULL, "abc", t), 0);
    struct srv_verdict v = srv_auth(k, 0, &c, 1, t);
    assert_int_equal(v.status, 429);
    assert_in_range(v.retry_after_s, 2, 3);
    assert_int_equal(srv_auth(k, 0, &c, 0, t).status, 0); /* asked, not charged */
    assert_int_equal(ask(k, 0, NULL, "abc", t + SECOND), 429);
    assert_int_equal(ask(k, 0, NULL, "abc", t + 2 * SECOND), 0);
    assert_int_equal(ask(k, 0, NULL, "abc", t + 2 * SECOND), 429);
    t += 100000 * SECOND; /* never fuller than its burst */
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(k, 0, NULL, "abc", t), 0);
    assert_int_equal(ask(k, 0, NULL, "abc", t), 429);
    struct srv_keys *next = keys_of("renamed infer " ABC " 0.5/2\nb infer " EMPTY);
    srv_keys_inherit(next, k); /* a reload fills no bucket */
    assert_int_equal(ask(next, 0, NULL, "abc", t), 429);
    assert_int_equal(ask(next, 0, NULL, "abc", t + 2 * SECOND), 0);
    srv_keys_inherit(next, NULL);
    srv_keys_inherit(NULL, next);
    srv_keys_destroy(next);
    srv_keys_destroy(k);
}

static void origins(void **state)
{
    (void)state;
    static const char list[] = " https://a.example,\thttp://b:3000 ,";
    assert_true(srv_cors_allows(list, "https://a.example"));
    assert_true(srv_cors_allows(list, "http://b:3000"));
    assert_true(srv_cors_allows("*", "https://any"));
    static const char *const others[] = {"",
                                         "https://a.exampl",
                                         "https://a.example.evil",
                                         "https://A.example",
                                         "http://a.example",
                                         "http://b",
                                         "https://a.example,",
                                         "null"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(srv_cors_allows(list, others[i]));
    assert_false(srv_cors_allows("", ""));
    assert_false(srv_cors_allows("https://*.example", "https://a.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(too_many),
        cmocka_unit_test(files),
        cmocka_unit_test(obvious_words_are_no_keys),
        cmocka_unit_test(credentials),
        cmocka_unit_test(scopes),
        cmocka_unit_test(bucket),
        cmocka_unit_test(origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
