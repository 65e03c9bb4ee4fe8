/* What the u8 kernels of AVX2 and AVX-VNNI share: 256-bit operations of ../u8_words.inc.
 *
 * Unpacking works inside 128-bit lanes, so a block's channels stand as 0-3 8-11 | 4-7 12-15; packs
 * put them in order again. */
#ifndef ENG_KERNELS_AVX2_U8_256_H
#define ENG_KERNELS_AVX2_U8_256_H

#include <immintrin.h>

#include "engine/kernels/kernel.h"

enum { LANES = 8, NR = 16 };

typedef __m256i vec;

static const uint8_t lane_of[16] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

static inline vec v_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline vec v_word(const void *p)
{
    int32_t word;
    __builtin_memcpy(&word, p, sizeof(word));
    return _mm256_set1_epi32(word);
}

static inline vec v_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}

static inline vec v_add(vec a, vec b)
{
    return _mm256_add_epi32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm256_mullo_epi32(a, b);
}

struct rq {
    __m256 hi;
    __m256i zero;
    __m128i lo;
};

static inline struct rq rq_load(const struct eng_requant *rq)
{
    return (struct rq){.hi = _mm256_set1_ps((float)(rq->hi - rq->zero_point)),
                       .zero = _mm256_set1_epi16((short)rq->zero_point),
                       .lo = _mm_set1_epi8((char)rq->lo)};
}

static inline vec rq_round(vec acc, const float *scale, const struct rq *q)
{
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(scale));
    return _mm256_cvtps_epi32(_mm256_min_ps(v, q->hi));
}

static inline void rq_store(uint8_t *out, const vec acc[2], const float *scale, const struct rq *q)
{
    __m256i r = _mm256_packs_epi32(rq_round(acc[0], scale, q), rq_round(acc[1], scale + LANES, q));
    r = _mm256_adds_epi16(r, q->zero);
    __m128i u = _mm_packus_epi16(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
    _mm_storeu_si128((__m128i *)(void *)out, _mm_max_epu8(u, q->lo));
}

#endif
