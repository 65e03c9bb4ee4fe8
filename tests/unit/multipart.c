/* multipart/form-data: what browsers and curl send, what attackers send. */
#include "protocol/multipart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CD "Content-Disposition: form-data; name=\"a\""

static struct proto_part parts[8];
static char err[256];

/* The body lives in a block of exactly its size, so that a sanitizer sees a read past it. */
static char *body;

static int split_n(const char *text, size_t len, const char *boundary, int max)
{
    free(body);
    body = malloc(len ? len : 1);
    assert_non_null(body);
    memcpy(body, text, len);
    err[0] = 0;
    return proto_multipart_split(body, len, boundary, parts, max, err, sizeof(err));
}

static int split(const char *text)
{
    return split_n(text, strlen(text), "b", 8);
}

static void part_is(int i, const char *name, const char *data)
{
    assert_int_equal(parts[i].name_len, strlen(name));
    assert_memory_equal(parts[i].name, name, strlen(name));
    assert_int_equal(parts[i].len, strlen(data));
    assert_memory_equal(parts[i].data, data, strlen(data));
}

static void refused(const char *text, const char *sentence)
{
    assert_int_equal(split(text), -EINVAL);
    assert_string_equal(err, sentence);
}

static void boundaries(void **state)
{
    (void)state;
    static const struct {
        const char *type, *boundary;
        int code;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc", 0},
        {"Multipart/Form-Data;BOUNDARY=abc", "abc", 0},
        {"multipart/form-data; charset=utf-8; boundary=\"a b:c\" ; x=y", "a b:c", 0},
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW", 0},
        {"multipart/form-data; boundary=abc;", "abc", 0},
        {"multipart/mixed; boundary=abc", NULL, -ENOENT},
        {"multipart/form-datax; boundary=abc", NULL, -ENOENT},
        {"image/jpeg", NULL, -ENOENT},
        {"", NULL, -ENOENT},
        {"multipart/form-data", NULL, -EINVAL},
        {"multipart/form-data; boundary=", NULL, -EINVAL},
        {"multipart/form-data; boundary=\"\"", NULL, -EINVAL},
        {"multipart/form-data; boundary=\"abc", NULL, -EINVAL},
        {"multipart/form-data; boundary=a; boundary=b", NULL, -EINVAL},
        {"multipart/form-data; boundary=\"a\\\"b\"", NULL, -EINVAL},
        {"multipart/form-data; boundary=a\xc3\xa9", NULL, -EINVAL},
        {"multipart/form-data; boundary=\"abc \"", NULL, -EINVAL},
        {"multipart/form-data; boundary", NULL, -EINVAL},
        {"multipart/form-data; boundary=\"a\"x", NULL, -EINVAL},
        /* 71 characters */
        {"multipart/form-data; boundary="
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         NULL, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char buf[71] = "";
        int r = proto_multipart_boundary(cases[i].type, buf, sizeof(buf));
        if (r != cases[i].code)
            fail_msg("%s: %d", cases[i].type, r);
        if (!r)
            assert_string_equal(buf, cases[i].boundary);
    }
    char small[3];
    assert_int_equal(proto_multipart_boundary("multipart/form-data; boundary=abc", small, 3),
                     -EINVAL);
}

static void what_curl_sends(void **state)
{
    (void)state;
    static const char text[] =
        "--------------------------d74496d66958873e\r\n"
        "Content-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n"
        "Content-Type: image/jpeg\r\n\r\n"
        "\xff\xd8\0\r\nx\r\n"
        "--------------------------d74496d66958873e\r\n"
        "Content-Disposition: form-data; name=\"image\"; filename=\"b.png\"\r\n"
        "Content-Type: image/png\r\n\r\n"
        "\r\n\r\n--\r\n\r\n"
        "--------------------------d74496d66958873e--\r\n";
    assert_int_equal(split_n(text, sizeof(text) - 1, "------------------------d74496d66958873e", 8),
                     2);
    assert_int_equal(parts[0].len, 6);
    assert_memory_equal(parts[0].data, "\xff\xd8\0\r\nx", 6);
    assert_int_equal(parts[0].filename_len, 5);
    assert_memory_equal(parts[0].filename, "a.jpg", 5);
    assert_int_equal(parts[0].content_type_len, 10);
    assert_memory_equal(parts[0].content_type, "image/jpeg", 10);
    part_is(1, "image", "\r\n\r\n--\r\n");
}

static void forms_that_are_valid(void **state)
{
    (void)state;
    /* preamble, epilogue, white space after the boundary, no final line end */
    assert_int_equal(split("hello\r\n--bb\r\n--b \t\r\n" CD "\r\n\r\nx\r\n--b-- \r\n--b\r\njunk"),
                     1);
    part_is(0, "a", "x");
    assert_int_equal(split("--b\r\n" CD "\r\n\r\nx\r\n--b--"), 1);
    part_is(0, "a", "x");
    /* no content, written in both ways */
    assert_int_equal(split("--b\r\n" CD "\r\n\r\n\r\n--b--"), 1);
    part_is(0, "a", "");
    assert_int_equal(split("--b\r\n" CD "\r\n\r\n--b--"), 1);
    part_is(0, "a", "");
    assert_null(parts[0].filename);
    assert_null(parts[0].content_type);
    assert_int_equal(split("--b--"), 0);
    assert_int_equal(split("\r\n--b--\r\n"), 0);
    /* case, tokens without quotes, unknown headers and parameters, folding */
    assert_int_equal(split("--b\r\nX-Y: z\r\ncontent-DISPOSITION:form-data;\r\n\tname=a ; q=1;\r\n"
                           " filename=f.jpg\r\nContent-Length: 1\r\n\r\nx\r\n--b--"),
                     1);
    part_is(0, "a", "x");
    assert_int_equal(parts[0].filename_len, 5);
    /* a semicolon, a delimiter and an empty name in quotes */
    assert_int_equal(split("--b\r\nContent-Disposition: form-data; name=\"\"; "
                           "filename=\"x; name=y\"\r\n\r\nx\r\n--b--"),
                     1);
    part_is(0, "", "x");
    assert_int_equal(parts[0].filename_len, 9);
}

static void boundary_tricks(void **state)
{
    (void)state;
    /* A longer word, a bare line feed, a lone CR, one dash: all of it is content. */
    assert_int_equal(split("--b\r\n" CD "\r\n\r\n1\r\n--bb\r\n2\n--b\r\n--b--"), 1);
    part_is(0, "a", "1\r\n--bb\r\n2\n--b");
    assert_int_equal(split("--b\r\n" CD "\r\n\r\n1\r--b\r\n\r\n-b\r\n--b-\r\n--b--x\r\n--b--"), 1);
    part_is(0, "a", "1\r--b\r\n\r\n-b\r\n--b-\r\n--b--x");
    /* CRLF CRLF before the delimiter: the first belongs to the content. */
    assert_int_equal(split("--b\r\n" CD "\r\n\r\n1\r\n\r\n--b--"), 1);
    part_is(0, "a", "1\r\n");
    /* A boundary that begins with dashes. */
    assert_int_equal(split_n("----\r\n" CD "\r\n\r\n1\r\n------", 6 + sizeof(CD) - 1 + 13, "--", 8),
                     1);
    part_is(0, "a", "1");
}

static void bodies_that_are_refused(void **state)
{
    (void)state;
    refused("", "multipart body: the boundary does not occur in it");
    refused("x--b--", "multipart body: the boundary does not occur in it");
    refused("--c\r\n" CD "\r\n\r\nx\r\n--c--", "multipart body: the boundary does not occur in it");
    refused("--b\n" CD "\n\nx\n--b--", "multipart body: the boundary does not occur in it");
    refused("--b\r\n", "multipart body: part 1 ends within its headers");
    refused("--b\r\n" CD, "multipart body: part 1 ends within its headers");
    refused("--b\r\n" CD "\r\n", "multipart body: part 1 ends within its headers");
    refused("--b\r\n" CD "\r\n\r\n", "multipart body: part 1 is not terminated by the boundary");
    refused("--b\r\n" CD "\r\n\r\nx", "multipart body: part 1 is not terminated by the boundary");
    refused("--b\r\n" CD "\r\n\r\nx\r\n--b",
            "multipart body: part 1 is not terminated by the boundary");
    refused("--b\r\n" CD "\r\n\r\nx\r\n--b\r\n", "multipart body: part 2 ends within its headers");
    refused("--b\r\n\r\nx\r\n--b--", "multipart body: part 1 has no Content-Disposition header");
    refused("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has no name");
    refused("--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--",
            "multipart body: part 1 is not form-data");
    refused("--b\r\n" CD "; name=c\r\n\r\nx\r\n--b--", "multipart body: part 1 has two names");
    refused("--b\r\n" CD "\r\n" CD "\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has two Content-Disposition headers");
    refused("--b\r\n" CD "; filename=a; filename=b\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has two file names");
    refused("--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\"\r\n--b--",
            "multipart body: part 1 has a malformed Content-Disposition header");
    refused("--b\r\n" CD "x\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has a malformed Content-Disposition header");
    refused("--b\r\nno colon\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has a malformed header line");
    refused("--b\r\nX : y\r\n\r\nx\r\n--b--", "multipart body: part 1 has a malformed header line");
    refused("--b\r\n folded: y\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has a malformed header line");
    refused("--b\r\n" CD "\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has a Content-Transfer-Encoding other than binary, 8bit, 7bit");
    refused("--b\r\n" CD "\r\nContent-Type: a\r\nContent-Type: b\r\n\r\nx\r\n--b--",
            "multipart body: part 1 has two Content-Type headers");
    static const char nul[] =
        "--b\r\nContent-Disposition: form-data; name=\"a\0b\"\r\n\r\nx\r\n--b--";
    assert_int_equal(split_n(nul, sizeof(nul) - 1, "b", 8), -EINVAL);
    assert_string_equal(err, "multipart body: part 1 has a NUL byte in a header");
    assert_int_equal(split_n("--b--", 5, "", 8), -EINVAL);
}

static void limits(void **state)
{
    (void)state;
    static const char three[] =
        "--b\r\n" CD "\r\n\r\n1\r\n--b\r\n" CD "\r\n\r\n2\r\n--b\r\n" CD "\r\n\r\n3\r\n--b--";
    assert_int_equal(split_n(three, sizeof(three) - 1, "b", 3), 3);
    part_is(2, "a", "3");
    assert_int_equal(split_n(three, sizeof(three) - 1, "b", 2), -E2BIG);
    assert_string_equal(err, "multipart body: more than 2 parts");
    assert_int_equal(split_n("--b--", 5, "b", 0), 0);

    size_t len = 20000;
    char *big = malloc(len);
    assert_non_null(big);
    memset(big, 'x', len);
    memcpy(big, "--b\r\nX: ", 8);
    memcpy(big + len - 2, "\r\n", 2);
    assert_int_equal(split_n(big, len, "b", 8), -EINVAL);
    assert_string_equal(err, "multipart body: part 1 has too many bytes of headers");
    free(big);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    static const char text[] = "--b\r\n" CD "; filename*=UTF-8''x\r\n\r\nx\r\n--b\r\n" CD
                               "\r\nContent-Type: image/png\r\n\r\n\r\n--b--";
    assert_int_equal(split_n(text, sizeof(text) - 1, "b", 8), 2);
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(split_n(text, n, "b", 8), -EINVAL);
}

static void file_name_is(const char *param, int code, const char *name)
{
    char text[256], got[32] = "";
    snprintf(text, sizeof(text), "--b\r\n" CD "; %s\r\n\r\nx\r\n--b--", param);
    assert_int_equal(split(text), 1);
    int r = proto_part_filename(&parts[0], got, sizeof(got));
    if (r != code)
        fail_msg("%s: %d", param, r);
    if (r >= 0)
        assert_string_equal(got, name);
}

static void file_names(void **state)
{
    (void)state;
    file_name_is("filename=\"a b.jpg\"", 7, "a b.jpg");
    file_name_is("filename=\"a\\\"b\\\\c.jpg\"", 9, "a\"b\\c.jpg");
    file_name_is("filename=\"C:\\dir\\x.jpg\"", 12, "C:\\dir\\x.jpg");
    file_name_is("filename=\"\xc3\xa9.jpg\"", 6, "\xc3\xa9.jpg");
    file_name_is("filename=\"\xff.jpg\"", -EINVAL, NULL);
    file_name_is("filename=\"\"", 0, "");
    file_name_is("filename=\"12345678901234567890123456789012\"", -ENOSPC, NULL);
    file_name_is("filename*=UTF-8''%e2%82%ac%20rates", 9, "\xe2\x82\xac rates");
    file_name_is("filename*=utf-8'en'x", 1, "x");
    file_name_is("filename=plain; filename*=UTF-8''better", 6, "better");
    file_name_is("filename*=UTF-8''better; filename=plain", 6, "better");
    file_name_is("filename*=ISO-8859-1''%e9", -EINVAL, NULL);
    file_name_is("filename*=UTF-8'x", -EINVAL, NULL);
    file_name_is("filename*=UTF-8''%00", -EINVAL, NULL);
    file_name_is("other=x", -ENOENT, NULL);
}

static int release(void **state)
{
    (void)state;
    free(body);
    body = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries),
        cmocka_unit_test(what_curl_sends),
        cmocka_unit_test(forms_that_are_valid),
        cmocka_unit_test(boundary_tricks),
        cmocka_unit_test(bodies_that_are_refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(file_names),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
