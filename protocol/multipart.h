/* multipart/form-data (RFC 7578, RFC 2046) over a complete body: spans into the body, nothing is
 * copied. Untrusted bytes. Line ends are CRLF; a preamble and an epilogue are skipped. */
#ifndef PROTO_MULTIPART_H
#define PROTO_MULTIPART_H

#include <stddef.h>

struct proto_part {
    const char *name; /* of the form field; spans, not terminated, escapes as they were sent */
    size_t name_len;
    const char *filename; /* NULL if none was given; see proto_part_filename() */
    size_t filename_len;
    const char *content_type; /* NULL if none */
    size_t content_type_len;
    const void *data;
    size_t len;
    int filename_is_extended; /* it was given as filename* (RFC 5987): UTF-8''percent-encoded */
};

/* Boundary of a Content-Type value, without quotes, into buf (at least 71 bytes). 0; -ENOENT if the
 * value is not multipart/form-data; -EINVAL if it has no valid boundary (1 to 70 characters of
 * RFC 2046, given once). */
int proto_multipart_boundary(const char *content_type, char *buf, size_t buflen);

/* Splits. The number of parts (0: only the closing line); -EINVAL with a sentence if the body is
 * malformed or unterminated, or a part lacks `Content-Disposition: form-data; name=…` or names a
 * transfer encoding other than 7bit, 8bit, binary; -E2BIG if there are more than max parts. On
 * failure parts[] is unspecified. */
int proto_multipart_split(const void *body, size_t len, const char *boundary,
                          struct proto_part *parts, int max, char *err, size_t errlen);

/* The file name for people: backslash escapes and RFC 5987 decoded, NUL-terminated UTF-8. Its
 * length; -ENOENT if there is none; -EINVAL (bad encoding, NUL); -ENOSPC. Never a path to open. */
int proto_part_filename(const struct proto_part *part, char *ret, size_t retlen);

#endif
