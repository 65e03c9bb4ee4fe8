/* First convolution and sums, u8, on AVX2: activations and weights as int16, vpmaddwd.
 * (vpmaddubsw on the bytes would saturate; splitting the weights into 7 bits to avoid it costs more
 * than widening.) */
#include "engine/kernels/avx2/u8_256.h"

#define ISA avx2
#define OWN_POINTWISE /* pw_u8.c */
#define OWN_DEPTHWISE /* dw_u8.c */
#define CPU_BITS ENG_CPU_AVX2
#define MR_LIST(X) X(1) X(2) X(3) X(4)

enum { WORD = 2, X_OFFSET = 0, MR = 4 };

typedef int16_t cell, weight;

static inline vec v_dot(vec acc, vec x, vec w)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

static inline vec widen(const uint8_t *from)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline void cells(cell *to, const uint8_t *from)
{
    _mm256_storeu_si256((__m256i *)(void *)to, widen(from));
}

#include "engine/kernels/u8_words.inc"
