/* Depthwise 3x3 on bf16 activations, AVX512-BF16: fp32 inside, as avx512/dw_f32.c. */
#include <immintrin.h>

#include "engine/kernels/bf16_pack.h"

#define INLINE static inline __attribute__((always_inline))
#define DW_T uint16_t
#define DW_V __m512
#define DW_LANES 16
#define DW_ARGS struct eng_dw_bf16_args
#define DW_RESIDENT 1
#define DW_SPREADS 1

INLINE __m512 dw_load(const uint16_t *p)
{
    __m512 v;
    __asm__ volatile("vpmovzxwd %1, %0\n\tvpslld $16, %0, %0"
                     : "=v"(v)
                     : "m"(*(const __m256i *)(const void *)p));
    return v;
}

INLINE __m512 dw_fma(__m512 x, __m512 w, __m512 acc)
{
    __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(acc) : "v"(x), "v"(w));
    return acc;
}

INLINE __m512 dw_weights(const float *p)
{
    return _mm512_load_ps(p);
}

INLINE __m512 dw_all(float x)
{
    return _mm512_set1_ps(x);
}

INLINE void dw_store(uint16_t *p, __m512 acc, __m512 lo, __m512 hi)
{
    __m256bh rounded = _mm512_cvtneps_pbh(_mm512_min_ps(_mm512_max_ps(acc, lo), hi));
    _mm256_store_si256((__m256i *)(void *)p, (__m256i)rounded);
}

#include "engine/kernels/dw_f32.inc"

const struct eng_dw_bf16_kernel eng_dw_bf16_avx512bf16 = {
    .name = "dw_bf16_avx512bf16",
    .cpu_bits = ENG_CPU_AVX512 | ENG_CPU_AVX512BF16,
    .spreads = 1,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 10,
    .pack = f32_dw_pack,
    .run = dw_run,
};
