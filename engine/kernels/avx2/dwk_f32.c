/* Depthwise of any window, float, AVX2 and FMA: half a block at a time. */
#include <immintrin.h>

#include "engine/kernels/dwk_f32_pack.h"

typedef float DWK_V __attribute__((vector_size(8 * sizeof(float))));
enum { DWK_LANES = 8 };

static inline __attribute__((always_inline)) DWK_V dwk_fma(DWK_V x, DWK_V w, DWK_V acc)
{
    return _mm256_fmadd_ps(x, w, acc);
}

static inline __attribute__((always_inline)) void dwk_store(float *p, DWK_V acc, DWK_V lo, DWK_V hi)
{
    *(DWK_V *)(void *)p = _mm256_min_ps(_mm256_max_ps(acc, lo), hi);
}

#include "engine/kernels/dwk_f32.inc"

const struct eng_dwk_f32_kernel eng_dwk_f32_avx2 = {
    .name = "dwk_f32_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .block_bytes = dwk_block_bytes,
    .pack = dwk_pack,
    .run = dwk_run,
};
