/* Depthwise of any window, float, NEON: a quarter of a block at a time. */
#include <arm_neon.h>

#include "engine/kernels/dwk_f32_pack.h"

typedef float DWK_V __attribute__((vector_size(4 * sizeof(float))));
enum { DWK_LANES = 4 };

static inline __attribute__((always_inline)) DWK_V dwk_fma(DWK_V x, DWK_V w, DWK_V acc)
{
    return vfmaq_f32(acc, x, w);
}

static inline __attribute__((always_inline)) void dwk_store(float *p, DWK_V acc, DWK_V lo, DWK_V hi)
{
    *(DWK_V *)(void *)p = vminq_f32(vmaxq_f32(acc, lo), hi);
}

#include "engine/kernels/dwk_f32.inc"

const struct eng_dwk_f32_kernel eng_dwk_f32_neon = {
    .name = "dwk_f32_neon",
    .cpu_bits = ENG_CPU_NEON,
    .block_bytes = dwk_block_bytes,
    .pack = dwk_pack,
    .run = dwk_run,
};
