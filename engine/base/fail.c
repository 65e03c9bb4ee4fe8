/* The sentence that goes with a failure. */
#include "engine/base/fail.h"

#include <stdio.h>
#include <string.h>

static void clean(char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch < 0x20 || ch >= 0x7f)
            *s = '?';
    }
}

int eng_fail(char *err, size_t errlen, int code, const char *format, ...)
{
    if (errlen == 0)
        return code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err, errlen, format, ap);
    va_end(ap);
    clean(err);
    return code;
}

int eng_fail_at(char *err, size_t errlen, int code, const char *where, const char *format,
                va_list ap)
{
    char said[256];
    vsnprintf(said, sizeof(said), format, ap);
    return eng_fail(err, errlen, code, "%.160s%s%s", where ? where : "", where ? ": " : "", said);
}

int eng_fail_in(char *err, size_t errlen, int code, const char *prefix)
{
    char said[256];
    if (errlen == 0)
        return code;
    snprintf(said, sizeof(said), "%s", err);
    return eng_fail(err, errlen, code, "%.120s: %s", prefix, said);
}
