/* zlib behind a growing buffer. */
#include "protocol/inflate.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { LARGE = 1 << 20 };

int proto_coding_parse(const char *value, enum proto_coding *ret)
{
    if (!value || !strcasecmp(value, "identity"))
        *ret = PROTO_IDENTITY;
    else if (!strcasecmp(value, "gzip") || !strcasecmp(value, "x-gzip"))
        *ret = PROTO_GZIP;
    else if (!strcasecmp(value, "deflate"))
        *ret = PROTO_DEFLATE;
    else
        return -EINVAL;
    return 0;
}

/* gzip by its header; deflate means zlib, but raw streams are common: the zlib header tells. */
static int window_bits(enum proto_coding coding, const unsigned char *s, size_t len)
{
    if (coding == PROTO_GZIP)
        return 15 + 16;
    int zlib = len >= 2 && (s[0] & 15) == 8 && (s[0] << 8 | s[1]) % 31 == 0;
    return zlib ? 15 : -15;
}

static int grow(unsigned char **out, size_t *cap, size_t max, const struct proto_room *room)
{
    /* What is large is moved by its pages: it need not be twice as large as what came. */
    size_t more = *cap >= LARGE ? *cap + *cap / 4 : *cap ? *cap * 2 : 64 << 10;
    more = more > max + 1 ? max + 1 : more;
    int rc = proto_room_change(room, *cap, more);
    if (rc < 0)
        return rc;
    unsigned char *grown = realloc(*out, more + 1);
    if (!grown) {
        proto_room_change(room, more, *cap);
        return -ENOMEM;
    }
    *out = grown;
    *cap = more;
    return 0;
}

static int run(z_stream *z, unsigned char **out, size_t *ret_cap, size_t max,
               const struct proto_room *room, size_t *ret_len)
{
    size_t used = 0;
    for (;;) {
        int rc = used == *ret_cap ? grow(out, ret_cap, max, room) : 0;
        size_t cap = *ret_cap;
        if (rc < 0)
            return rc;
        z->next_out = *out + used;
        z->avail_out = (uInt)(cap - used);
        int r = inflate(z, Z_NO_FLUSH);
        used = cap - z->avail_out;
        if (used > max)
            return -EMSGSIZE;
        if (r == Z_STREAM_END)
            break;
        if (r == Z_MEM_ERROR)
            return -ENOMEM;
        /* No progress with room left: the input is cut short. */
        if ((r != Z_OK && r != Z_BUF_ERROR) || (used < cap && !z->avail_in))
            return -EINVAL;
    }
    (*out)[used] = 0;
    *ret_len = used;
    return z->avail_in ? -EINVAL : 0;
}

int proto_inflate(enum proto_coding coding, const void *data, size_t len, size_t max,
                  const struct proto_room *room, void **ret_take, size_t *ret_len)
{
    z_stream z = {0};
    unsigned char *out = NULL;
    size_t cap = 0;
    if (len > UINT_MAX || max >= UINT_MAX)
        return -EMSGSIZE;
    if (coding == PROTO_IDENTITY)
        return -EINVAL;
    if (inflateInit2(&z, window_bits(coding, data, len)) != Z_OK)
        return -ENOMEM;
    z.next_in = (unsigned char *)data;
    z.avail_in = (uInt)len;
    int r = run(&z, &out, &cap, max, room, ret_len);
    inflateEnd(&z);
    if (r < 0) {
        proto_room_change(room, cap, 0);
        free(out);
        return r;
    }
    void *fitted = realloc(out, *ret_len + 1);
    proto_room_change(room, cap, *ret_len);
    *ret_take = fitted ? fitted : out;
    return 0;
}
