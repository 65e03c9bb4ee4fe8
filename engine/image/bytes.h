/* Loads of either byte order, and where the sentence of a failure goes. */
#ifndef ENG_IMAGE_BYTES_H
#define ENG_IMAGE_BYTES_H

#include "engine/base/fail.h"

/* text may be NULL when size is 0. */
struct eng_sentence {
    char *text;
    size_t size;
};
#define eng_image_fail(to, code, ...) eng_fail((to)->text, (to)->size, code, __VA_ARGS__)

static inline uint32_t eng_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t eng_le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

static inline uint32_t eng_be32(const uint8_t *p)
{
    return eng_be16(p) << 16 | eng_be16(p + 2);
}

static inline uint32_t eng_le32(const uint8_t *p)
{
    return eng_le16(p + 2) << 16 | eng_le16(p);
}

#endif
