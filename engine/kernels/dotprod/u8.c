/* u8 on NEON with dot products: sdot over activations less 128. */
#include "engine/kernels/neon/u8_128.h"

#define ISA dotprod
#define CPU_BITS (ENG_CPU_NEON | ENG_CPU_DOTPROD)
#define MACS 32
#define DW_CYCLES 30
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5)

enum { WORD = 4, X_OFFSET = 128, MR = 5 };

typedef int8_t cell, weight;

static inline vec v_word(const void *p)
{
    return vld1q_dup_s32(p);
}

static inline vec v_dot(vec acc, vec x, vec w)
{
    return vdotq_s32(acc, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w));
}

static inline uint8x16_t less_128(const uint8_t *from)
{
    return veorq_u8(vld1q_u8(from), vdupq_n_u8(0x80));
}

static inline void cells(cell *to, const uint8_t *from)
{
    vst1q_u8((uint8_t *)to, less_128(from));
}

static inline void taps(vec t[1][4], const uint8_t *at)
{
    uint8x16_t p0 = less_128(at), p1 = less_128(at + 16);
    uint8x16_t p2 = less_128(at + 32), p3 = less_128(at + 48);
    uint16x8_t lo01 = vreinterpretq_u16_u8(vzip1q_u8(p0, p1));
    uint16x8_t hi01 = vreinterpretq_u16_u8(vzip2q_u8(p0, p1));
    uint16x8_t lo23 = vreinterpretq_u16_u8(vzip1q_u8(p2, p3));
    uint16x8_t hi23 = vreinterpretq_u16_u8(vzip2q_u8(p2, p3));
    t[0][0] = vreinterpretq_s32_u16(vzip1q_u16(lo01, lo23));
    t[0][1] = vreinterpretq_s32_u16(vzip2q_u16(lo01, lo23));
    t[0][2] = vreinterpretq_s32_u16(vzip1q_u16(hi01, hi23));
    t[0][3] = vreinterpretq_s32_u16(vzip2q_u16(hi01, hi23));
}

#include "engine/kernels/u8_words.inc"
