/* The reader of compressed model files: everything that a file says is checked before it is used.
 */
#include "engine/importers/compressed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/sha256.h"
#include "engine/importers/compressed_parts.h"

enum { MOST_SHRUNK = 33 }; /* a word of 4 bytes in 1 bit */

struct bits {
    const uint8_t *bytes;
    size_t len, at; /* at: in bits */
};

struct table {
    uint16_t entry[1 << ENG_COMPRESSED_BITS]; /* symbol | length << 8; 0: no code */
};

struct block {
    int kind;
    size_t raw, len;
    const uint8_t *payload;
};

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int damaged(char *err, size_t errlen, const char *what)
{
    return eng_fail(err, errlen, ENG_E_DATA, "the compressed file is damaged: %s", what);
}

int eng_compressed_is(const void *bytes, size_t len)
{
    return len >= sizeof(ENG_COMPRESSED_MAGIC) - 1 &&
           memcmp(bytes, ENG_COMPRESSED_MAGIC, sizeof(ENG_COMPRESSED_MAGIC) - 1) == 0;
}

int eng_compressed_length(size_t *ret, const void *bytes, size_t len, size_t max, char *err,
                          size_t errlen)
{
    const uint8_t *p = bytes;
    if (!eng_compressed_is(bytes, len) || len < ENG_COMPRESSED_HEAD)
        return damaged(err, errlen, "it ends in its head");
    uint64_t n = le32(p + 8) | (uint64_t)le32(p + 12) << 32;
    if (n > max)
        return eng_fail(err, errlen, ENG_E_LIMIT, "larger than %zu bytes when it is expanded", max);
    if (n == 0 || n / MOST_SHRUNK > len)
        return damaged(err, errlen, "no file of its size holds so much");
    *ret = (size_t)n;
    return 0;
}

/* ---- codes ---- */

/* The next 57 bits or more, from the top; zeroes behind the end. */
static uint64_t peek(const struct bits *b)
{
    size_t byte = b->at >> 3;
    uint8_t tail[8] = {0};
    uint64_t v = 0;
    const uint8_t *p = tail;
    if (byte + 8 <= b->len)
        p = b->bytes + byte;
    else if (byte < b->len)
        memcpy(tail, b->bytes + byte, b->len - byte);
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v << (b->at & 7);
}

/* From `n` lengths in 4 bits each. */
static int build(struct table *t, const uint8_t *nibbles, int n)
{
    uint8_t length[256];
    int used = 0, at = 0;
    for (int i = 0; i < n; i++) {
        length[i] = nibbles[i / 2] >> (i & 1 ? 4 : 0) & 15;
        used += length[i] > 0;
        if (length[i] > ENG_COMPRESSED_BITS)
            return -1;
    }
    memset(t, 0, sizeof(*t));
    for (int bits = 1; bits <= ENG_COMPRESSED_BITS; bits++) {
        int span = 1 << (ENG_COMPRESSED_BITS - bits);
        for (int i = 0; i < n; i++) {
            if (length[i] != bits)
                continue;
            if (at + span > 1 << ENG_COMPRESSED_BITS)
                return -1;
            for (int k = 0; k < span; k++)
                t->entry[at + k] = (uint16_t)(i | bits << 8);
            at += span;
        }
    }
    return at == 1 << ENG_COMPRESSED_BITS || (used == 1 && at == 1 << (ENG_COMPRESSED_BITS - 1))
               ? 0
               : -1;
}

/* One symbol each of tables t[0] .. t[3] for `n` symbols in turn; 0 if all had codes. */
static int decode(struct bits *b, const struct table *const t[4], uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t v = peek(b);
        for (int k = 0; k < 4 && i < n; k++, i++) {
            unsigned e = t[k]->entry[v >> (64 - ENG_COMPRESSED_BITS)], bits = e >> 8;
            if (bits == 0)
                return -1;
            to[i] = (uint8_t)e;
            v <<= bits;
            b->at += bits;
        }
    }
    return (b->at + 7) / 8 == b->len ? 0 : -1;
}

/* ---- blocks ---- */

static int expand_bytes(uint8_t *to, const struct block *b, int tables)
{
    struct table t[4];
    size_t head = (size_t)tables * 128;
    if (b->len < head)
        return -1;
    for (int i = 0; i < tables; i++)
        if (build(&t[i], b->payload + 128 * i, 256) < 0)
            return -1;
    const struct table *const by[4] = {&t[0], &t[1 % tables], &t[2 % tables], &t[3 % tables]};
    struct bits bits = {b->payload + head, b->len - head, 0};
    return decode(&bits, by, to, b->raw);
}

static int expand_words(uint8_t *to, const struct block *b)
{
    struct table t;
    uint8_t index[ENG_COMPRESSED_BLOCK / 4];
    size_t words = b->raw / 4, n = b->len > 0 ? b->payload[0] + (size_t)1 : 0;
    size_t head = 1 + 4 * n + (n + 1) / 2;
    if (b->raw % 4 != 0 || b->len < head || build(&t, b->payload + 1 + 4 * n, (int)n) < 0)
        return -1;
    const struct table *const by[4] = {&t, &t, &t, &t};
    struct bits bits = {b->payload + head, b->len - head, 0};
    if (decode(&bits, by, index, words) < 0)
        return -1;
    for (size_t i = 0; i < words; i++)
        memcpy(to + 4 * i, b->payload + 1 + 4 * (size_t)index[i], 4);
    return 0;
}

static int expand_block(uint8_t *to, const struct block *b)
{
    switch (b->kind) {
    case ENG_COMPRESSED_STORED:
        if (b->len != b->raw)
            return -1;
        memcpy(to, b->payload, b->raw);
        return 0;
    case ENG_COMPRESSED_BYTES:
        return expand_bytes(to, b, 1);
    case ENG_COMPRESSED_PLANES:
        return expand_bytes(to, b, 4);
    case ENG_COMPRESSED_WORDS:
        return expand_words(to, b);
    default:
        return -1;
    }
}

static int same_sum(const uint8_t *sum, const void *bytes, size_t n)
{
    struct eng_sha256 s;
    char want[65], is[65];
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        want[2 * i] = digits[sum[i] >> 4];
        want[2 * i + 1] = digits[sum[i] & 15];
    }
    eng_sha256_init(&s);
    eng_sha256_add(&s, bytes, n);
    eng_sha256_hex(&s, is);
    return memcmp(want, is, 64) == 0;
}

int eng_compressed_expand(void *to, size_t n, const void *bytes, size_t len, char *err,
                          size_t errlen)
{
    const uint8_t *p = (const uint8_t *)bytes + ENG_COMPRESSED_HEAD;
    uint8_t *out = to;
    size_t left = len - ENG_COMPRESSED_HEAD, room = n;
    while (left > 0) {
        if (left < ENG_COMPRESSED_BLOCK_HEAD)
            return damaged(err, errlen, "it ends in the head of a block");
        struct block b = {p[0], le32(p + 1), le32(p + 5), p + ENG_COMPRESSED_BLOCK_HEAD};
        left -= ENG_COMPRESSED_BLOCK_HEAD;
        if (b.raw == 0 || b.raw > ENG_COMPRESSED_BLOCK || b.raw > room || b.len > left)
            return damaged(err, errlen, "a block has a wrong length");
        if (expand_block(out, &b) < 0)
            return damaged(err, errlen, "a block has wrong codes");
        p = b.payload + b.len;
        left -= b.len;
        out += b.raw;
        room -= b.raw;
    }
    if (room > 0)
        return damaged(err, errlen, "it ends early");
    return same_sum((const uint8_t *)bytes + 16, to, n)
               ? 0
               : damaged(err, errlen, "the sum of what it holds differs");
}

static int expand_file(struct eng_file *ret, const struct eng_file *packed, size_t max, char *err,
                       size_t errlen)
{
    struct eng_file f;
    size_t n;
    int rc = eng_compressed_length(&n, packed->bytes, packed->len, max, err, errlen);
    if (rc < 0)
        return rc;
    if (eng_file_create(&f, n) < 0)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory to expand it");
    rc = eng_compressed_expand(f.bytes, n, packed->bytes, packed->len, err, errlen);
    if (rc < 0)
        eng_file_finish(&f);
    else
        *ret = f;
    return rc;
}

int eng_compressed_read(struct eng_file *ret, const char *dir, char *name, size_t max, char *err,
                        size_t errlen)
{
    struct eng_file f;
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return eng_fail(err, errlen, -ENAMETOOLONG, "%.80s: the path is too long", name);
    int rc = eng_file_read(&f, path, max, err, errlen);
    if (rc < 0)
        return rc;
    if (!eng_compressed_is(f.bytes, f.len)) {
        *ret = f;
        return 0;
    }
    rc = expand_file(ret, &f, max, err, errlen);
    eng_file_finish(&f);
    size_t len = strlen(name), suffix = strlen(ENG_COMPRESSED_SUFFIX);
    if (rc < 0)
        return eng_fail_in(err, errlen, rc, name);
    if (len > suffix && strcmp(name + len - suffix, ENG_COMPRESSED_SUFFIX) == 0)
        name[len - suffix] = '\0';
    return 0;
}
