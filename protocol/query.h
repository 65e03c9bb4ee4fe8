/* Query strings and percent-encoding (RFC 3986). Bytes in, bytes out; no I/O. */
#ifndef PROTO_QUERY_H
#define PROTO_QUERY_H

#include <stddef.h>

/* Decodes %XX into ret ('+' stays). The length without the final NUL, or -EINVAL (bad escape, NUL
 * byte, invalid UTF-8) or -ENOSPC; ret is unspecified then. retlen = len + 1 is always enough. */
int proto_percent_decode(const char *s, size_t len, char *ret, size_t retlen);

/* A decimal integer, the whole string. -EINVAL for anything else, -ERANGE outside min..max. */
int proto_parse_int(const char *s, long long min, long long max, long long *ret);

#endif
