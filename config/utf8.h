/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. Any thread. */
#ifndef CFG_UTF8_H
#define CFG_UTF8_H

#include <stddef.h>

/* The position of the first byte that no valid character holds, or len if there is none. */
size_t cfg_utf8_valid(const char *s, size_t len);

#endif
