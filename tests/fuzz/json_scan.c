/* The pull scanner against jansson: what jansson reads, the scanner takes; what the scanner takes,
 * jansson reads, but for the numbers and words where they differ on purpose. */
#include "protocol/json_scan.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* NaN and Infinity, lone surrogates, and numbers too large for jansson. */
static int differs_on_purpose(const char *s, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0; i < len; i++) {
        digits = s[i] >= '0' && s[i] <= '9' ? digits + 1 : 0;
        if (digits > 17 || s[i] == 'N' || s[i] == 'I' || s[i] == 'e' || s[i] == 'E' ||
            (s[i] == '\\' && i + 1 < len && s[i + 1] == 'u'))
            return 1;
    }
    return 0;
}

static void unescape_all(struct proto_span text)
{
    char *out = malloc(text.len + 1);
    require(out != NULL);
    require(proto_json_unescape(text, out) <= text.len);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct proto_scan scan;
    struct proto_span span;
    char err[128] = "";
    proto_scan_init(&scan, text, size, err, sizeof(err));
    int r = proto_scan_skip(&scan, &span);
    if (r == 0)
        require(span.s >= text && span.len && span.s + span.len <= text + size);
    if (r == 0)
        r = proto_scan_finish(&scan);
    require(r == 0 || err[0]);
    json_t *tree = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    /* jansson takes a NUL byte for the end of the text. */
    if (tree)
        require(r == 0 || strstr(err, "too deep") || memchr(text, 0, size));
    else if (r == 0)
        require(differs_on_purpose(text, size));
    json_decref(tree);

    /* A proper array is stepped over to the same place. */
    size_t whole = r == 0 ? span.len : 0;
    proto_scan_init(&scan, text, size, err, sizeof(err));
    if (proto_scan_skip_array(&scan, &span) == 0) {
        require(span.len >= 2 && span.s + span.len <= text + size);
        require(!whole || whole == span.len);
    } else {
        require(!whole || *text != '[');
    }
    proto_scan_init(&scan, text, size, err, sizeof(err));
    if (proto_scan_string(&scan, &span) == 0)
        unescape_all(span);
    return 0;
}
