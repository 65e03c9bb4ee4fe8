/* UTF-8 validity and repair: everything that goes into JSON or comes out of a path passes here. */
#include "protocol/utf8.h"

#include <stdlib.h>
#include <string.h>

static int follows(const unsigned char *s, size_t left, size_t n)
{
    if (left <= n)
        return 0;
    for (size_t i = 1; i <= n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    return 1;
}

int proto_utf8_char(const void *text, size_t left)
{
    const unsigned char *s = text;
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

int proto_utf8_is_valid(const void *text, size_t len)
{
    const unsigned char *s = text;
    for (size_t i = 0; i < len;) {
        int n = proto_utf8_char(s + i, len - i);
        if (!n)
            return 0;
        i += (size_t)n;
    }
    return 1;
}

char *proto_utf8_repair(const char *s, size_t len)
{
    size_t used = 0;
    char *ret = len < (size_t)-1 / 3 - 1 ? malloc(len * 3 + 1) : NULL;
    if (!ret)
        return NULL;
    for (size_t i = 0; i < len;) {
        int n = proto_utf8_char(s + i, len - i);
        const char *from = n ? s + i : "\xef\xbf\xbd";
        size_t width = n ? (size_t)n : 3;
        memcpy(ret + used, from, width);
        used += width;
        i += n ? (size_t)n : 1;
    }
    ret[used] = 0;
    return ret;
}
