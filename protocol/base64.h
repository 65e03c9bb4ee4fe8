/* Base64 (RFC 4648, both alphabets) and data: URLs (RFC 2397). Untrusted bytes. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>

/* Bytes that len characters decode to at most, and characters that len bytes encode to. */
size_t proto_base64_decoded_max(size_t len);
size_t proto_base64_encoded_len(size_t len);

/* Decodes. White space is skipped, and in_json != 0 (the inside of a JSON string as it stands in
 * the text) the escapes \/ \n \r \t as well. Padding may be missing, but not be wrong, and the bits
 * that the last character leaves over must be 0. The length; -EINVAL; -ENOSPC (retlen smaller than
 * proto_base64_decoded_max() may be refused). ret must not overlap s. */
long proto_base64_decode(const char *s, size_t len, int in_json, void *ret, size_t retlen);

/* Encodes with padding, no line ends, NUL-terminated. The length, or -ENOSPC. */
long proto_base64_encode(const void *data, size_t len, char *ret, size_t retlen);

/* "data:image/png;base64,…": where the base64 begins. 0; -ENOENT if it is no data: URL (then it may
 * be bare base64); -EINVAL if it is one without ";base64" or without a comma. */
int proto_data_url(const char *s, size_t len, const char **ret_data, size_t *ret_len);

#endif
