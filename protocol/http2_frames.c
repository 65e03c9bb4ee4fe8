/* nghttp2 1.52 measures no CONTINUATION, and takes a stream that was never opened for one that is
 * closed. Once priorities are off it also ignores PRIORITY of stream 0 and streams that depend on
 * themselves, and forgets closed streams, so that frames on them look harmless; with priorities on
 * it would keep a tree of them for each connection, where a bit a stream does. */
#include "protocol/http2_frames.h"

#include <string.h>

enum { PREFACE = 24, FRAME_MAX = 16384, DEPENDENCY = 4, PRIORITY_LEN = 5 };
enum { DATA = 0, HEADERS = 1, TYPE_PRIORITY = 2, RST_STREAM = 3, CONTINUATION = 9 };
enum { END_STREAM = 1, PADDED = 8, WITH_PRIORITY = 0x20 };
enum { PROTOCOL_ERROR = 1, STREAM_CLOSED = 5, FRAME_SIZE_ERROR = 6 };

void proto_h2_frames_init(struct proto_h2_frames *f)
{
    *f = (struct proto_h2_frames){.skip = PREFACE};
}

/* ---- which streams the client has ended ---- */

static uint64_t *bits_of(struct proto_h2_frames *f, uint32_t stream, uint64_t *ret_bit)
{
    uint32_t at = stream / 2 % PROTO_H2_REMEMBERED;
    *ret_bit = (uint64_t)1 << at % 64;
    return &f->ended[at / 64];
}

static int is_remembered(const struct proto_h2_frames *f, uint32_t stream)
{
    return stream % 2 == 1 && stream <= f->last &&
           (f->last - stream) / 2 < (uint32_t)PROTO_H2_REMEMBERED;
}

static void remember_end(struct proto_h2_frames *f, uint32_t stream)
{
    uint64_t bit;
    uint64_t *bits = bits_of(f, stream, &bit);
    if (is_remembered(f, stream))
        *bits |= bit;
}

static int has_ended(struct proto_h2_frames *f, uint32_t stream)
{
    uint64_t bit;
    const uint64_t *bits = bits_of(f, stream, &bit);
    return is_remembered(f, stream) && (*bits & bit) != 0;
}

/* A new highest stream: its bit, and those of the streams that it passed over, are of older ones.
 */
static void advance(struct proto_h2_frames *f, uint32_t stream)
{
    if (stream - f->last >= 2 * PROTO_H2_REMEMBERED)
        memset(f->ended, 0, sizeof(f->ended));
    else
        for (uint32_t s = stream; s > f->last && s <= stream; s -= 2) {
            uint64_t bit;
            uint64_t *bits = bits_of(f, s, &bit);
            *bits &= ~bit;
        }
    f->last = stream;
}

/* ---- heads ---- */

/* RFC 9113 5.1.1: opening a stream closes all idle ones below it. */
static int opens_closed(struct proto_h2_frames *f, uint32_t stream)
{
    if (stream > f->last) {
        if (stream - f->last > 2) {
            unsigned at = f->n_gaps++ % PROTO_H2_GAPS;
            f->gaps[at].from = f->last + 1;
            f->gaps[at].to = stream - 1;
        }
        advance(f, stream);
        return 0;
    }
    for (unsigned i = 0; i < PROTO_H2_GAPS; i++)
        if (stream >= f->gaps[i].from && stream <= f->gaps[i].to)
            return 1;
    return 0;
}

/* Its payload is to be looked at only if it is long enough; the library refuses another. */
static void expect_dependency(struct proto_h2_frames *f, unsigned type, unsigned flags)
{
    int padded = type == HEADERS && flags & PADDED;
    if (type == TYPE_PRIORITY ? f->skip != PRIORITY_LEN
                              : type != HEADERS || !(flags & WITH_PRIORITY) ||
                                    f->skip < PRIORITY_LEN + (size_t)padded)
        return;
    f->pad_byte = (unsigned)padded;
    f->dependency_left = DEPENDENCY;
    f->depends_on = 0;
}

/* 0, or the code of the fault. Frames on streams that the client has ended: RFC 9113 5.1, 6.1. One
 * that the server alone has reset may still get frames that were on their way. */
static uint32_t check_head(struct proto_h2_frames *f)
{
    const unsigned char *h = f->head;
    uint32_t stream = (h[5] & 0x7fu) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
    unsigned type = h[3], flags = h[4];
    f->skip = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    f->stream = stream;
    if (type == HEADERS || type == CONTINUATION)
        f->header_bytes += f->skip;
    if (type == CONTINUATION && f->skip > FRAME_MAX)
        return FRAME_SIZE_ERROR;
    if (type == TYPE_PRIORITY && stream == 0)
        return PROTOCOL_ERROR;
    if (type == DATA || type == HEADERS) {
        if (has_ended(f, stream))
            return STREAM_CLOSED;
        if (type == HEADERS && stream % 2 == 1 && opens_closed(f, stream))
            return PROTOCOL_ERROR;
    }
    if (type == RST_STREAM || ((type == DATA || type == HEADERS) && flags & END_STREAM))
        remember_end(f, stream);
    expect_dependency(f, type, flags);
    return 0;
}

/* ---- payloads ---- */

/* 0, or the code of the fault, which is in the last byte looked at: *ret_used of them were. */
static uint32_t check_dependency(struct proto_h2_frames *f, const unsigned char *p, size_t len,
                                 size_t *ret_used)
{
    size_t at = 0;
    for (; at < len && f->dependency_left; at++) {
        if (f->pad_byte) {
            f->pad_byte = 0;
            continue;
        }
        f->depends_on = f->depends_on << 8 | p[at];
        if (--f->dependency_left == 0 && (f->depends_on & 0x7fffffffu) == f->stream) {
            *ret_used = at + 1;
            return PROTOCOL_ERROR;
        }
    }
    *ret_used = at;
    return 0;
}

/* 0, or the code of the fault, which lies just before *at. */
static uint32_t skip_payload(struct proto_h2_frames *f, const unsigned char *p, size_t len,
                             size_t *at)
{
    size_t part = f->skip < len - *at ? f->skip : len - *at, used;
    uint32_t error = check_dependency(f, p + *at, part, &used);
    if (error) {
        *at += used;
        return error;
    }
    f->skip -= part;
    *at += part;
    return 0;
}

size_t proto_h2_frames_check(struct proto_h2_frames *f, const void *data, size_t len,
                             uint32_t *ret_error)
{
    const unsigned char *p = data;
    size_t at = 0;
    while (at < len) {
        uint32_t error = skip_payload(f, p, len, &at);
        if (error) {
            *ret_error = error;
            return at - 1;
        }
        if (at == len)
            return len;
        f->head[f->head_len++] = p[at++];
        if (f->head_len < PROTO_H2_HEAD)
            continue;
        f->head_len = 0;
        f->count++;
        error = check_head(f);
        if (error) {
            *ret_error = error;
            return at > PROTO_H2_HEAD ? at - PROTO_H2_HEAD : 0;
        }
    }
    return len;
}
