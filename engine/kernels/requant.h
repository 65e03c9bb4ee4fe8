/* The arithmetic that follows a quantised sum, in plain C: the one definition that every kernel
 * must equal in every bit (kernel.h states the formula). */
#ifndef ENG_KERNELS_REQUANT_H
#define ENG_KERNELS_REQUANT_H

#include <math.h>

#include "engine/kernels/kernel.h"

/* Clamps before it rounds: the bounds are whole numbers, so the result is the same, and no product
 * is too large for an int. A product that is no number counts as the upper bound, as vminps has
 * it. */
static inline uint8_t eng_requant(int32_t acc, float scale, const struct eng_requant *rq)
{
    float v = (float)acc * scale;
    float hi = (float)(rq->hi - rq->zero_point), lo = (float)(rq->lo - rq->zero_point);
    v = v < hi ? v : hi;
    v = v > lo ? v : lo;
    return (uint8_t)(lrintf(v) + rq->zero_point);
}

/* Two's complement sums that may wrap on hostile weights without being undefined. */
static inline int32_t eng_add32(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t eng_mul32(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

#endif
