/* Row sums and global average pool, u8, AVX-512 VNNI: dot products with ones. */
#include "engine/kernels/avx512vnni/tile.h"

static const uint32_t ones = 0x01010101;

/* Four vectors of 4 pixels x 4 partial sums -> 16 sums in pixel order. */
INLINE __m512i reduce(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i r = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m512i swap = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(swap, r);
}

static void sum_run(const uint8_t *a, size_t a_stride, int pixels, int k_blocks, int32_t *sum)
{
    const __m512i one = _mm512_set1_epi32((int)ones);
    int p = 0;
    for (; p + 16 <= pixels; p += 16) {
        const uint8_t *in = a + (size_t)p * ENG_BLOCK;
        __m512i acc[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        for (int b = 0; b < k_blocks; b++, in += a_stride)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                acc[i] = _mm512_dpbusd_epi32(acc[i], _mm512_loadu_si512(in + i * 64), one);
        _mm512_storeu_si512(sum + p, reduce(acc[0], acc[1], acc[2], acc[3]));
    }
    for (; p < pixels; p += 4) {
        const uint8_t *in = a + (size_t)p * ENG_BLOCK;
        __m512i acc = _mm512_setzero_si512(), none = acc;
        for (int b = 0; b < k_blocks; b++, in += a_stride)
            acc = _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(in), one);
        int n = pixels - p < 4 ? pixels - p : 4;
        _mm512_mask_storeu_epi32(sum + p, (__mmask16)((1 << n) - 1), reduce(acc, none, none, none));
    }
}

const struct eng_sum_u8_kernel eng_sum_u8_avx512vnni = {
    .name = "sum_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI,
    .run = sum_run,
};

static void gap_run(const uint8_t *block, int pixels, int32_t sum[16])
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i taps = _mm512_add_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32((int)ones)),
                                          _mm512_set1_epi32(0x30201000));
    const __m512i one = _mm512_set1_epi32((int)ones);
    __m512i even = _mm512_setzero_si512(), odd = even;
    int p = 0;
    for (; p + 8 <= pixels; p += 8, block += 128) {
        __m512i a = _mm512_permutexvar_epi8(taps, _mm512_loadu_si512(block));
        __m512i b = _mm512_permutexvar_epi8(taps, _mm512_loadu_si512(block + 64));
        even = _mm512_dpbusd_epi32(even, a, one);
        odd = _mm512_dpbusd_epi32(odd, b, one);
    }
    for (; p < pixels; p += 4, block += 64) {
        int n = pixels - p < 4 ? pixels - p : 4;
        __m512i a = _mm512_maskz_loadu_epi8(~(__mmask64)0 >> (64 - 16 * n), block);
        even = _mm512_dpbusd_epi32(even, _mm512_permutexvar_epi8(taps, a), one);
    }
    _mm512_storeu_si512(sum, _mm512_add_epi32(even, odd));
}

const struct eng_gap_u8_kernel eng_gap_u8_avx512vnni = {
    .name = "gap_u8_avx512vnni",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    .run = gap_run,
};
