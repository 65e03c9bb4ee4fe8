/* multipart/form-data (RFC 7578) over a complete body: spans into the body, nothing is copied.
 * Untrusted bytes. */
#ifndef PROTO_MULTIPART_H
#define PROTO_MULTIPART_H

#include <stddef.h>

struct proto_part {
    const char *name; /* of the form field; spans, not terminated */
    size_t name_len;
    const char *filename; /* NULL if none was given */
    size_t filename_len;
    const char *content_type; /* NULL if none */
    size_t content_type_len;
    const void *data;
    size_t len;
};

/* Boundary of a Content-Type value, without quotes, into buf (at least 71 bytes). 0; -ENOENT if the
 * value is not multipart/form-data; -EINVAL if it has no valid boundary. */
int proto_multipart_boundary(const char *content_type, char *buf, size_t buflen);

/* Splits. The number of parts; -EINVAL with a sentence if the body is malformed or unterminated;
 * -E2BIG if there are more than max parts. */
int proto_multipart_split(const void *body, size_t len, const char *boundary,
                          struct proto_part *parts, int max, char *err, size_t errlen);

#endif
