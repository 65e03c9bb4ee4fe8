/* The growing text behind the JSON writers that jansson would be too slow for. */
#include "protocol/buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json_tensor.h"
#include "protocol/utf8.h"

char *proto_buf_room(struct proto_buf *b, size_t n)
{
    if (b->failed || n > SIZE_MAX / 4 - b->len) {
        b->failed = 1;
        return NULL;
    }
    if (b->cap - b->len < n) {
        size_t cap = (b->len + n) + (b->len + n) / 2 + 256;
        char *data = realloc(b->data, cap);
        if (!data) {
            b->failed = 1;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void proto_buf_grow(struct proto_buf *b, size_t n)
{
    b->len += n;
}

void proto_buf_put(struct proto_buf *b, const void *data, size_t len)
{
    char *to = proto_buf_room(b, len);
    if (to && len) {
        memcpy(to, data, len);
        b->len += len;
    }
}

void proto_buf_text(struct proto_buf *b, const char *text)
{
    proto_buf_put(b, text, strlen(text));
}

void proto_buf_int(struct proto_buf *b, int64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%lld", (long long)value);
    proto_buf_put(b, digits, (size_t)n);
}

static void put_char(struct proto_buf *b, const char *s, size_t left, size_t *ret_used)
{
    static const char letters[] = "btnvfr";
    unsigned char ch = (unsigned char)*s;
    char escape[8];
    int n = proto_utf8_char(s, left);
    *ret_used = n ? (size_t)n : 1;
    if (!n) {
        proto_buf_text(b, "\xef\xbf\xbd");
    } else if (ch == '"' || ch == '\\') {
        escape[0] = '\\';
        escape[1] = (char)ch;
        proto_buf_put(b, escape, 2);
    } else if (ch < 0x20 && ch >= 8 && ch <= 13 && ch != 11) {
        escape[0] = '\\';
        escape[1] = letters[ch - 8];
        proto_buf_put(b, escape, 2);
    } else if (ch < 0x20) {
        snprintf(escape, sizeof(escape), "\\u%04x", ch);
        proto_buf_put(b, escape, 6);
    } else {
        proto_buf_put(b, s, (size_t)n);
    }
}

void proto_buf_string(struct proto_buf *b, struct proto_span text)
{
    size_t used;
    proto_buf_put(b, "\"", 1);
    for (size_t i = 0; i < text.len; i += used)
        put_char(b, text.s + i, text.len - i, &used);
    proto_buf_put(b, "\"", 1);
}

void proto_buf_quoted(struct proto_buf *b, const char *text)
{
    if (text)
        proto_buf_string(b, (struct proto_span){text, strlen(text)});
    else
        proto_buf_text(b, "null");
}

void proto_buf_float(struct proto_buf *b, float value)
{
    char digits[PROTO_FLOAT_MAX];
    if (isfinite(value))
        proto_buf_put(b, digits, (size_t)proto_json_print_float(digits, value));
    else
        proto_buf_text(b, "null");
}

void proto_buf_floats(struct proto_buf *b, const float *values, size_t n)
{
    size_t most = (n + 1) * (PROTO_FLOAT_MAX + 2);
    char *to = proto_buf_room(b, most);
    long len = to ? proto_json_print_floats(to, most, values, n) : 0;
    if (len > 0)
        proto_buf_grow(b, (size_t)len);
    else
        b->failed = 1;
}

void proto_buf_next(struct proto_buf *b)
{
    if (b->len > 0 && !strchr("[{:", b->data[b->len - 1]))
        proto_buf_put(b, ",", 1);
}

void proto_buf_key(struct proto_buf *b, const char *key)
{
    proto_buf_next(b);
    proto_buf_quoted(b, key);
    proto_buf_put(b, ":", 1);
}

void proto_buf_finish(struct proto_buf *b)
{
    free(b->data);
    *b = (struct proto_buf){0};
}

char *proto_buf_take(struct proto_buf *b, size_t *ret_len)
{
    proto_buf_put(b, "", 1);
    char *ret = b->failed ? NULL : b->data;
    if (!ret)
        free(b->data);
    else if (ret_len)
        *ret_len = b->len - 1;
    *b = (struct proto_buf){0};
    return ret;
}
