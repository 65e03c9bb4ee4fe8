/* Data types, and the elements of an input from whatever form they came in. */
#include "protocol/infer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/infer_packed.h"
#include "protocol/json_scan.h"
#include "protocol/json_tensor.h"

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [PROTO_NO_TYPE] = {"", 0},      [PROTO_BOOL] = {"BOOL", 1},     [PROTO_UINT8] = {"UINT8", 1},
    [PROTO_UINT16] = {"UINT16", 2}, [PROTO_UINT32] = {"UINT32", 4}, [PROTO_UINT64] = {"UINT64", 8},
    [PROTO_INT8] = {"INT8", 1},     [PROTO_INT16] = {"INT16", 2},   [PROTO_INT32] = {"INT32", 4},
    [PROTO_INT64] = {"INT64", 8},   [PROTO_FP16] = {"FP16", 2},     [PROTO_FP32] = {"FP32", 4},
    [PROTO_FP64] = {"FP64", 8},     [PROTO_BF16] = {"BF16", 2},     [PROTO_BYTES] = {"BYTES", 0},
};

size_t proto_datatype_size(enum proto_datatype type)
{
    return types[type].size;
}

const char *proto_datatype_name(enum proto_datatype type)
{
    return types[type].name;
}

enum proto_datatype proto_datatype_parse(struct proto_span name)
{
    for (int i = PROTO_BOOL; i <= PROTO_BYTES; i++) {
        if (proto_span_is(name, types[i].name))
            return (enum proto_datatype)i;
    }
    return PROTO_NO_TYPE;
}

int64_t proto_tensor_integer(const struct proto_tensor *t, size_t i)
{
    switch (t->datatype) {
    case PROTO_INT8:
        return ((const int8_t *)t->data)[i];
    case PROTO_INT16:
        return ((const int16_t *)t->data)[i];
    case PROTO_UINT16:
        return ((const uint16_t *)t->data)[i];
    case PROTO_INT32:
        return ((const int32_t *)t->data)[i];
    case PROTO_UINT32:
        return ((const uint32_t *)t->data)[i];
    case PROTO_INT64:
    case PROTO_UINT64:
        return ((const int64_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

void proto_infer_finish(struct proto_infer_request *r)
{
    free(r->strings);
    r->strings = NULL;
}

static int fail(const struct proto_input *in, char *err, size_t errlen, const char *what)
{
    snprintf(err, errlen, "input '%.*s': %s", in->name.len > 80 ? 80 : (int)in->name.len,
             in->name.s ? in->name.s : "", what);
    return -EINVAL;
}

static const char not_contents[] =
    "the contents are not those of the datatype, or not as many as the shape needs";

/* Raw little-endian bytes. */
static int copy_raw(const struct proto_input *in, void *ret, size_t size, char *err, size_t errlen)
{
    if (in->data.len != in->elements * size) {
        char what[128];
        snprintf(what, sizeof(what), "%zu bytes of data where the shape needs %zu", in->data.len,
                 in->elements * size);
        return fail(in, err, errlen, what);
    }
    memcpy(ret, in->data.s, in->data.len);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; size == 4 && i < in->elements; i++)
        ((uint32_t *)ret)[i] = __builtin_bswap32(((uint32_t *)ret)[i]);
#endif
    return 0;
}

static int whole_array(const struct proto_input *in, size_t used, char *err, size_t errlen)
{
    return used == in->data.len ? 0 : fail(in, err, errlen, "more text behind the data");
}

int proto_input_floats(const struct proto_input *in, float *ret, char *err, size_t errlen)
{
    char what[160];
    size_t used;
    if (in->datatype != PROTO_FP32)
        return fail(in, err, errlen, "the datatype is not FP32");
    if (in->form == PROTO_FORM_RAW)
        return copy_raw(in, ret, sizeof(*ret), err, errlen);
    if (in->form == PROTO_FORM_PACKED)
        return proto_packed_floats(in->data, ret, in->elements) < 0
                   ? fail(in, err, errlen, not_contents)
                   : 0;
    int r =
        proto_json_floats(in->data.s, in->data.len, ret, in->elements, &used, what, sizeof(what));
    if (r == -EINVAL)
        fail(in, err, errlen, what);
    return r < 0 ? r : whole_array(in, used, err, errlen);
}

int proto_input_bytes(const struct proto_input *in, uint8_t *ret, char *err, size_t errlen)
{
    char what[160];
    size_t used;
    if (in->datatype != PROTO_UINT8)
        return fail(in, err, errlen, "the datatype is not UINT8");
    if (in->form == PROTO_FORM_RAW)
        return copy_raw(in, ret, sizeof(*ret), err, errlen);
    if (in->form == PROTO_FORM_PACKED)
        return proto_packed_bytes(in->data, ret, in->elements) < 0
                   ? fail(in, err, errlen, not_contents)
                   : 0;
    int r =
        proto_json_bytes(in->data.s, in->data.len, ret, in->elements, &used, what, sizeof(what));
    if (r == -EINVAL)
        fail(in, err, errlen, what);
    return r < 0 ? r : whole_array(in, used, err, errlen);
}

static int raw_items(const struct proto_input *in, struct proto_item *items, int max, char *err,
                     size_t errlen)
{
    const unsigned char *s = (const unsigned char *)in->data.s, *end = s + in->data.len;
    int n = 0;
    while (s < end) {
        if (end - s < 4)
            return fail(in, err, errlen, "BYTES: a length is cut short");
        uint32_t len = s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
        s += 4;
        if (len > (size_t)(end - s))
            return fail(in, err, errlen, "BYTES: a length reaches past the end of the data");
        if (n == max)
            return -E2BIG;
        items[n++] = (struct proto_item){{(const char *)s, len}, 0};
        s += len;
    }
    return n;
}

/* Strings in nested arrays, flattened. */
static int json_items(const struct proto_input *in, struct proto_item *items, int max, char *err,
                      size_t errlen)
{
    struct proto_scan scan;
    char what[160];
    int depth = 0, count = 0, n = 0, r;
    proto_scan_init(&scan, in->data.s, in->data.len, what, sizeof(what));
    do {
        int kind = proto_scan_peek(&scan);
        if (kind == '[') {
            r = proto_scan_enter_array(&scan);
            depth++;
            count = 0;
        } else if (kind == '"' && depth) {
            if (n == max)
                return -E2BIG;
            items[n].is_json = 1;
            r = proto_scan_string(&scan, &items[n++].data);
        } else {
            r = kind < 0 ? kind : proto_scan_fail(&scan, "a string is needed");
        }
        while (r >= 0 && depth && (r = proto_scan_element(&scan, &count)) == 0) {
            depth--;
            count = 1;
        }
        if (r < 0)
            return fail(in, err, errlen, what);
        if (depth > PROTO_JSON_DEPTH_MAX)
            return fail(in, err, errlen, "nested too deep");
    } while (depth);
    return proto_scan_finish(&scan) < 0 ? fail(in, err, errlen, what) : n;
}

int proto_input_items(const struct proto_input *in, struct proto_item *items, int max, char *err,
                      size_t errlen)
{
    char what[96];
    int n;
    if (in->datatype != PROTO_BYTES)
        return fail(in, err, errlen, "the datatype is not BYTES");
    if (max < 0 || in->elements > (size_t)max)
        return -E2BIG;
    if (in->form == PROTO_FORM_RAW)
        n = raw_items(in, items, max, err, errlen);
    else if (in->form == PROTO_FORM_JSON)
        n = json_items(in, items, max, err, errlen);
    else
        n = proto_packed_items(in->data, items, max);
    if (n == -EINVAL && in->form == PROTO_FORM_PACKED)
        return fail(in, err, errlen, not_contents);
    if (n >= 0 && (size_t)n != in->elements) {
        snprintf(what, sizeof(what), "%d elements where the shape needs %zu", n, in->elements);
        return fail(in, err, errlen, what);
    }
    return n;
}

int proto_classification(char *buf, size_t len, float value, int index, const char *label)
{
    if (label && *label)
        return snprintf(buf, len, "%f:%d:%s", (double)value, index, label);
    return snprintf(buf, len, "%f:%d", (double)value, index);
}
