/* u8 on NEON without dot products: activations and weights as int16, smlal. A vector holds the
 * first of two k for four channels, then the second, so that both halves add to the same lanes. */
#include "engine/kernels/neon/u8_128.h"

#define ISA neon
#define CPU_BITS ENG_CPU_NEON
#define MACS 16
#define DW_CYCLES 30
#define MR_LIST(X) X(1) X(2) X(3) X(4)
#define IN_VECTOR(lane, t) ((t)*LANES + (lane))

enum { WORD = 2, X_OFFSET = 0, MR = 4 };

typedef int16_t cell, weight;

static inline vec v_word(const void *p)
{
    const int16_t *x = p;
    return vreinterpretq_s32_s16(vcombine_s16(vld1_dup_s16(x), vld1_dup_s16(x + 1)));
}

static inline vec v_dot(vec acc, vec x, vec w)
{
    int16x8_t a = vreinterpretq_s16_s32(x), b = vreinterpretq_s16_s32(w);
    return vmlal_high_s16(vmlal_s16(acc, vget_low_s16(a), vget_low_s16(b)), a, b);
}

static inline void cells(cell *to, const uint8_t *from)
{
    uint8x16_t v = vld1q_u8(from);
    vst1q_u16((uint16_t *)to, vmovl_u8(vget_low_u8(v)));
    vst1q_u16((uint16_t *)to + 8, vmovl_high_u8(v));
}

/* Two pixels of 8 channels: the first halves of both, then the second halves. */
static inline void halves(vec t[2], uint8x8_t p0, uint8x8_t p1)
{
    uint64x2_t a = vreinterpretq_u64_u16(vmovl_u8(p0)), b = vreinterpretq_u64_u16(vmovl_u8(p1));
    t[0] = vreinterpretq_s32_u64(vzip1q_u64(a, b));
    t[1] = vreinterpretq_s32_u64(vzip2q_u64(a, b));
}

static inline void taps(vec t[2][4], const uint8_t *at)
{
    for (int g = 0; g < 2; g++, at += 32) {
        uint8x16_t p0 = vld1q_u8(at), p1 = vld1q_u8(at + 16);
        halves(t[g], vget_low_u8(p0), vget_low_u8(p1));
        halves(t[g] + 2, vget_high_u8(p0), vget_high_u8(p1));
    }
}

#include "engine/kernels/u8_words.inc"
