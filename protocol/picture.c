/* One pass with the pull scanner. */
#include "protocol/picture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "protocol/json_scan.h"

enum { ID_MAX = 256 };

struct parser {
    struct proto_scan scan;
    struct proto_pictures *r;
    struct proto_span *items;
    int max, seen;
};

static int take_picture(struct parser *p)
{
    struct proto_span key, text;
    int n = 0, r, in_object = proto_scan_peek(&p->scan) == '{';
    if (p->r->n == p->max)
        return -E2BIG;
    if (in_object) {
        r = proto_scan_enter_object(&p->scan);
        if (r >= 0)
            r = proto_scan_member(&p->scan, &n, &key);
        if (r < 0)
            return r;
        if (!r || !proto_span_is(key, "b64"))
            return proto_scan_fail(&p->scan, "a picture is a string or {\"b64\":\"…\"}");
    }
    r = proto_scan_string(&p->scan, &text);
    if (r >= 0 && in_object) {
        r = proto_scan_member(&p->scan, &n, &key);
        if (r > 0)
            return proto_scan_fail(&p->scan, "an object with \"b64\" has no other member");
    }
    if (r >= 0)
        p->items[p->r->n++] = text;
    return r;
}

static int take_list(struct parser *p)
{
    int n = 0, r = proto_scan_enter_array(&p->scan);
    p->r->many = 1;
    while (r >= 0 && (r = proto_scan_element(&p->scan, &n)) > 0)
        r = take_picture(p);
    return r;
}

static int take_id(struct parser *p)
{
    int kind = proto_scan_peek(&p->scan);
    if (kind < 0)
        return kind;
    if (kind != '"' && kind != 0)
        return proto_scan_fail(&p->scan, "an id is a string or a number");
    int r = proto_scan_skip(&p->scan, &p->r->id);
    if (r >= 0 && p->r->id.len > ID_MAX)
        return proto_scan_fail(&p->scan, "the id is too long");
    return r;
}

static int take_top_k(struct parser *p)
{
    int r = proto_scan_int(&p->scan, &p->r->top_k);
    if (r >= 0 && p->r->top_k < 1)
        return proto_scan_fail(&p->scan, "top_k must be at least 1");
    return r;
}

static int take_member(struct parser *p, struct proto_span key)
{
    int one = proto_span_is(key, "image"), many = proto_span_is(key, "images");
    if ((one || many) && p->seen++)
        return proto_scan_fail(&p->scan, "one of \"image\" and \"images\" is needed, once");
    if (one)
        return take_picture(p);
    if (many)
        return take_list(p);
    if (proto_span_is(key, "top_k"))
        return take_top_k(p);
    if (proto_span_is(key, "id"))
        return take_id(p);
    return proto_scan_skip(&p->scan, NULL);
}

int proto_pictures_parse(struct proto_pictures *ret, const void *body, size_t len,
                         struct proto_span *items, int max, char *err, size_t errlen)
{
    struct proto_pictures pictures = {0};
    struct parser p = {.r = &pictures, .items = items, .max = max};
    struct proto_span key;
    proto_scan_init(&p.scan, body, len, err, errlen);
    int n = 0, r = proto_scan_enter_object(&p.scan);
    while (r >= 0 && (r = proto_scan_member(&p.scan, &n, &key)) > 0)
        r = take_member(&p, key);
    if (r >= 0)
        r = proto_scan_finish(&p.scan);
    if (r >= 0 && pictures.n == 0)
        r = proto_scan_fail(&p.scan, "\"image\" or \"images\" is needed");
    if (r >= 0)
        *ret = pictures;
    return r < 0 ? r : 0;
}

int proto_npy_header(char *buf, size_t len, const char *descr, const int64_t *shape, int n_dims)
{
    enum { PREFIX = 10, UNIT = 64 };
    char dims[128] = "", dict[256];
    size_t n = 0;
    for (int i = 0; i < n_dims && n < sizeof(dims); i++)
        n += (size_t)snprintf(dims + n, sizeof(dims) - n, "%s%lld", i ? ", " : "",
                              (long long)shape[i]);
    int used =
        snprintf(dict, sizeof(dict), "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                 descr, dims, n_dims == 1 ? "," : "");
    if (n >= sizeof(dims) || used < 0 || (size_t)used >= sizeof(dict))
        return -ENOSPC;
    size_t whole = ((size_t)used + PREFIX + 1 + UNIT - 1) / UNIT * UNIT;
    if (whole > len || whole > INT_MAX)
        return -ENOSPC;
    memcpy(buf, "\x93NUMPY\x01\x00", 8);
    buf[8] = (char)((whole - PREFIX) & 0xff);
    buf[9] = (char)((whole - PREFIX) >> 8);
    memcpy(buf + PREFIX, dict, (size_t)used);
    memset(buf + PREFIX + used, ' ', whole - PREFIX - (size_t)used - 1);
    buf[whole - 1] = '\n';
    return (int)whole;
}
