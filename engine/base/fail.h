/* The sentence that goes with a failure. Internal to engine/. */
#ifndef ENG_BASE_FAIL_H
#define ENG_BASE_FAIL_H

#include <stdarg.h>

#include "engine/engine.h"

/* Writes the sentence (always terminated when errlen > 0; err may be NULL when errlen is 0) and
 * returns `code`. Bytes that no terminal should see (names come from untrusted files) become '?'.
 */
int eng_fail(char *err, size_t errlen, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same behind "where: " (NULL: alone), for those who say where they are; `where` is cut at 160
 * bytes, what follows it at 255. */
int eng_fail_at(char *err, size_t errlen, int code, const char *where, const char *format,
                va_list ap) __attribute__((format(printf, 5, 0)));

/* Puts "prefix: " before the sentence that stands in err; what does not fit is cut. */
int eng_fail_in(char *err, size_t errlen, int code, const char *prefix);

#endif
