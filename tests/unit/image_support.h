/* Shared by the tests of the image door: files of ../shared, and the plain preprocessing. */
#ifndef TESTS_UNIT_IMAGE_SUPPORT_H
#define TESTS_UNIT_IMAGE_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/image.h"

/* Whole file, malloc'ed, in a block of exactly its size; NULL if it cannot be read. */
uint8_t *image_read(const char *path, size_t *ret_len);
/* Skips the test where ../shared (or MOBILENETD_SHARED) is missing. Call it before anything is
 * allocated: a skip jumps out of the test past every free(). */
void image_need_shared(void);
/* Path below that folder. */
const char *image_shared(char *buf, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Short side, bilinear, u8 = the pixel itself. */
struct eng_preprocess image_plain(int size);

#endif
