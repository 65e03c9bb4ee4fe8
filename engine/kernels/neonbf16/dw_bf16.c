/* Depthwise 3x3 on bf16 activations, NEON-BF16: fp32 inside, as neon/f32.c; only the rounding of
 * outputs needs the extension. */
#include <arm_neon.h>

#include "engine/kernels/bf16_pack.h"

#define INLINE static inline __attribute__((always_inline))
#define DW_T uint16_t
#define DW_V float32x4_t
#define DW_LANES 4
#define DW_ARGS struct eng_dw_bf16_args
#define DW_RESIDENT 1

INLINE float32x4_t dw_load(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

INLINE float32x4_t dw_fma(float32x4_t x, float32x4_t w, float32x4_t acc)
{
    return vfmaq_f32(acc, x, w);
}

INLINE float32x4_t dw_weights(const float *p)
{
    return vld1q_f32(p);
}

INLINE float32x4_t dw_all(float x)
{
    return vdupq_n_f32(x);
}

INLINE void dw_store(uint16_t *p, float32x4_t acc, float32x4_t lo, float32x4_t hi)
{
    bfloat16x4_t rounded = vcvt_bf16_f32(vminq_f32(vmaxq_f32(acc, lo), hi));
    vst1_u16(p, vreinterpret_u16_bf16(rounded));
}

#include "engine/kernels/dw_f32.inc"

const struct eng_dw_bf16_kernel eng_dw_bf16_neonbf16 = {
    .name = "dw_bf16_neonbf16",
    .cpu_bits = ENG_CPU_NEON | ENG_CPU_NEONBF16,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 20,
    .pack = f32_dw_pack,
    .run = dw_run,
};
