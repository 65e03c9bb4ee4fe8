/* Depthwise 3x3, float, AVX2 and FMA: half a block of channels at a time; sixteen registers hold
 * eight outputs and one row of weights. */
#include <immintrin.h>

#include "engine/kernels/f32_pack.h"

#define INLINE static inline __attribute__((always_inline))
#define DW_T float
#define DW_V __m256
#define DW_LANES 8
#define DW_ARGS struct eng_dw_f32_args
#define DW_RESIDENT 0

/* Volatile assembly keeps the order of dw_f32.inc. */
INLINE __m256 dw_load(const float *p)
{
    __m256 v;
    __asm__ volatile("vmovaps %1, %0" : "=x"(v) : "m"(*(const __m256 *)p));
    return v;
}

INLINE __m256 dw_fma(__m256 x, __m256 w, __m256 acc)
{
    __asm__ volatile("vfmadd231ps %1, %2, %0" : "+x"(acc) : "x"(x), "x"(w));
    return acc;
}

INLINE __m256 dw_weights(const float *p)
{
    return _mm256_load_ps(p);
}

INLINE __m256 dw_all(float x)
{
    return _mm256_set1_ps(x);
}

INLINE void dw_store(float *p, __m256 acc, __m256 lo, __m256 hi)
{
    _mm256_store_ps(p, _mm256_min_ps(_mm256_max_ps(acc, lo), hi));
}

#include "engine/kernels/dw_f32.inc"

const struct eng_dw_f32_kernel eng_dw_f32_avx2 = {
    .name = "dw_f32_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 15,
    .pack = f32_dw_pack,
    .run = dw_run,
};
