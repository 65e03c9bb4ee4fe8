/* Targets, percent-encoding and whole-string integers: strict, because both come from strangers'
 * URLs. */
#include "protocol/query.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "protocol/utf8.h"

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
}

int proto_percent_decode(const char *s, size_t len, char *ret, size_t retlen)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++, n++) {
        int ch = (unsigned char)s[i];
        if (ch == '%') {
            if (len - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
                return -EINVAL;
            ch = hex(s[i + 1]) << 4 | hex(s[i + 2]);
            i += 2;
        }
        if (!ch)
            return -EINVAL;
        if (n + 1 >= retlen || n >= INT_MAX - 1)
            return -ENOSPC;
        ret[n] = (char)ch;
    }
    if (!retlen)
        return -ENOSPC;
    if (!proto_utf8_is_valid(ret, n))
        return -EINVAL;
    ret[n] = 0;
    return (int)n;
}

static int is_authority(const char *s, size_t len)
{
    static const char others[] = "-._~!$&'()*+,;=%[]:"; /* no "@": RFC 9110 4.2.4 */
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(others, c)))
            return 0;
    }
    return len > 0 && s[0] != ':';
}

int proto_target_path(const char *target, const char **ret)
{
    static const char *const schemes[] = {"http://", "https://"};
    if (target[0] == '/' || strcmp(target, "*") == 0) {
        *ret = target;
        return 0;
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t scheme = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], scheme) != 0)
            continue;
        size_t len = strcspn(target + scheme, "/?#");
        if (!is_authority(target + scheme, len))
            return -EINVAL;
        *ret = target + scheme + len;
        return 0;
    }
    return -EINVAL;
}

int proto_parse_int(const char *s, long long min, long long max, long long *ret)
{
    int negative = *s == '-', overflow = 0;
    long long value = 0;
    s += negative;
    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        /* Built up below zero, where there is room for LLONG_MIN too. */
        overflow |= __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_sub_overflow(value, *s - '0', &value);
    }
    if (overflow || (!negative && value == LLONG_MIN))
        return -ERANGE;
    value = negative ? value : -value;
    if (value < min || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}
