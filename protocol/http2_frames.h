/* The heads of a client's frames, read before the session reads them: what RFC 9113 forbids and the
 * library lets pass. No I/O. Untrusted bytes. */
#ifndef PROTO_HTTP2_FRAMES_H
#define PROTO_HTTP2_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum { PROTO_H2_HEAD = 9, PROTO_H2_GAPS = 8, PROTO_H2_REMEMBERED = 512 };

struct proto_h2_frames {
    unsigned char head[PROTO_H2_HEAD];
    size_t head_len;       /* bytes of the head that are there */
    size_t skip;           /* bytes of the preface or of a payload that are still to come */
    uint64_t count;        /* heads so far */
    uint64_t header_bytes; /* payloads of HEADERS and CONTINUATION so far, as announced */
    uint32_t last;         /* the highest stream of the client so far */
    /* Streams that it passed over, from..to, the latest ones; they can never be opened. */
    struct {
        uint32_t from, to;
    } gaps[PROTO_H2_GAPS];
    unsigned n_gaps;
    /* Of the last PROTO_H2_REMEMBERED streams that the client may have opened: has it said its last
     * word there, by END_STREAM or RST_STREAM? One bit each, at stream / 2 modulo their number. */
    uint64_t ended[PROTO_H2_REMEMBERED / 64];
    /* The stream that a frame's own stream depends on (RFC 7540 5.3.1), as its bytes come. */
    uint32_t stream, depends_on;
    unsigned pad_byte, dependency_left; /* bytes in front of it, and of it, still to come */
};

void proto_h2_frames_init(struct proto_h2_frames *f);
/* How many of the bytes may go to the session. Fewer than len: behind them the connection ends,
 * with the code *ret_error. */
size_t proto_h2_frames_check(struct proto_h2_frames *f, const void *data, size_t len,
                             uint32_t *ret_error);

#endif
