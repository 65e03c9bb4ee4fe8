/* JSON bodies of our own image API: {"image":…}, {"images":[…]}, and lines of {"image":…,"id":…}. A
 * picture is a string (base64, or a data: URL) or {"b64":"…"}. Untrusted bytes. */
#ifndef PROTO_PICTURE_H
#define PROTO_PICTURE_H

#include <stdint.h>

#include "protocol/span.h"

struct proto_pictures {
    int n;
    int many;             /* "images": the answer is a list */
    int64_t top_k;        /* 0: not said */
    struct proto_span id; /* text of a JSON string or number, at most 256 bytes; s NULL: none */
};

/* items[0..n-1]: insides of JSON strings, spans of the body. 0; -EINVAL with a sentence; -E2BIG:
 * more than max. */
int proto_pictures_parse(struct proto_pictures *ret, const void *body, size_t len,
                         struct proto_span *items, int max, char *err, size_t errlen);

/* Header of a NumPy file (format 1.0): the elements follow, row-major, little-endian. descr: "|u1",
 * "<f4"… Its length, a multiple of 64, or -ENOSPC (128 bytes are enough for 4 dimensions). */
int proto_npy_header(char *buf, size_t len, const char *descr, const int64_t *shape, int n_dims);

#endif
