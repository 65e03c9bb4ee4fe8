/* See the header. */
#include "tests/unit/image_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

uint8_t *image_read(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    uint8_t *data = size >= 0 ? malloc(size ? (size_t)size : 1) : NULL;
    rewind(f);
    if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
        free(data);
        data = NULL;
    }
    fclose(f);
    if (data)
        *ret_len = (size_t)size;
    return data;
}

static const char *shared(void)
{
    const char *root = getenv("MOBILENETD_SHARED");
    return root ? root : "../shared";
}

void image_need_shared(void)
{
    if (access(shared(), R_OK) != 0)
        skip();
}

const char *image_shared(char *buf, size_t size, const char *format, ...)
{
    int n = snprintf(buf, size, "%s/", shared());
    assert_in_range(n, 1, size - 1);
    va_list ap;
    va_start(ap, format);
    vsnprintf(buf + n, size - (size_t)n, format, ap);
    va_end(ap);
    return buf;
}

struct eng_preprocess image_plain(int size)
{
    return (struct eng_preprocess){.height = size,
                                   .width = size,
                                   .resize = ENG_RESIZE_SHORT_SIDE,
                                   .filter = ENG_FILTER_BILINEAR,
                                   .type = ENG_U8,
                                   .scale = {1, 1, 1},
                                   .q_scale = 1};
}
