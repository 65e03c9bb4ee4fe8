/* The few of FlexBuffers' forms that a map of numbers needs; see flexbuffer.h.
 *
 * An offset counts backwards from where it stands, so that whatever it leads to lies before it: a
 * chain of them ends. */
#include "engine/importers/flexbuffer.h"

#include <string.h>

#include "engine/engine.h"

enum {
    INT = 1,
    UINT = 2,
    FLOAT = 3,
    INDIRECT_INT = 6,
    INDIRECT_UINT = 7,
    INDIRECT_FLOAT = 8,
    MAP = 9,
    BOOL = 26
};

/* Bytes in front of `end` are the file's. */
struct flex {
    const uint8_t *bytes;
    size_t end;
};

/* `width` bytes at `at` as an unsigned number; 0: they are not all there. */
static int read_uint(const struct flex *f, size_t at, size_t width, uint64_t *ret)
{
    if (width > 8 || at > f->end || f->end - at < width)
        return 0;
    uint64_t v = 0;
    for (size_t i = 0; i < width; i++)
        v |= (uint64_t)f->bytes[at + i] << 8 * i;
    *ret = v;
    return 1;
}

/* Where the offset at `at` leads. */
static int follow(const struct flex *f, size_t at, size_t width, size_t *ret)
{
    uint64_t back;
    if (!read_uint(f, at, width, &back) || back > at || back == 0)
        return 0;
    *ret = at - (size_t)back;
    return 1;
}

static int64_t as_signed(uint64_t v, size_t width)
{
    uint64_t sign = (uint64_t)1 << (8 * width - 1);
    return (int64_t)((v ^ sign) - sign);
}

static int as_float(uint64_t v, size_t width, double *ret)
{
    float narrow;
    uint32_t bits = (uint32_t)v;
    if (width == 8) {
        memcpy(ret, &v, sizeof(v));
        return 1;
    }
    if (width != 4)
        return 0;
    memcpy(&narrow, &bits, sizeof(narrow));
    *ret = (double)narrow;
    return 1;
}

/* The number of a packed type at `at`; `width` is that of the map's own elements. */
static int number_at(const struct flex *f, size_t at, size_t width, uint8_t packed, double *ret)
{
    int type = packed >> 2;
    uint64_t v;
    if (type == INDIRECT_INT || type == INDIRECT_UINT || type == INDIRECT_FLOAT) {
        if (!follow(f, at, width, &at))
            return 0;
        width = (size_t)1 << (packed & 3);
        type -= INDIRECT_INT - INT;
    }
    if (!read_uint(f, at, width, &v))
        return 0;
    switch (type) {
    case INT:
        *ret = (double)as_signed(v, width);
        return 1;
    case UINT:
    case BOOL:
        *ret = (double)v;
        return 1;
    case FLOAT:
        return as_float(v, width, ret);
    default:
        return 0;
    }
}

static int is_key(const struct flex *f, size_t at, const char *key)
{
    size_t len = strlen(key) + 1;
    return at <= f->end && f->end - at >= len && memcmp(f->bytes + at, key, len) == 0;
}

/* A map: keys' offset, keys' width, length, then the values, then their types. */
struct map {
    size_t at, width, n, keys, key_width;
};

static int read_map(const struct flex *f, struct map *ret)
{
    uint64_t n, key_width;
    if (f->end < 3)
        return 0;
    uint8_t packed = f->bytes[f->end - 2];
    size_t width = f->bytes[f->end - 1], root = f->end - 2 - width;
    if ((width != 1 && width != 2 && width != 4 && width != 8) || width > f->end - 2 ||
        packed >> 2 != MAP || !follow(f, root, width, &ret->at))
        return 0;
    ret->width = (size_t)1 << (packed & 3);
    if (ret->at < 3 * ret->width || !read_uint(f, ret->at - ret->width, ret->width, &n) ||
        !read_uint(f, ret->at - 2 * ret->width, ret->width, &key_width) ||
        !follow(f, ret->at - 3 * ret->width, ret->width, &ret->keys))
        return 0;
    if (n > f->end || (f->end - ret->at) / (ret->width + 1) < n ||
        (key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8) ||
        (f->end - ret->keys) / key_width < n)
        return 0;
    ret->n = (size_t)n;
    ret->key_width = (size_t)key_width;
    return 1;
}

int eng_flex_number(const uint8_t *bytes, size_t len, const char *key, double *ret)
{
    struct flex f = {bytes, len};
    struct map m;
    if (!read_map(&f, &m))
        return ENG_E_DATA;
    for (size_t i = 0; i < m.n; i++) {
        size_t at;
        double v;
        if (!follow(&f, m.keys + i * m.key_width, m.key_width, &at))
            return ENG_E_DATA;
        if (!is_key(&f, at, key))
            continue;
        if (!number_at(&f, m.at + i * m.width, m.width, bytes[m.at + m.n * m.width + i], &v))
            return ENG_E_DATA;
        *ret = v;
        return 1;
    }
    return 0;
}
