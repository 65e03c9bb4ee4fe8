/* u8 on AVX-512 without VNNI: activations and weights as int16, vpmaddwd on 512 bits. */
#include <immintrin.h>

#include "engine/kernels/kernel.h"

#define ISA avx512
#define CPU_BITS ENG_CPU_AVX512
#define MACS 34
#define DW_CYCLES 20
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

enum { LANES = 16, NR = 32, WORD = 2, X_OFFSET = 0, MR = 12 };

typedef __m512i vec;
typedef int16_t cell, weight;

static const uint8_t lane_of[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline vec v_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline vec v_word(const void *p)
{
    int32_t word;
    __builtin_memcpy(&word, p, sizeof(word));
    return _mm512_set1_epi32(word);
}

static inline vec v_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}

static inline vec v_add(vec a, vec b)
{
    return _mm512_add_epi32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline vec v_dot(vec acc, vec x, vec w)
{
    return _mm512_add_epi32(acc, _mm512_madd_epi16(x, w));
}

static inline void cells(cell *to, const uint8_t *from)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_cvtepu8_epi16(v));
}

static inline vec pair_words(const uint8_t *at)
{
    __m128i p0 = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i p1 = _mm_loadu_si128((const __m128i *)(const void *)(at + 16));
    return _mm512_or_si512(_mm512_cvtepu8_epi32(p0),
                           _mm512_slli_epi32(_mm512_cvtepu8_epi32(p1), 16));
}

static inline void taps(vec t[2][1], const uint8_t *at)
{
    t[0][0] = pair_words(at);
    t[1][0] = pair_words(at + 32);
}

struct rq {
    __m512 hi;
    vec zero, lo;
};

static inline struct rq rq_load(const struct eng_requant *rq)
{
    return (struct rq){.hi = _mm512_set1_ps((float)(rq->hi - rq->zero_point)),
                       .zero = _mm512_set1_epi32(rq->zero_point),
                       .lo = _mm512_set1_epi32(rq->lo - rq->zero_point)};
}

static inline void rq_store(uint8_t *out, const vec acc[1], const float *scale, const struct rq *q)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[0]), _mm512_loadu_ps(scale));
    vec r = _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_min_ps(v, q->hi)), q->lo);
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi32_epi8(_mm512_add_epi32(r, q->zero)));
}

#include "engine/kernels/u8_words.inc"
