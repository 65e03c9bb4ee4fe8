/* u8 on SSE4.1: activations and weights as int16, pmaddwd. */
#include <smmintrin.h>

#include "engine/kernels/kernel.h"

#define ISA sse41
#define CPU_BITS ENG_CPU_SSE41
#define MACS 11
#define DW_CYCLES 39
#define MR_LIST(X) X(1) X(2)

enum { LANES = 4, NR = 16, WORD = 2, X_OFFSET = 0, MR = 2 };

typedef __m128i vec;
typedef int16_t cell, weight;

static const uint8_t lane_of[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline vec v_load(const void *p)
{
    return _mm_loadu_si128(p);
}

static inline vec v_word(const void *p)
{
    int32_t word;
    __builtin_memcpy(&word, p, sizeof(word));
    return _mm_set1_epi32(word);
}

static inline vec v_set1(int32_t x)
{
    return _mm_set1_epi32(x);
}

static inline vec v_add(vec a, vec b)
{
    return _mm_add_epi32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm_mullo_epi32(a, b);
}

static inline vec v_dot(vec acc, vec x, vec w)
{
    return _mm_add_epi32(acc, _mm_madd_epi16(x, w));
}

static inline void cells(cell *to, const uint8_t *from)
{
    const vec none = _mm_setzero_si128();
    vec v = v_load(from);
    _mm_storeu_si128((vec *)(void *)to, _mm_unpacklo_epi8(v, none));
    _mm_storeu_si128((vec *)(void *)(to + 8), _mm_unpackhi_epi8(v, none));
}

/* Two pixels -> 16 pairs of int16. */
static inline void pair_words(vec t[4], const uint8_t *at)
{
    const vec none = _mm_setzero_si128();
    vec p0 = v_load(at), p1 = v_load(at + 16);
    vec lo = _mm_unpacklo_epi8(p0, p1), hi = _mm_unpackhi_epi8(p0, p1);
    t[0] = _mm_unpacklo_epi8(lo, none);
    t[1] = _mm_unpackhi_epi8(lo, none);
    t[2] = _mm_unpacklo_epi8(hi, none);
    t[3] = _mm_unpackhi_epi8(hi, none);
}

static inline void taps(vec t[2][4], const uint8_t *at)
{
    pair_words(t[0], at);
    pair_words(t[1], at + 32);
}

struct rq {
    __m128 hi;
    vec zero, lo;
};

static inline struct rq rq_load(const struct eng_requant *rq)
{
    return (struct rq){.hi = _mm_set1_ps((float)(rq->hi - rq->zero_point)),
                       .zero = _mm_set1_epi16((short)rq->zero_point),
                       .lo = _mm_set1_epi8((char)rq->lo)};
}

static inline vec rq_round(vec acc, const float *scale, const struct rq *q)
{
    __m128 v = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm_loadu_ps(scale));
    return _mm_cvtps_epi32(_mm_min_ps(v, q->hi));
}

static inline void rq_store(uint8_t *out, const vec acc[4], const float *scale, const struct rq *q)
{
    vec lo = _mm_packs_epi32(rq_round(acc[0], scale, q), rq_round(acc[1], scale + 4, q));
    vec hi = _mm_packs_epi32(rq_round(acc[2], scale + 8, q), rq_round(acc[3], scale + 12, q));
    vec u = _mm_packus_epi16(_mm_adds_epi16(lo, q->zero), _mm_adds_epi16(hi, q->zero));
    _mm_storeu_si128((vec *)(void *)out, _mm_max_epu8(u, q->lo));
}

#include "engine/kernels/u8_words.inc"
