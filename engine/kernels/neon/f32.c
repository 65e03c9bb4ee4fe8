/* Float kernels on NEON: tiles of 6 pixels x 16 channels for pointwise and first convolution (24 of
 * the 32 registers accumulators, one load-and-broadcast for four FMAs), a quarter of a block at a
 * time for depthwise with its nine weights in registers. */
#include <arm_neon.h>

#include "engine/kernels/f32_tile.h"

#define INLINE static inline __attribute__((always_inline))

#define TILE_V float32x4_t
#define TILE_LANES 4
#define TILE_MR 6
#define TILE_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define TILE_VECTORS_OF(M, r) M(r, 0) M(r, 1) M(r, 2) M(r, 3)
/* Volatile, so that no scheduler hoists broadcasts until accumulators spill. */
#define TILE_STEP(r, x)                                                                            \
    {                                                                                              \
        float32x4_t t;                                                                             \
        __asm__ volatile("ld1r {%0.4s}, %1" : "=w"(t) : "Q"(*(x)));                                \
        c##r##_0 = vfmaq_f32(c##r##_0, t, w0);                                                     \
        c##r##_1 = vfmaq_f32(c##r##_1, t, w1);                                                     \
        c##r##_2 = vfmaq_f32(c##r##_2, t, w2);                                                     \
        c##r##_3 = vfmaq_f32(c##r##_3, t, w3);                                                     \
    }

INLINE float32x4_t tile_load(const float *p)
{
    return vld1q_f32(p);
}

INLINE void tile_store(float *p, float32x4_t acc, const float *lo, const float *hi)
{
    vst1q_f32(p, vminq_f32(vmaxq_f32(acc, vld1q_dup_f32(lo)), vld1q_dup_f32(hi)));
}

#include "engine/kernels/f32_tile.inc"

#include "engine/kernels/spw_f32.inc"

#define DW_T float
#define DW_V float32x4_t
#define DW_LANES 4
#define DW_ARGS struct eng_dw_f32_args
#define DW_RESIDENT 1

INLINE float32x4_t dw_load(const float *p)
{
    return vld1q_f32(p);
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

INLINE void dw_store(float *p, float32x4_t acc, float32x4_t lo, float32x4_t hi)
{
    vst1q_f32(p, vminq_f32(vmaxq_f32(acc, lo), hi));
}

#include "engine/kernels/dw_f32.inc"

const struct eng_pw_f32_kernel eng_pw_f32_neon = {
    .name = "pw_f32_neon",
    .cpu_bits = ENG_CPU_NEON,
    .mr = TILE_MR,
    .nr = ENG_BLOCK,
    .macs = 8,
    .panel_bytes = f32_pw_panel_bytes,
    .pack = f32_pw_pack,
    .run = pw_run,
};

const struct eng_dw_f32_kernel eng_dw_f32_neon = {
    .name = "dw_f32_neon",
    .cpu_bits = ENG_CPU_NEON,
    .block_bytes = F32_DW_FLOATS * sizeof(float),
    .pixel_cycles = 20,
    .pack = f32_dw_pack,
    .run = dw_run,
};

SPW_KERNEL(neon, ENG_CPU_NEON, 8);

const struct eng_conv3_f32_kernel eng_conv3_f32_neon = {
    .name = "conv3_f32_neon",
    .cpu_bits = ENG_CPU_NEON,
    .packed_bytes = f32_conv3_packed_bytes,
    .pack = f32_conv3_pack,
    .run = conv3_run,
};
