/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. Private to protocol/.
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stddef.h>

/* Bytes of the character at s, 0 if no valid one stands there. left >= 1. */
int proto_utf8_char(const void *s, size_t left);
int proto_utf8_is_valid(const void *s, size_t len);
/* A malloc'ed, NUL-terminated copy with every invalid byte replaced by U+FFFD. NULL: no memory. */
char *proto_utf8_repair(const char *s, size_t len);

#endif
