/* First byte: size of the pieces. The same bytes as gRPC stream, compressed body, NDJSON, timeout.
 * Pieces of any size give the same messages as the whole. */
#include "protocol/grpc.h"
#include "protocol/inflate.h"
#include "protocol/ndjson.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096 };

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Messages of the stream, folded into one number; ret_r: how it ended. */
static uint64_t digest(const uint8_t *data, size_t size, size_t piece, int *ret_r)
{
    struct proto_grpc_stream s;
    uint64_t sum = 1;
    int r = 0;
    proto_grpc_init(&s, MESSAGE_MAX, NULL);
    for (size_t at = 0; at < size && r >= 0;) {
        size_t used, len, n = size - at < piece ? size - at : piece;
        void *message;
        int zipped;
        r = proto_grpc_feed(&s, data + at, n, &used, &message, &len, &zipped);
        if (r < 0)
            break;
        require(used <= n && (r == 1 || used == n));
        at += used;
        if (r == 1) {
            require(len <= MESSAGE_MAX);
            for (size_t i = 0; i < len; i++)
                sum = sum * 31 + ((unsigned char *)message)[i];
            sum = sum * 31 + len + (uint64_t)zipped;
            free(message);
        }
    }
    proto_grpc_finish(&s);
    *ret_r = r < 0 ? r : 0;
    return sum;
}

static void inflate_both(const uint8_t *data, size_t size)
{
    for (int coding = PROTO_GZIP; coding <= PROTO_DEFLATE; coding++) {
        void *out;
        size_t len;
        if (proto_inflate((enum proto_coding)coding, data, size, MESSAGE_MAX, NULL, &out, &len) ==
            0) {
            require(len <= MESSAGE_MAX && ((char *)out)[len] == 0);
            free(out);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_span line;
    uint64_t us;
    size_t pos = 0;
    int r1, r2;
    if (!size)
        return 0;
    size_t piece = 1 + data[0] % 16;
    data++;
    size--;
    uint64_t whole = digest(data, size, size ? size : 1, &r1);
    require(whole == digest(data, size, piece, &r2) && r1 == r2);
    inflate_both(data, size);
    const char *text = (const char *)data, *last = text;
    while (proto_ndjson_next(text, size, &pos, 1, 100, &line) == 1) {
        require(line.len && line.s >= last && line.s + line.len <= text + size);
        last = line.s + line.len;
    }
    proto_grpc_timeout(text, size, &us);
    return 0;
}
