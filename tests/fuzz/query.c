/* Percent-decoding and integers: never longer than the input, always NUL-terminated UTF-8. */
#include "protocol/query.h"
#include "protocol/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *out = malloc(size + 1);
    long long value;
    require(text && out);
    memcpy(text, data, size);
    text[size] = 0;
    int n = proto_percent_decode((const char *)data, size, out, size + 1);
    if (n >= 0) {
        require((size_t)n <= size && strlen(out) == (size_t)n);
        require(proto_utf8_is_valid(out, (size_t)n));
        /* One byte too small is refused, and so is everything smaller. */
        require(proto_percent_decode((const char *)data, size, out, (size_t)n) < 0);
    }
    if (proto_parse_int(text, -1000, 1000000, &value) == 0)
        require(value >= -1000 && value <= 1000000);
    char *repaired = proto_utf8_repair((const char *)data, size);
    require(repaired && proto_utf8_is_valid(repaired, strlen(repaired)));
    free(repaired);
    free(text);
    free(out);
    return 0;
}
