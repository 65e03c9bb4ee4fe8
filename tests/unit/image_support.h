/* Shared by the tests of the image door: files of ../shared, and the plain preprocessing. */
#ifndef TESTS_UNIT_IMAGE_SUPPORT_H
#define TESTS_UNIT_IMAGE_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/image.h"

/* Whole file, malloc'ed, in a block of exactly its size; NULL if it cannot be read. */
uint8_t *image_read(const char *path, size_t *ret_len);
/* Path below ../shared (or MOBILENETD_SHARED); skips the test where that folder is missing. */
const char *image_shared(char *buf, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Short side, bilinear, u8 = the pixel itself. */
struct eng_preprocess image_plain(int size);

#endif
