/* Memory that a decoder keeps between pictures. */
#ifndef ENG_IMAGE_BUFFER_H
#define ENG_IMAGE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct eng_buffer {
    void *data; /* 64-byte aligned; NULL when size is 0 */
    size_t size;
};

/* At least n bytes; the old content is lost. -ENOMEM (and the buffer is then empty). */
int eng_buffer_reserve(struct eng_buffer *b, size_t n);
/* Frees it. */
void eng_buffer_finish(struct eng_buffer *b);
/* a * b + c, or SIZE_MAX where that overflows (which no allocation grants). */
size_t eng_size(size_t a, size_t b, size_t c);

#endif
