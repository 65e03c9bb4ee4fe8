/* Pixels to tensor values: one table of 256 per channel holds every answer. */
#ifndef ENG_IMAGE_NORMALISE_H
#define ENG_IMAGE_NORMALISE_H

#include "engine/image.h"

struct eng_normaliser {
    enum eng_type type;
    int bgr;
    int identity;  /* u8, RGB, q = pixel */
    int minus_128; /* i8, RGB, q = pixel - 128 */
    float mean[3], scale[3];
    float f[3][256];   /* by channel of the tensor */
    uint8_t q[3][256]; /* i8 as two's complement */
};
void eng_normaliser_init(struct eng_normaliser *n, const struct eng_preprocess *p);
/* RGB pixels to as many pixels of the tensor. */
void eng_normaliser_run(const struct eng_normaliser *n, const uint8_t *rgb, void *dst,
                        size_t pixels);
/* Bytes of a tensor's pixel. */
size_t eng_normaliser_pixel(const struct eng_normaliser *n);

#endif
