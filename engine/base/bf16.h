/* bf16: the upper half of a float. Internal to engine/. */
#ifndef ENG_BASE_BF16_H
#define ENG_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float eng_bf16_to_f32(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Nearest, half to even; NaN stays NaN. */
static inline uint16_t eng_bf16_from_f32(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float eng_bf16_round(float f)
{
    return eng_bf16_to_f32(eng_bf16_from_f32(f));
}

#endif
