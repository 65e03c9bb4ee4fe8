/* Validity of UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "config/table.h"

static int follows(const unsigned char *s, size_t left, int n)
{
    if (left <= (size_t)n)
        return 0;
    for (int i = 1; i <= n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    return 1;
}

/* Bytes of the character at s, 0 if it is not one. */
static int char_length(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return follows(s, left, 1) ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        if (!follows(s, left, 2) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (!follows(s, left, 3) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

size_t cfg_utf8_valid(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0; i < len;) {
        int n = char_length(u + i, len - i);
        if (!n)
            return i;
        i += (size_t)n;
    }
    return len;
}
