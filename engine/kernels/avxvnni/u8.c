/* u8 on AVX-VNNI: vpdpbusd on 256 bits. */
#include "engine/kernels/avx2/u8_256.h"

#define ISA avxvnni
#define CPU_BITS (ENG_CPU_AVX2 | ENG_CPU_AVXVNNI)
#define MACS 62
#define DW_CYCLES 22
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)

enum { WORD = 4, X_OFFSET = 0, MR = 6 };

typedef uint8_t cell;
typedef int8_t weight;

static inline vec v_dot(vec acc, vec x, vec w)
{
    return _mm256_dpbusd_avx_epi32(acc, x, w);
}

static inline void cells(cell *to, const uint8_t *from)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}

/* Two pixels -> 16 pairs of bytes, channels 0-7 in the lower lane. */
static inline vec pairs(const uint8_t *at)
{
    const vec zip = _mm256_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15, 0, 8, 1,
                                     9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    return _mm256_shuffle_epi8(_mm256_permute4x64_epi64(v_load(at), 0xd8), zip);
}

static inline void taps(vec t[1][2], const uint8_t *at)
{
    vec p01 = pairs(at), p23 = pairs(at + 32);
    t[0][0] = _mm256_unpacklo_epi16(p01, p23);
    t[0][1] = _mm256_unpackhi_epi16(p01, p23);
}

#include "engine/kernels/u8_words.inc"
