/* Base64: what decodes encodes to the same bytes again; a data: URL lies within its text. */
#include "protocol/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void decode(const char *s, size_t len, int in_json)
{
    size_t max = proto_base64_decoded_max(len);
    unsigned char *out = malloc(max), *again = malloc(max + 4);
    char *text = malloc(proto_base64_encoded_len(max) + 1);
    require(out && again && text);
    long n = proto_base64_decode(s, len, in_json, out, max);
    if (n >= 0) {
        require((size_t)n <= max);
        long m = proto_base64_encode(out, (size_t)n, text, proto_base64_encoded_len(max) + 1);
        require(m >= 0 && proto_base64_decode(text, (size_t)m, 0, again, max + 4) == n);
        require(memcmp(out, again, (size_t)n) == 0);
    }
    free(out);
    free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data, *inner;
    size_t len;
    decode(s, size, 0);
    decode(s, size, 1);
    if (proto_data_url(s, size, &inner, &len) == 0) {
        require(inner >= s && inner + len == s + size);
        decode(inner, len, 0);
    }
    return 0;
}
