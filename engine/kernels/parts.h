/* A float as three bf16 (kernel.h, pw_f32x), in plain C: what each row of parts() and pack() makes.
 */
#ifndef ENG_KERNELS_PARTS_H
#define ENG_KERNELS_PARTS_H

#include "engine/base/bf16.h"
#include "engine/kernels/kernel.h"

/* Which part of x meets which of w, in the order of summation: what is small comes first, and of
 * two neighbours one part stays. */
enum { PRODUCTS = 6 };
#define PRODUCTS_OF_PARTS                                                                          \
    {                                                                                              \
        {0, 2}, {0, 1}, {1, 1}, {1, 0}, {2, 0},                                                    \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/* By adding half of the last place and cutting off: a vector takes the same two steps. */
static inline uint16_t part_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return (uint16_t)((bits + 0x8000) >> 16);
}

static inline void parts_of(float f, uint16_t to[ENG_PARTS])
{
    uint32_t bits;

    to[0] = part_of(f);
    f -= eng_bf16_to_f32(to[0]);
    to[1] = part_of(f);
    f -= eng_bf16_to_f32(to[1]);
    memcpy(&bits, &f, sizeof(bits));
    to[2] = (uint16_t)(bits >> 16);
}

#endif
