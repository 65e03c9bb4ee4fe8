/* Grow-only buffers; see the header. */
#include "engine/image/buffer.h"

#include <errno.h>
#include <stdlib.h>

int eng_buffer_reserve(struct eng_buffer *b, size_t n)
{
    if (n <= b->size)
        return 0;
    eng_buffer_finish(b);
    if (n > SIZE_MAX - 63)
        return -ENOMEM;
    n = (n + 63) & ~(size_t)63;
    b->data = aligned_alloc(64, n);
    if (!b->data)
        return -ENOMEM;
    b->size = n;
    return 0;
}

void eng_buffer_finish(struct eng_buffer *b)
{
    free(b->data);
    b->data = NULL;
    b->size = 0;
}

size_t eng_size(size_t a, size_t b, size_t c)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r) || __builtin_add_overflow(r, c, &r))
        return SIZE_MAX;
    return r;
}
