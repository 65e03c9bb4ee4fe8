/* Request targets, query strings and percent-encoding (RFC 9112, RFC 3986). Bytes in, bytes out; no
 * I/O. */
#ifndef PROTO_QUERY_H
#define PROTO_QUERY_H

#include <stddef.h>

/* Decodes %XX into ret ('+' stays). The length without the final NUL, or -EINVAL (bad escape, NUL
 * byte, invalid UTF-8) or -ENOSPC; ret is unspecified then. retlen = len + 1 is always enough. */
int proto_percent_decode(const char *s, size_t len, char *ret, size_t retlen);

/* Where the path and query of an HTTP/1 request target begin (RFC 9112 3.2): of origin-form and "*"
 * at once, of absolute-form behind an authority (RFC 3986 3.2) with a host and without user
 * information, where the path may be empty. -EINVAL for anything else, authority-form included; so
 * are other schemes than http and https. A span of target. */
int proto_target_path(const char *target, const char **ret);

/* A decimal integer, the whole string. -EINVAL for anything else, -ERANGE outside min..max. */
int proto_parse_int(const char *s, long long min, long long max, long long *ret);

#endif
