/* IEEE 754 binary16 -> float, exact. Internal to engine/. */
#ifndef ENG_BASE_HALF_H
#define ENG_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float eng_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    float f;
    if (exponent == 0) {
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

#endif
