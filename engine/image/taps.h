/* Filter coefficients of one axis: Pillow's, to the bit. */
#ifndef ENG_IMAGE_TAPS_H
#define ENG_IMAGE_TAPS_H

#include "engine/image.h"
#include "engine/image/buffer.h"
#include "engine/image/geometry.h"

/* Coefficients are fixed point with this many fraction bits: 32 - 8 bits of pixel - 2 bits of
 * head-room for the overshoot of bicubic, as in Pillow's Resample.c. */
enum { ENG_TAPS_BITS = 22 };

/* Output i = clip8((2^21 + sum over j < stride of coef[i * stride + j] * pixel[first[i] + j]) >>
 * 22). Rows of coef are padded with zeros to a multiple of 4, and a pixel that only meets zeros may
 * lie behind the last one: sources are readable there (ENG_ROW_SLACK). */
struct eng_taps {
    int count, stride;
    int longest; /* most taps of any output that are not padding */
    int *first;  /* [count], from the first pixel that the source gives */
    int *used;   /* [count] taps that are not padding */
    int32_t *coef;
    uint32_t lo, hi; /* pixels lo .. hi-1 of the (scaled) source are looked at */
    int end;         /* hi, from the first pixel that the source gives */
    struct eng_buffer memory;
    double *work, *folded; /* one row of weights: of full-size pixels, of blocks */
};

/* For a source of `in` pixels (full size) of which every `denominator` x `denominator` square came
 * as one pixel; flip runs the outputs against the stored order. -ENOMEM. t->first counts from 0
 * here; eng_taps_shift moves the origin to a window that starts at x0 <= lo. */
int eng_taps_build(struct eng_taps *t, const struct eng_span *span, uint32_t in, int denominator,
                   int flip, enum eng_filter filter);
void eng_taps_shift(struct eng_taps *t, uint32_t x0);
/* For kernels that always run a whole row of `stride` taps: a start from which that stays within
 * the window but for a few pixels; *ret_zeros coefficients of 0 come before those of output i. */
int eng_taps_start(const struct eng_taps *t, int i, int *ret_zeros);
void eng_taps_finish(struct eng_taps *t);

#endif
