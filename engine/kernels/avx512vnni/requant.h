/* Requantisation for AVX-512: four vectors of 16 int32 sums become 64 bytes, in the arithmetic of
 * ../requant.h. */
#ifndef ENG_KERNELS_AVX512VNNI_REQUANT_H
#define ENG_KERNELS_AVX512VNNI_REQUANT_H

#include <immintrin.h>

#include "engine/kernels/kernel.h"

#define INLINE static inline __attribute__((always_inline))

struct rq512 {
    __m512 hi;    /* rq.hi - zero point: bounds the product before it becomes an int */
    __m512i zero; /* int16 */
    __m512i lo;   /* u8 */
    __m512i top;  /* u8: rq.hi */
    __m512i swap; /* dwords of 4 pixels x 4 quarters -> pixel after pixel */
};

INLINE struct rq512 rq512_load(const struct eng_requant *rq)
{
    return (struct rq512){
        .hi = _mm512_set1_ps((float)(rq->hi - rq->zero_point)),
        .zero = _mm512_set1_epi16((short)rq->zero_point),
        .lo = _mm512_set1_epi8((char)rq->lo),
        .top = _mm512_set1_epi8((char)rq->hi),
        .swap = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    };
}

/* For sums whose products are known to be ints: rq512_pack_wide() bounds them later, for less. */
INLINE __m512i rq512_round_known(__m512i acc, __m512 scale)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale));
}

INLINE __m512i rq512_round(__m512i acc, __m512 scale, const struct rq512 *q)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
    return _mm512_cvtps_epi32(_mm512_min_ps(v, q->hi));
}

/* Four pixels of rounded products -> 4 x 16 bytes in pixel order. */
INLINE __m512i rq512_pack(__m512i a, __m512i b, __m512i c, __m512i d, const struct rq512 *q)
{
    __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), q->zero);
    __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), q->zero);
    __m512i u = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), q->lo);
    return _mm512_permutexvar_epi32(q->swap, u);
}

/* Zero point 0 and bounds 0 and 255: saturation does it all. */
INLINE __m512i rq512_pack_plain(__m512i a, __m512i b, __m512i c, __m512i d, const struct rq512 *q)
{
    __m512i u = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    return _mm512_permutexvar_epi32(q->swap, u);
}

INLINE __m512i rq512_pack_wide(__m512i a, __m512i b, __m512i c, __m512i d, const struct rq512 *q)
{
    return _mm512_min_epu8(rq512_pack(a, b, c, d, q), q->top);
}

/* The first n (1 to 4) pixels of v; stores of whole 16 bytes, since masked ones are slow. */
INLINE void rq512_store(uint8_t *out, __m512i v, int n)
{
    if (n == 4) {
        _mm512_storeu_si512(out, v);
        return;
    }
    if (n >= 2)
        _mm256_storeu_si256((__m256i *)(void *)out, _mm512_castsi512_si256(v));
    if (n == 3)
        _mm_storeu_si128((__m128i *)(void *)(out + 32), _mm512_extracti32x4_epi32(v, 2));
    if (n == 1)
        _mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(v));
}

#endif
