/* What the u8 kernels of NEON with and without dot products share: 128-bit operations of
 * ../u8_words.inc. */
#ifndef ENG_KERNELS_NEON_U8_128_H
#define ENG_KERNELS_NEON_U8_128_H

#include <arm_neon.h>

#include "engine/kernels/kernel.h"

enum { LANES = 4, NR = 16 };

typedef int32x4_t vec;

static const uint8_t lane_of[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline vec v_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

static inline vec v_set1(int32_t x)
{
    return vdupq_n_s32(x);
}

static inline vec v_add(vec a, vec b)
{
    return vaddq_s32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return vmulq_s32(a, b);
}

struct rq {
    float32x4_t hi;
    int16x8_t zero;
    uint8x16_t lo;
};

static inline struct rq rq_load(const struct eng_requant *rq)
{
    return (struct rq){.hi = vdupq_n_f32((float)(rq->hi - rq->zero_point)),
                       .zero = vdupq_n_s16((int16_t)rq->zero_point),
                       .lo = vdupq_n_u8(rq->lo)};
}

/* vminnm takes the number where the other is none, as eng_requant() does. */
static inline int16x4_t rq_round(vec acc, const float *scale, const struct rq *q)
{
    float32x4_t v = vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(scale));
    return vqmovn_s32(vcvtnq_s32_f32(vminnmq_f32(v, q->hi)));
}

static inline void rq_store(uint8_t *out, const vec acc[4], const float *scale, const struct rq *q)
{
    int16x8_t lo = vcombine_s16(rq_round(acc[0], scale, q), rq_round(acc[1], scale + 4, q));
    int16x8_t hi = vcombine_s16(rq_round(acc[2], scale + 8, q), rq_round(acc[3], scale + 12, q));
    uint8x16_t u =
        vcombine_u8(vqmovun_s16(vqaddq_s16(lo, q->zero)), vqmovun_s16(vqaddq_s16(hi, q->zero)));
    vst1q_u8(out, vmaxq_u8(u, q->lo));
}

#endif
