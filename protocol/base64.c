/* Four characters at a time through one table as long as nothing but the alphabet comes, one at a
 * time around white space, escapes and the end. */
#include "protocol/base64.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Values over 63: no character of the alphabet. */
enum { BAD = 0x80, SPACE = 0x81, PAD = 0x82, ESCAPE = 0x84 };

static const uint8_t value_of[256] = {
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x81, 0x81, 0x80,
    0x80, 0x81, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x81,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 0x80, 0x80,
    0x80, 62,   0x80,
    62,   0x80, 63,
    52,   53,   54,
    55,   56,   57,
    58,   59,   60,
    61,   0x80, 0x80,
    0x80, 0x82, 0x80,
    0x80, 0x80, 0,
    1,    2,    3,
    4,    5,    6,
    7,    8,    9,
    10,   11,   12,
    13,   14,   15,
    16,   17,   18,
    19,   20,   21,
    22,   23,   24,
    25,   0x80, 0x84,
    0x80, 0x80, 63,
    0x80, 26,   27,
    28,   29,   30,
    31,   32,   33,
    34,   35,   36,
    37,   38,   39,
    40,   41,   42,
    43,   44,   45,
    46,   47,   48,
    49,   50,   51,
    0x80, 0x80, 0x80,
    0x80, 0x80, [128 ... 255] = BAD,
};

size_t proto_base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}

size_t proto_base64_encoded_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

struct decoder {
    const unsigned char *s, *end;
    uint8_t *out;
    uint32_t bits; /* of the group that is not complete */
    int n;         /* characters in it */
    int in_json;
};

static void take_groups(struct decoder *d)
{
    while (d->end - d->s >= 4) {
        uint32_t a = value_of[d->s[0]], b = value_of[d->s[1]], c = value_of[d->s[2]],
                 e = value_of[d->s[3]];
        if ((a | b | c | e) > 63)
            return;
        uint32_t v = a << 18 | b << 12 | c << 6 | e;
        d->out[0] = (uint8_t)(v >> 16);
        d->out[1] = (uint8_t)(v >> 8);
        d->out[2] = (uint8_t)v;
        d->out += 3;
        d->s += 4;
    }
}

static void put(struct decoder *d, uint32_t value)
{
    d->bits = d->bits << 6 | value;
    if (++d->n < 4)
        return;
    d->out[0] = (uint8_t)(d->bits >> 16);
    d->out[1] = (uint8_t)(d->bits >> 8);
    d->out[2] = (uint8_t)d->bits;
    d->out += 3;
    d->bits = 0;
    d->n = 0;
}

static int take_escape(struct decoder *d)
{
    if (!d->in_json || d->end - d->s < 2)
        return -EINVAL;
    char ch = (char)d->s[1];
    if (ch == '/')
        put(d, 63);
    else if (ch != 'n' && ch != 'r' && ch != 't')
        return -EINVAL;
    d->s += 2;
    return 0;
}

/* The padding and what follows it, which can only be white space. */
static int take_padding(struct decoder *d)
{
    int pads = 0;
    for (; d->s < d->end; d->s++) {
        uint8_t v = value_of[*d->s];
        if (v == ESCAPE && d->in_json && d->end - d->s >= 2 && strchr("nrt", d->s[1]) && d->s[1])
            d->s++;
        else if (v == PAD)
            pads++;
        else if (v != SPACE)
            return -EINVAL;
    }
    return d->n >= 2 && d->n + pads == 4 ? 0 : -EINVAL;
}

/* Two or three characters that are left over. */
static int take_rest(struct decoder *d)
{
    if (d->n == 1 || (d->n == 2 && d->bits & 0xf) || (d->n == 3 && d->bits & 3))
        return -EINVAL;
    if (d->n == 2) {
        *d->out++ = (uint8_t)(d->bits >> 4);
    } else if (d->n == 3) {
        *d->out++ = (uint8_t)(d->bits >> 10);
        *d->out++ = (uint8_t)(d->bits >> 2);
    }
    return 0;
}

long proto_base64_decode(const char *s, size_t len, int in_json, void *ret, size_t retlen)
{
    struct decoder d = {.s = (const unsigned char *)s, .out = ret, .in_json = in_json};
    if (len > LONG_MAX / 2 || retlen < proto_base64_decoded_max(len))
        return -ENOSPC;
    d.end = d.s + len;
    for (;;) {
        if (!d.n)
            take_groups(&d);
        if (d.s == d.end)
            break;
        uint8_t v = value_of[*d.s];
        int r = 0;
        if (v == PAD) {
            r = take_padding(&d);
        } else if (v == ESCAPE) {
            r = take_escape(&d);
        } else if (v == BAD) {
            r = -EINVAL;
        } else {
            d.s++;
            if (v != SPACE)
                put(&d, v);
        }
        if (r < 0)
            return r;
    }
    int r = take_rest(&d);
    return r < 0 ? r : d.out - (uint8_t *)ret;
}

long proto_base64_encode(const void *data, size_t len, char *ret, size_t retlen)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *s = data;
    char *out = ret;
    if (len > LONG_MAX / 2 || retlen <= proto_base64_encoded_len(len))
        return -ENOSPC;
    for (; len >= 3; len -= 3, s += 3) {
        uint32_t v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = letters[v >> 6 & 63];
        *out++ = letters[v & 63];
    }
    if (len) {
        uint32_t v = (uint32_t)s[0] << 16 | (len > 1 ? (uint32_t)s[1] << 8 : 0);
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = len > 1 ? letters[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = 0;
    return out - ret;
}

int proto_data_url(const char *s, size_t len, const char **ret_data, size_t *ret_len)
{
    static const char mark[] = ";base64";
    size_t n = sizeof(mark) - 1;
    if (len < 5 || strncasecmp(s, "data:", 5))
        return -ENOENT;
    const char *comma = memchr(s, ',', len);
    if (!comma || (size_t)(comma - s) < 5 + n || strncasecmp(comma - n, mark, n))
        return -EINVAL;
    *ret_data = comma + 1;
    *ret_len = len - (size_t)(comma + 1 - s);
    return 0;
}
