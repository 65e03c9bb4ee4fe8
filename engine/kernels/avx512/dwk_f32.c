/* Depthwise of any window, float, AVX-512: a whole block at a time. */
#include <immintrin.h>

#include "engine/kernels/dwk_f32_pack.h"

typedef float DWK_V __attribute__((vector_size(16 * sizeof(float))));
enum { DWK_LANES = 16 };

static inline __attribute__((always_inline)) DWK_V dwk_fma(DWK_V x, DWK_V w, DWK_V acc)
{
    return _mm512_fmadd_ps(x, w, acc);
}

static inline __attribute__((always_inline)) void dwk_store(float *p, DWK_V acc, DWK_V lo, DWK_V hi)
{
    *(DWK_V *)(void *)p = _mm512_min_ps(_mm512_max_ps(acc, lo), hi);
}

#include "engine/kernels/dwk_f32.inc"

const struct eng_dwk_f32_kernel eng_dwk_f32_avx512 = {
    .name = "dwk_f32_avx512",
    .cpu_bits = ENG_CPU_AVX512,
    .block_bytes = dwk_block_bytes,
    .pack = dwk_pack,
    .run = dwk_run,
};
