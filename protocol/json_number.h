/* The inner loop of number reading, inlined into the array scanner. Private to protocol/.
 *
 * value = w * 10^q with w of at most 19 digits. w, shifted to 64 bits, times the leading 64 bits of
 * 10^q has its upper half off by less than three units, so rounding to 24 bits is certain unless
 * the bits to be dropped are as near as that to a half. Then, once in 2^38 numbers or in a true
 * tie, strtof() decides. */
#ifndef PROTO_JSON_NUMBER_H
#define PROTO_JSON_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/powers_of_ten.h"

#define OPEN 0xffffffffu /* rounding is not certain; no finite float has these bits */
#define DIGITS_MAX 19    /* 10^19 < 2^64 */
#define FAST_BYTES 64    /* what must be readable for the fast path */

/* Bits of the positive binary32 nearest to w * 10^q, or OPEN. */
static inline uint32_t round_decimal(uint64_t w, long q)
{
    if (w == 0 || q < POWER_MIN)
        return 0;
    if (q > POWER_MAX)
        return 0x7f800000;
    int zeros = __builtin_clzll(w);
    unsigned __int128 product = (unsigned __int128)(w << zeros) * power_bits[q - POWER_MIN];
    int one_more = !(product >> 127);
    uint64_t high = (uint64_t)(product >> (64 - one_more));
    /* value = (high + fraction) * 2^(exponent - 63), high >= 2^63, 0 <= fraction < 2 */
    int exponent = (int)((q * 217706) >> 16) + 64 - zeros - one_more;
    if (exponent > 127)
        return 0x7f800000;
    int drop = exponent < -126 ? 40 + (-126 - exponent) : 40;
    if (drop > 64)
        return drop == 65 ? OPEN : 0;
    uint64_t half = 1ull << (drop - 1);
    uint64_t dropped = drop == 64 ? high : high & ((half << 1) - 1);
    uint64_t kept = drop == 64 ? 0 : high >> drop;
    if (dropped + 2 - half <= 2)
        return OPEN;
    kept += dropped > half;
    /* A mantissa that rounds up to the next power of two carries into the exponent by itself. */
    uint32_t biased = exponent < -126 ? 0 : (uint32_t)(exponent + 126);
    return (biased << 23) + (uint32_t)kept;
}

/* How many of the 8 characters at s are digits, before the first other one, and their value. */
static inline int leading_digits(const char *s, uint64_t *ret)
{
    uint64_t v;
    memcpy(&v, s, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    v ^= 0x3030303030303030;
    /* The first byte over 9 sets its high bit; carries reach only bytes behind it. */
    uint64_t other = ((v + 0x7676767676767676) | v) & 0x8080808080808080;
    int n = other ? __builtin_ctzll(other) >> 3 : 8;
    if (!n) {
        *ret = 0;
        return 0;
    }
    v <<= 8 * (8 - n); /* zeros in front */
    v = v * 10 + (v >> 8);
    *ret = ((v & 0x000000ff000000ff) * 0x000f424000000064 +
            ((v >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
           32;
    return n;
}

/* The number at s, if it is one of the common form -?digits.digits with at most 19 digits and no
 * exponent, and FAST_BYTES are readable. Its length, or 0: take the long way. */
static inline int fast_float(const char *s, float *ret)
{
    static const uint64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    const char *p = s + (*s == '-'), *first = p;
    uint64_t w = 0, more;
    uint32_t sign = (uint32_t)(*s == '-') << 31, bits;
    int n, behind = 0;
    while ((unsigned char)(*p - '0') < 10 && p - first < DIGITS_MAX)
        w = w * 10 + (uint64_t)(*p++ - '0');
    int before = (int)(p - first);
    if (!before || (*first == '0' && before > 1) || *p != '.')
        return 0;
    p++;
    do {
        n = leading_digits(p, &more);
        w = w * tens[n] + more;
        p += n;
        behind += n;
    } while (n == 8 && behind < 24);
    if (!behind || before + behind > DIGITS_MAX || (*p | 0x20) == 'e')
        return 0;
    bits = round_decimal(w, -behind);
    if (bits == OPEN)
        return 0;
    bits |= sign;
    memcpy(ret, &bits, sizeof(bits));
    return (int)(p - s);
}

#endif
