/* nghttp2 1.52 measures no CONTINUATION, ignores PRIORITY of stream 0 once priorities are off, and
 * takes a stream that was never opened for one that is closed. */
#include "protocol/http2_frames.h"

enum { PREFACE = 24, FRAME_MAX = 16384, HEADERS = 1, TYPE_PRIORITY = 2, CONTINUATION = 9 };
enum { PROTOCOL_ERROR = 1, FRAME_SIZE_ERROR = 6 };

void proto_h2_frames_init(struct proto_h2_frames *f)
{
    *f = (struct proto_h2_frames){.skip = PREFACE};
}

/* RFC 9113 5.1.1: opening a stream closes all idle ones below it. */
static int opens_closed(struct proto_h2_frames *f, uint32_t stream)
{
    if (stream > f->last) {
        if (stream - f->last > 2) {
            unsigned at = f->n_gaps++ % PROTO_H2_GAPS;
            f->gaps[at].from = f->last + 1;
            f->gaps[at].to = stream - 1;
        }
        f->last = stream;
        return 0;
    }
    for (unsigned i = 0; i < PROTO_H2_GAPS; i++)
        if (stream >= f->gaps[i].from && stream <= f->gaps[i].to)
            return 1;
    return 0;
}

/* 0, or the code of the fault. */
static uint32_t check_head(struct proto_h2_frames *f)
{
    const unsigned char *h = f->head;
    uint32_t stream = (h[5] & 0x7fu) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
    f->skip = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    if (h[3] == CONTINUATION && f->skip > FRAME_MAX)
        return FRAME_SIZE_ERROR;
    if (h[3] == TYPE_PRIORITY && stream == 0)
        return PROTOCOL_ERROR;
    if (h[3] == HEADERS && stream % 2 == 1 && opens_closed(f, stream))
        return PROTOCOL_ERROR;
    return 0;
}

size_t proto_h2_frames_check(struct proto_h2_frames *f, const void *data, size_t len,
                             uint32_t *ret_error)
{
    const unsigned char *p = data;
    size_t at = 0;
    while (at < len) {
        size_t part = f->skip < len - at ? f->skip : len - at;
        f->skip -= part;
        at += part;
        if (at == len)
            return len;
        f->head[f->head_len++] = p[at++];
        if (f->head_len < PROTO_H2_HEAD)
            continue;
        f->head_len = 0;
        f->count++;
        uint32_t error = check_head(f);
        if (error) {
            *ret_error = error;
            return at > PROTO_H2_HEAD ? at - PROTO_H2_HEAD : 0;
        }
    }
    return len;
}
