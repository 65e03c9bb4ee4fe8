/* The scanner keeps no state but its place. Nesting is walked with a stack of 64 bits, one for each
 * open bracket. */
#include "protocol/json_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/json_tensor.h"
#include "protocol/utf8.h"

int proto_span_is(struct proto_span span, const char *word)
{
    return span.s && span.len == strlen(word) && !memcmp(span.s, word, span.len);
}

int proto_span_same(struct proto_span a, struct proto_span b)
{
    return a.s && b.s && a.len == b.len && !memcmp(a.s, b.s, a.len);
}

void proto_scan_init(struct proto_scan *scan, const char *text, size_t len, char *err,
                     size_t errlen)
{
    *scan = (struct proto_scan){text, text, text + len, err, errlen};
}

int proto_scan_fail(struct proto_scan *scan, const char *what)
{
    snprintf(scan->err, scan->errlen, "JSON: %s at byte %zu", what,
             (size_t)(scan->s - scan->start));
    return -EINVAL;
}

static void skip_space(struct proto_scan *scan)
{
    while (scan->s < scan->end &&
           (*scan->s == ' ' || *scan->s == '\n' || *scan->s == '\r' || *scan->s == '\t'))
        scan->s++;
}

static int next_is(struct proto_scan *scan, char ch)
{
    skip_space(scan);
    if (scan->s == scan->end || *scan->s != ch)
        return 0;
    scan->s++;
    return 1;
}

int proto_scan_peek(struct proto_scan *scan)
{
    skip_space(scan);
    if (scan->s == scan->end)
        return proto_scan_fail(scan, "the text ends too early");
    char ch = *scan->s;
    if (ch && strchr("{[\"tfn", ch))
        return ch;
    if (ch == '-' || (ch >= '0' && ch <= '9') || ch == 'N' || ch == 'I')
        return 0;
    return proto_scan_fail(scan, "not a value");
}

int proto_scan_enter_object(struct proto_scan *scan)
{
    return next_is(scan, '{') ? 0 : proto_scan_fail(scan, "an object is needed");
}

int proto_scan_enter_array(struct proto_scan *scan)
{
    return next_is(scan, '[') ? 0 : proto_scan_fail(scan, "an array is needed");
}

int proto_scan_member(struct proto_scan *scan, int *n, struct proto_span *ret_key)
{
    if (next_is(scan, '}'))
        return 0;
    if (*n && !next_is(scan, ','))
        return proto_scan_fail(scan, "',' or '}' is needed");
    skip_space(scan);
    int r = proto_scan_string(scan, ret_key);
    if (r < 0)
        return r;
    if (!next_is(scan, ':'))
        return proto_scan_fail(scan, "':' is needed");
    ++*n;
    return 1;
}

int proto_scan_element(struct proto_scan *scan, int *n)
{
    if (next_is(scan, ']'))
        return 0;
    if (*n && !next_is(scan, ','))
        return proto_scan_fail(scan, "',' or ']' is needed");
    ++*n;
    return 1;
}

static int hex4(const char *s, const char *end, unsigned *ret)
{
    unsigned v = 0;
    if (end - s < 4)
        return 0;
    for (int i = 0; i < 4; i++) {
        char ch = s[i], low = ch | 0x20;
        if (ch >= '0' && ch <= '9')
            v = v << 4 | (unsigned)(ch - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (unsigned)(low - 'a' + 10);
        else
            return 0;
    }
    *ret = v;
    return 1;
}

/* Length of the escape at s, 0 if it is none. */
static int escape_length(const char *s, const char *end)
{
    unsigned unused;
    if (end - s < 2 || !s[1])
        return 0;
    if (s[1] == 'u')
        return hex4(s + 2, end, &unused) ? 6 : 0;
    return strchr("\"\\/bfnrt", s[1]) ? 2 : 0;
}

int proto_scan_string(struct proto_scan *scan, struct proto_span *ret)
{
    if (!next_is(scan, '"'))
        return proto_scan_fail(scan, "a string is needed");
    const char *first = scan->s;
    while (scan->s < scan->end) {
        unsigned char ch = (unsigned char)*scan->s;
        int n = 1;
        if (ch == '"') {
            *ret = (struct proto_span){first, (size_t)(scan->s - first)};
            scan->s++;
            return 0;
        }
        if (ch == '\\')
            n = escape_length(scan->s, scan->end);
        else if (ch >= 0x80)
            n = proto_utf8_char(scan->s, (size_t)(scan->end - scan->s));
        else if (ch < 0x20)
            return proto_scan_fail(scan, "a control character in a string");
        if (!n)
            return proto_scan_fail(scan, ch == '\\' ? "a bad escape" : "invalid UTF-8");
        scan->s += n;
    }
    return proto_scan_fail(scan, "a string does not end");
}

static int take_word(struct proto_scan *scan, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(scan->end - scan->s) < n || memcmp(scan->s, word, n))
        return 0;
    scan->s += n;
    return 1;
}

int proto_scan_bool(struct proto_scan *scan, int *ret)
{
    skip_space(scan);
    int yes = take_word(scan, "true");
    if (!yes && !take_word(scan, "false"))
        return proto_scan_fail(scan, "true or false is needed");
    *ret = yes;
    return 0;
}

int proto_scan_int(struct proto_scan *scan, int64_t *ret)
{
    skip_space(scan);
    const char *first = scan->s;
    int64_t value = 0;
    int negative = scan->s < scan->end && *scan->s == '-';
    scan->s += negative;
    const char *digits = scan->s;
    for (; scan->s < scan->end && (unsigned char)(*scan->s - '0') < 10; scan->s++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *scan->s - '0', &value)) {
            scan->s = first;
            return proto_scan_fail(scan, "a whole number that is too large");
        }
    }
    int fraction = scan->s < scan->end && *scan->s && strchr(".eE", *scan->s);
    if (scan->s == digits || (*digits == '0' && scan->s - digits > 1) || fraction ||
        (!negative && value == INT64_MIN)) {
        scan->s = first;
        return proto_scan_fail(scan, "a whole number is needed");
    }
    *ret = negative ? value : -value;
    return 0;
}

/* A value that is no object and no array. */
static int skip_scalar(struct proto_scan *scan)
{
    struct proto_span unused;
    float number;
    int n, kind = proto_scan_peek(scan);
    switch (kind) {
    case '"':
        return proto_scan_string(scan, &unused);
    case 't':
        return take_word(scan, "true") ? 0 : proto_scan_fail(scan, "not a value");
    case 'f':
        return take_word(scan, "false") ? 0 : proto_scan_fail(scan, "not a value");
    case 'n':
        return take_word(scan, "null") ? 0 : proto_scan_fail(scan, "not a value");
    case 0:
        n = proto_json_float(scan->s, (size_t)(scan->end - scan->s), &number);
        if (n < 0)
            return proto_scan_fail(scan, "not a number");
        scan->s += n;
        return 0;
    default:
        return kind;
    }
}

int proto_scan_skip(struct proto_scan *scan, struct proto_span *ret)
{
    struct proto_span key;
    uint64_t objects = 0; /* bit 0: the innermost bracket is an object's */
    int depth = 0, n = 0, r;
    skip_space(scan);
    const char *first = scan->s;
    for (;;) {
        int kind = proto_scan_peek(scan);
        if (kind < 0)
            return kind;
        if (kind == '{' || kind == '[') {
            if (++depth > PROTO_SCAN_DEPTH_MAX)
                return proto_scan_fail(scan, "nested too deep");
            objects = objects << 1 | (kind == '{');
            scan->s++;
            n = 0;
        } else {
            r = skip_scalar(scan);
            if (r < 0)
                return r;
        }
        /* Close what ends here, until another value is due. */
        do {
            if (!depth) {
                if (ret)
                    *ret = (struct proto_span){first, (size_t)(scan->s - first)};
                return 0;
            }
            r = objects & 1 ? proto_scan_member(scan, &n, &key) : proto_scan_element(scan, &n);
            if (r < 0)
                return r;
            if (!r) {
                objects >>= 1;
                depth--;
                n = 1;
            }
        } while (!r);
    }
}

/* Bytes from s that are neither a bracket nor a quote, in steps that compilers make vectors of. The
 * mask takes [ ] { } and a few letters that no number has. */
static size_t plain_bytes(const char *s, const char *end)
{
    enum { STEP = 64 };
    const char *first = s;
    for (; end - s >= STEP; s += STEP) {
        unsigned char hit = 0;
        for (int i = 0; i < STEP; i++)
            hit |= (unsigned char)(((s[i] & 0xd9) == 0x59) | (s[i] == '"'));
        if (hit)
            break;
    }
    while (s < end && (*s & 0xd9) != 0x59 && *s != '"')
        s++;
    return (size_t)(s - first);
}

int proto_scan_skip_array(struct proto_scan *scan, struct proto_span *ret)
{
    struct proto_span unused;
    int depth = 0;
    skip_space(scan);
    const char *first = scan->s;
    if (scan->s == scan->end || *scan->s != '[')
        return proto_scan_fail(scan, "an array is needed");
    do {
        char ch = scan->s < scan->end ? *scan->s : 0;
        int r = 0;
        if (scan->s == scan->end)
            return proto_scan_fail(scan, "an array does not end");
        if (ch == '"')
            r = proto_scan_string(scan, &unused);
        else
            scan->s++;
        if (ch == '[' || ch == '{')
            depth++;
        else if (ch == ']' || ch == '}')
            depth--;
        if (r < 0)
            return r;
        if (depth > PROTO_SCAN_DEPTH_MAX)
            return proto_scan_fail(scan, "nested too deep");
        if (depth)
            scan->s += plain_bytes(scan->s, scan->end);
    } while (depth);
    if (scan->s[-1] != ']')
        return proto_scan_fail(scan, "']' is needed");
    *ret = (struct proto_span){first, (size_t)(scan->s - first)};
    return 0;
}

int proto_scan_finish(struct proto_scan *scan)
{
    skip_space(scan);
    return scan->s == scan->end ? 0 : proto_scan_fail(scan, "more text behind the value");
}

static size_t put_utf8(char *out, unsigned v)
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xc0 | v >> 6);
        out[1] = (char)(0x80 | (v & 63));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (char)(0xe0 | v >> 12);
        out[1] = (char)(0x80 | (v >> 6 & 63));
        out[2] = (char)(0x80 | (v & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | v >> 18);
    out[1] = (char)(0x80 | (v >> 12 & 63));
    out[2] = (char)(0x80 | (v >> 6 & 63));
    out[3] = (char)(0x80 | (v & 63));
    return 4;
}

/* The character of the \u escape at s, which may take the low surrogate behind it along. */
static unsigned unescape_u(const char *s, const char *end, size_t *ret_len)
{
    unsigned high = 0xfffd, low;
    *ret_len = 6;
    hex4(s + 2, end, &high);
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high < 0xdc00 && end - s >= 12 && s[6] == '\\' && s[7] == 'u' && hex4(s + 8, end, &low) &&
        low >= 0xdc00 && low <= 0xdfff) {
        *ret_len = 12;
        return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    return 0xfffd;
}

size_t proto_json_unescape(struct proto_span in, char *ret)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *s = in.s, *end = in.s + in.len;
    size_t n = 0, used;
    while (s < end) {
        if (*s != '\\' || end - s < 2) {
            ret[n++] = *s++;
        } else if (s[1] == 'u') {
            n += put_utf8(ret + n, unescape_u(s, end, &used));
            s += used;
        } else {
            const char *hit = s[1] ? strchr(from, s[1]) : NULL;
            ret[n++] = hit ? to[hit - from] : s[1];
            s += 2;
        }
    }
    return n;
}
