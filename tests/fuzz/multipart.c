/* Input: a Content-Type value, a line feed, a body. All spans lie within the body, in order. */
#include "protocol/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void inside(const char *body, size_t len, const void *span, size_t span_len)
{
    const char *s = span;
    require(s >= body && span_len <= len && (size_t)(s - body) <= len - span_len);
}

static void check_part(const char *body, size_t len, const struct proto_part *p)
{
    char name[64];
    inside(body, len, p->data, p->len);
    inside(body, len, p->name, p->name_len);
    if (p->filename)
        inside(body, len, p->filename, p->filename_len);
    if (p->content_type)
        inside(body, len, p->content_type, p->content_type_len);
    int n = proto_part_filename(p, name, sizeof(name));
    require(n < 0 || (n < (int)sizeof(name) && !name[n]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    char type[256], boundary[71] = "b", err[128] = "";
    struct proto_part parts[8];
    const char *body = (const char *)data;
    if (line && (size_t)(line - data) < sizeof(type)) {
        memcpy(type, data, (size_t)(line - data));
        type[line - data] = 0;
        if (proto_multipart_boundary(type, boundary, sizeof(boundary)))
            memcpy(boundary, "b", 2);
        body = (const char *)line + 1;
    }
    size_t len = size - (size_t)(body - (const char *)data);
    int n = proto_multipart_split(body, len, boundary, parts, 8, err, sizeof(err));
    require(n <= 8 && (n >= 0 || err[0]));
    for (int i = 0; i < n; i++) {
        check_part(body, len, &parts[i]);
        require(!i || (const char *)parts[i].name > (const char *)parts[i - 1].data);
    }
    return 0;
}
