/* The writer of compressed model files. A file is cut where runs of words begin that need few
 * different values (weights of a codebook, found by looking at every 4096th byte), else every
 * ENG_COMPRESSED_BLOCK bytes; each piece takes whichever kind of block is the shortest. */
#include "engine/optimize/compressed_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"
#include "engine/importers/compressed_parts.h"

enum { CELL = 4096, SLOTS = 1024, WORDS = 256 };

struct code {
    uint8_t length[256];
    uint16_t bits[256];
};

/* The different words of a run, by an open hash. */
struct words {
    int n;
    uint32_t word[WORDS];
    int16_t slot[SLOTS]; /* index + 1; 0: free */
};

struct writer {
    const uint8_t *from;
    uint8_t *to;
    size_t len; /* written so far */
    uint64_t held;
    int n_held; /* bits of a byte that is not full */
};

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* ---- codes ---- */

/* Lengths by Huffman's algorithm; the longest of them. */
static int huffman(const uint32_t *count, uint8_t *length)
{
    uint32_t weight[511];
    int16_t parent[511];
    int used = 0, nodes = 256, longest = 0;
    memset(parent, -1, sizeof(parent));
    for (int i = 0; i < 256; i++) {
        weight[i] = count[i];
        used += count[i] > 0;
    }
    for (int left = used; left > 1; left--, nodes++) {
        int a = -1, b = -1; /* the two lightest that have no parent */
        for (int i = 0; i < nodes; i++) {
            if (weight[i] == 0 || parent[i] >= 0)
                continue;
            if (a < 0 || weight[i] < weight[a]) {
                b = a;
                a = i;
            } else if (b < 0 || weight[i] < weight[b]) {
                b = i;
            }
        }
        weight[nodes] = weight[a] + weight[b];
        parent[a] = parent[b] = (int16_t)nodes;
    }
    for (int i = 0; i < 256; i++) {
        int depth = used == 1 && count[i] > 0;
        for (int k = i; count[i] > 0 && parent[k] >= 0; k = parent[k])
            depth++;
        length[i] = (uint8_t)depth;
        longest = depth > longest ? depth : longest;
    }
    return longest;
}

static void make_code(struct code *c, const uint32_t *counts)
{
    uint32_t count[256];
    unsigned next = 0;
    memcpy(count, counts, sizeof(count));
    while (huffman(count, c->length) > ENG_COMPRESSED_BITS)
        for (int i = 0; i < 256; i++)
            count[i] = (count[i] + 1) / 2;
    for (int bits = 1; bits <= ENG_COMPRESSED_BITS; bits++, next <<= 1)
        for (int i = 0; i < 256; i++)
            if (c->length[i] == bits)
                c->bits[i] = (uint16_t)next++;
}

/* Bits of the symbols that were counted. */
static size_t price(const struct code *c, const uint32_t *count)
{
    size_t bits = 0;
    for (int i = 0; i < 256; i++)
        bits += (size_t)count[i] * c->length[i];
    return bits;
}

static void put_table(struct writer *w, const struct code *c, int n)
{
    for (int i = 0; i < n; i += 2)
        w->to[w->len++] = (uint8_t)(c->length[i] | (i + 1 < n ? c->length[i + 1] : 0) << 4);
}

static void put_symbol(struct writer *w, const struct code *c, int symbol)
{
    w->held = w->held << c->length[symbol] | c->bits[symbol];
    for (w->n_held += c->length[symbol]; w->n_held >= 8; w->n_held -= 8)
        w->to[w->len++] = (uint8_t)(w->held >> (w->n_held - 8));
}

static void flush(struct writer *w)
{
    if (w->n_held > 0)
        w->to[w->len++] = (uint8_t)(w->held << (8 - w->n_held));
    w->n_held = 0;
}

/* ---- blocks ---- */

/* Room for the head; where it is. */
static size_t open_block(struct writer *w, int kind, size_t raw)
{
    size_t at = w->len;
    w->to[at] = (uint8_t)kind;
    put32(w->to + at + 1, (uint32_t)raw);
    w->len += ENG_COMPRESSED_BLOCK_HEAD;
    return at;
}

static void close_block(struct writer *w, size_t at)
{
    flush(w);
    put32(w->to + at + 5, (uint32_t)(w->len - at - ENG_COMPRESSED_BLOCK_HEAD));
}

static void put_bytes(struct writer *w, const uint8_t *p, size_t n)
{
    uint32_t all[256] = {0}, plane[4][256] = {{0}};
    struct code one, four[4];
    size_t bits4 = 0;
    for (size_t i = 0; i < n; i++) {
        all[p[i]]++;
        plane[i & 3][p[i]]++;
    }
    make_code(&one, all);
    for (int i = 0; i < 4 && n >= 4; i++) {
        make_code(&four[i], plane[i]);
        bits4 += price(&four[i], plane[i]);
    }
    size_t bytes1 = 128 + (price(&one, all) + 7) / 8, bytes4 = 512 + (bits4 + 7) / 8;
    int kind = n >= 4 && bytes4 < bytes1 ? ENG_COMPRESSED_PLANES : ENG_COMPRESSED_BYTES;
    if ((kind == ENG_COMPRESSED_PLANES ? bytes4 : bytes1) >= n)
        kind = ENG_COMPRESSED_STORED;
    size_t at = open_block(w, kind, n);
    if (kind == ENG_COMPRESSED_STORED) {
        memcpy(w->to + w->len, p, n);
        w->len += n;
    } else {
        int tables = kind == ENG_COMPRESSED_PLANES ? 4 : 1;
        for (int i = 0; i < tables; i++)
            put_table(w, tables == 4 ? &four[i] : &one, 256);
        for (size_t i = 0; i < n; i++)
            put_symbol(w, tables == 4 ? &four[i & 3] : &one, p[i]);
    }
    close_block(w, at);
}

/* Index of the word, which is added if there is room for it; else -1. */
static int index_of(struct words *d, const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    unsigned slot = v * 2654435761u >> 22;
    while (d->slot[slot] && d->word[d->slot[slot] - 1] != v)
        slot = (slot + 1) % SLOTS;
    if (d->slot[slot])
        return d->slot[slot] - 1;
    if (d->n == WORDS)
        return -1;
    d->word[d->n++] = v;
    d->slot[slot] = (int16_t)d->n;
    return d->n - 1;
}

static void put_words(struct writer *w, const uint8_t *p, size_t n)
{
    struct words d = {0};
    uint32_t count[256] = {0};
    struct code c;
    for (size_t i = 0; i < n; i += 4)
        count[index_of(&d, p + i)]++;
    make_code(&c, count);
    size_t bytes = 1 + 4 * (size_t)d.n + (size_t)(d.n + 1) / 2 + (price(&c, count) + 7) / 8;
    if (bytes >= n) {
        put_bytes(w, p, n);
        return;
    }
    size_t at = open_block(w, ENG_COMPRESSED_WORDS, n);
    w->to[w->len++] = (uint8_t)(d.n - 1);
    for (int i = 0; i < d.n; i++, w->len += 4)
        memcpy(w->to + w->len, &d.word[i], 4);
    put_table(w, &c, d.n);
    for (size_t i = 0; i < n; i += 4)
        put_symbol(w, &c, index_of(&d, p + i));
    close_block(w, at);
}

/* ---- runs of few words ---- */

/* Bytes at .. at + n of the file, as words of which so many differ. */
struct run {
    size_t at, n;
    int words;
};

/* The run that holds the cell at `at`, not before `first`; n 0: none. */
static struct run find_run(const uint8_t *from, size_t len, size_t first, size_t at)
{
    struct words d = {0};
    size_t begin = at, end = at;
    if (len - begin < CELL)
        return (struct run){0};
    for (; end < at + CELL; end += 4)
        if (index_of(&d, from + end) < 0)
            return (struct run){0};
    while (begin >= first + 4 && end - begin < ENG_COMPRESSED_BLOCK &&
           index_of(&d, from + begin - 4) >= 0)
        begin -= 4;
    while (len - end >= 4 && end - begin < ENG_COMPRESSED_BLOCK && index_of(&d, from + end) >= 0)
        end += 4;
    return (struct run){begin, end - begin, d.n};
}

/* Words need not be aligned in a file, and what is read a byte off has few values for a while, too:
 * the longest run of the four, or of those the one with the fewest values. */
static struct run best_run(const uint8_t *from, size_t len, size_t first, size_t cell)
{
    struct run best = {0};
    for (size_t phase = 0; phase < 4 && phase < len - cell; phase++) {
        struct run r = find_run(from, len, first, cell + phase);
        if (r.n > best.n + 4 || (r.n > 0 && r.n + 4 >= best.n && r.words < best.words))
            best = r;
    }
    return best;
}

static void put_plain(struct writer *w, size_t begin, size_t end)
{
    while (begin < end) {
        size_t n = end - begin < ENG_COMPRESSED_BLOCK ? end - begin : ENG_COMPRESSED_BLOCK;
        put_bytes(w, w->from + begin, n);
        begin += n;
    }
}

static void put_all(struct writer *w, size_t len)
{
    size_t done = 0, cell = 0;
    while (cell < len) {
        struct run r = best_run(w->from, len, done, cell);
        if (r.n == 0) {
            cell = (cell / CELL + 1) * CELL;
            continue;
        }
        put_plain(w, done, r.at);
        put_words(w, w->from + r.at, r.n);
        done = cell = r.at + r.n;
    }
    put_plain(w, done, len);
}

int eng_compressed_pack(void **ret, size_t *ret_len, const void *bytes, size_t len)
{
    struct eng_sha256 s;
    char hex[65];
    /* Blocks end at a cap or beside a run, which has a cell at least. */
    size_t blocks = len / ENG_COMPRESSED_BLOCK + 2 * (len / CELL) + 2;
    struct writer w = {.from = bytes, .len = ENG_COMPRESSED_HEAD};
    if (blocks > (SIZE_MAX - len) / 16 ||
        !(w.to = malloc(ENG_COMPRESSED_HEAD + len + blocks * ENG_COMPRESSED_BLOCK_HEAD)))
        return -ENOMEM;
    memcpy(w.to, ENG_COMPRESSED_MAGIC, 8);
    put32(w.to + 8, (uint32_t)len);
    put32(w.to + 12, (uint32_t)((uint64_t)len >> 32));
    eng_sha256_init(&s);
    eng_sha256_add(&s, bytes, len);
    eng_sha256_hex(&s, hex);
    for (int i = 0; i < 32; i++) {
        int hi = hex[2 * i], lo = hex[2 * i + 1];
        w.to[16 + i] = (uint8_t)((hi <= '9' ? hi - '0' : hi - 'a' + 10) << 4 |
                                 (lo <= '9' ? lo - '0' : lo - 'a' + 10));
    }
    put_all(&w, len);
    *ret = w.to;
    *ret_len = w.len;
    return 0;
}
