/* Message framing of gRPC and its two header values with a syntax of their own. */
#include "protocol/grpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 64 << 10 };

void proto_grpc_init(struct proto_grpc_stream *s, size_t max, const struct proto_room *room)
{
    *s = (struct proto_grpc_stream){.max = max, .room = room};
}

void proto_grpc_finish(struct proto_grpc_stream *s)
{
    proto_room_change(s->room, s->cap, 0);
    free(s->message);
    proto_grpc_init(s, s->max, s->room);
}

int proto_grpc_at_boundary(const struct proto_grpc_stream *s)
{
    return s->prefix_len == 0;
}

static int read_prefix(struct proto_grpc_stream *s)
{
    const unsigned char *p = s->prefix;
    if (p[0] > 1)
        return -EPROTO;
    s->len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    return s->len > s->max ? -EMSGSIZE : 0;
}

/* Room for n more bytes: doubles from a first block up to the announced length, so a peer that
 * announces much and sends little costs little. */
static int reserve(struct proto_grpc_stream *s, size_t n)
{
    size_t cap = s->cap ? s->cap : FIRST_BLOCK;
    if (s->message && s->used + n <= s->cap)
        return 0;
    while (cap < s->used + n)
        cap *= 2;
    if (cap > s->len)
        cap = s->len;
    int rc = proto_room_change(s->room, s->cap, cap);
    if (rc < 0)
        return rc;
    unsigned char *grown = realloc(s->message, cap + 1);
    if (!grown) {
        proto_room_change(s->room, cap, s->cap);
        return -ENOMEM;
    }
    s->message = grown;
    s->cap = cap;
    return 0;
}

int proto_grpc_feed(struct proto_grpc_stream *s, const void *data, size_t len, size_t *ret_used,
                    void **ret_take, size_t *ret_len, int *ret_compressed)
{
    const unsigned char *p = data, *end = p + len;
    *ret_used = 0;
    if (s->prefix_len < PROTO_GRPC_PREFIX) {
        while (p < end && s->prefix_len < PROTO_GRPC_PREFIX)
            s->prefix[s->prefix_len++] = *p++;
        int r = s->prefix_len == PROTO_GRPC_PREFIX ? read_prefix(s) : 0;
        if (r < 0)
            return r;
    }
    *ret_used = len - (size_t)(end - p);
    if (s->prefix_len < PROTO_GRPC_PREFIX)
        return 0;
    size_t n = (size_t)(end - p) < s->len - s->used ? (size_t)(end - p) : s->len - s->used;
    int rc = reserve(s, n);
    if (rc < 0)
        return rc;
    if (n)
        memcpy(s->message + s->used, p, n);
    s->used += n;
    *ret_used += n;
    if (s->used < s->len)
        return 0;
    s->message[s->len] = 0;
    *ret_take = s->message;
    *ret_len = s->len;
    *ret_compressed = s->prefix[0];
    proto_grpc_init(s, s->max, s->room);
    return 1;
}

void proto_grpc_prefix(unsigned char ret[PROTO_GRPC_PREFIX], uint32_t len, int compressed)
{
    ret[0] = compressed != 0;
    for (int i = 0; i < 4; i++)
        ret[1 + i] = (unsigned char)(len >> (24 - 8 * i));
}

size_t proto_grpc_message(const char *text, char *ret, size_t retlen)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;
        int plain = ch >= 0x20 && ch < 0x7f && ch != '%';
        if (n + (plain ? 1 : 3) >= retlen)
            break;
        if (plain) {
            ret[n++] = (char)ch;
            continue;
        }
        ret[n++] = '%';
        ret[n++] = hex[ch >> 4];
        ret[n++] = hex[ch & 15];
    }
    if (retlen)
        ret[n] = 0;
    return n;
}

int proto_grpc_timeout(const char *value, size_t len, uint64_t *ret_us)
{
    uint64_t v = 0;
    if (len < 2 || len > 9)
        return -EINVAL;
    for (size_t i = 0; i + 1 < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return -EINVAL;
        v = v * 10 + (uint64_t)(value[i] - '0');
    }
    switch (value[len - 1]) {
    case 'H':
        v *= 3600000000;
        break;
    case 'M':
        v *= 60000000;
        break;
    case 'S':
        v *= 1000000;
        break;
    case 'm':
        v *= 1000;
        break;
    case 'u':
        break;
    case 'n':
        v = (v + 999) / 1000;
        break;
    default:
        return -EINVAL;
    }
    *ret_us = v;
    return 0;
}
