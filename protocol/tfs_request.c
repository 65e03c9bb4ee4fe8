/* Requests of TensorFlow Serving: all three forms are lists of instances in the end. */
#include <errno.h>
#include <stdio.h>

#include "protocol/json_scan.h"
#include "protocol/tfs.h"

struct parser {
    struct proto_scan scan;
    struct proto_tfs_request *r;
    struct proto_instance *items;
    int max;
    char *err;
    size_t errlen;
};

static int fail(struct parser *p, const char *what)
{
    snprintf(p->err, p->errlen, "request: %s", what);
    return -EINVAL;
}

static int next_item(struct parser *p, struct proto_instance **ret)
{
    if (p->r->n == p->max) {
        snprintf(p->err, p->errlen, "request: more than %d instances", p->max);
        return -E2BIG;
    }
    *ret = &p->items[p->r->n++];
    return 0;
}

static int take_text(struct parser *p, int is_string)
{
    struct proto_instance *item;
    int r = next_item(p, &item);
    if (r < 0)
        return r;
    item->is_string = is_string;
    return is_string ? proto_scan_string(&p->scan, &item->text)
                     : proto_scan_skip_array(&p->scan, &item->text);
}

/* The rest of {"b64": …} behind its key. */
static int take_b64(struct parser *p)
{
    struct proto_span key;
    int n = 1, r = take_text(p, 1);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    return r > 0 ? fail(p, "an object with \"b64\" has no other member") : r;
}

/* An array of numbers, a string, or {"b64": …}. */
static int take_value(struct parser *p)
{
    struct proto_span key;
    int n = 0, kind = proto_scan_peek(&p->scan), r;
    if (kind == '[' || kind == '"')
        return take_text(p, kind == '"');
    if (kind != '{')
        return kind < 0 ? kind : fail(p, "an instance is an array or {\"b64\":…}");
    r = proto_scan_enter_object(&p->scan);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    if (r < 0)
        return r;
    return r && proto_span_is(key, "b64") ? take_b64(p) : fail(p, "\"b64\" is needed");
}

/* The name of an instance must be that of the others; bare ones and named ones do not mix. */
static int same_name(struct parser *p, struct proto_span name, int first)
{
    if (first)
        p->r->input_name = name;
    else if (name.s ? !proto_span_same(name, p->r->input_name) : p->r->input_name.s != NULL)
        return fail(p, "the instances do not name the same input");
    return 0;
}

/* A value, or {"name": value}. */
static int take_instance(struct parser *p)
{
    struct proto_span key, bare = {NULL, 0};
    int n = 0, first = p->r->n == 0, r;
    if (proto_scan_peek(&p->scan) != '{') {
        r = same_name(p, bare, first);
        return r < 0 ? r : take_value(p);
    }
    r = proto_scan_enter_object(&p->scan);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    if (r <= 0)
        return r < 0 ? r : fail(p, "an instance is empty");
    if (proto_span_is(key, "b64")) {
        r = same_name(p, bare, first);
        return r < 0 ? r : take_b64(p);
    }
    r = same_name(p, key, first);
    if (r >= 0)
        r = take_value(p);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    return r > 0 ? fail(p, "an instance has one input only") : r;
}

static int take_list(struct parser *p, int (*take)(struct parser *))
{
    int n = 0, r = proto_scan_enter_array(&p->scan);
    while (r >= 0 && (r = proto_scan_element(&p->scan, &n)) > 0)
        r = take(p);
    return r;
}

/* Column form: the list itself, or {"name": list}, or one {"b64": …}. */
static int take_column(struct parser *p)
{
    struct proto_span key;
    int n = 0, kind = proto_scan_peek(&p->scan), r;
    if (kind == '[')
        return take_list(p, take_value);
    r = proto_scan_enter_object(&p->scan);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    if (r <= 0)
        return r < 0 ? r : fail(p, "inputs is empty");
    if (proto_span_is(key, "b64"))
        return take_b64(p);
    p->r->input_name = key;
    r = proto_scan_peek(&p->scan) == '[' ? take_list(p, take_value) : take_value(p);
    if (r >= 0)
        r = proto_scan_member(&p->scan, &n, &key);
    return r > 0 ? fail(p, "inputs has one input only") : r;
}

static int take_form(struct parser *p, enum proto_tfs_form form, int *seen)
{
    if (*seen)
        return fail(p, "only one of instances, inputs and examples can be given");
    *seen = 1;
    p->r->form = form;
    return form == PROTO_TFS_COLUMN ? take_column(p) : take_list(p, take_instance);
}

int proto_tfs_parse(struct proto_tfs_request *ret, const void *body, size_t len,
                    struct proto_instance *items, int max, char *err, size_t errlen)
{
    struct proto_tfs_request request = {0};
    struct parser p = {.r = &request, .items = items, .max = max, .err = err, .errlen = errlen};
    struct proto_span key;
    int n = 0, seen = 0, r;
    proto_scan_init(&p.scan, body, len, err, errlen);
    r = proto_scan_enter_object(&p.scan);
    while (r >= 0 && (r = proto_scan_member(&p.scan, &n, &key)) > 0) {
        if (proto_span_is(key, "instances"))
            r = take_form(&p, PROTO_TFS_ROW, &seen);
        else if (proto_span_is(key, "inputs"))
            r = take_form(&p, PROTO_TFS_COLUMN, &seen);
        else if (proto_span_is(key, "examples"))
            r = take_form(&p, PROTO_TFS_CLASSIFY, &seen);
        else if (proto_span_is(key, "signature_name"))
            r = proto_scan_string(&p.scan, &request.signature_name);
        else
            r = proto_scan_skip(&p.scan, NULL);
    }
    if (r >= 0)
        r = proto_scan_finish(&p.scan);
    if (r >= 0 && !request.n)
        r = fail(&p, "has no instances");
    if (r >= 0)
        *ret = request;
    return r < 0 ? r : 0;
}
