/* Resampling with NEON, equal to the C version to the bit: 32-bit multiply-adds, which these
 * processors do as fast as anything. */
#include <arm_neon.h>
#include <string.h>

#include "engine/image/resize.h"

/* clip8 of four sums, in the low bytes of the result. */
static inline uint8x8_t clip(int32x4_t sum)
{
    uint16x4_t v = vqmovun_s32(vshrq_n_s32(sum, ENG_TAPS_BITS));
    return vqmovn_u16(vcombine_u16(v, v));
}

/* Tap j of RGB pixels as dwords R G B 0. */
static void make_tables(uint8x16_t table[4])
{
    for (int j = 0; j < 4; j++) {
        uint8_t index[16];
        memset(index, 0xff, sizeof(index));
        for (int c = 0; c < 3; c++)
            index[4 * c] = (uint8_t)(3 * j + c);
        table[j] = vld1q_u8(index);
    }
}

static void across_rgb(uint8_t *dst, const uint8_t *src, const struct eng_taps *t)
{
    uint8x16_t table[4];
    make_tables(table);
    for (int i = 0; i < t->count; i++, dst += 3) {
        const int32_t *k = t->coef + (size_t)i * (size_t)t->stride;
        const uint8_t *p = src + 3 * (ptrdiff_t)t->first[i];
        int32x4_t sum = vdupq_n_s32(1 << (ENG_TAPS_BITS - 1));
        for (int j = 0; j < t->used[i]; j += 4) {
            uint8x16_t v = vld1q_u8(p + 3 * j);
            int32x4_t w = vld1q_s32(k + j);
            sum = vmlaq_laneq_s32(sum, vreinterpretq_s32_u8(vqtbl1q_u8(v, table[0])), w, 0);
            sum = vmlaq_laneq_s32(sum, vreinterpretq_s32_u8(vqtbl1q_u8(v, table[1])), w, 1);
            sum = vmlaq_laneq_s32(sum, vreinterpretq_s32_u8(vqtbl1q_u8(v, table[2])), w, 2);
            sum = vmlaq_laneq_s32(sum, vreinterpretq_s32_u8(vqtbl1q_u8(v, table[3])), w, 3);
        }
        vst1_lane_u32((uint32_t *)(void *)dst, vreinterpret_u32_u8(clip(sum)), 0);
    }
}

static void across_grey(uint8_t *dst, const uint8_t *src, const struct eng_taps *t)
{
    for (int i = 0; i < t->count; i++) {
        const int32_t *k = t->coef + (size_t)i * (size_t)t->stride;
        const uint8_t *p = src + t->first[i];
        int32x4_t sum = vdupq_n_s32(0);
        for (int j = 0; j < t->used[i]; j += 4) {
            uint16x8_t v = vmovl_u8(vld1_u8(p + j));
            int32x4_t pixels = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(v)));
            sum = vmlaq_s32(sum, pixels, vld1q_s32(k + j));
        }
        int32_t v = (vaddvq_s32(sum) + (1 << (ENG_TAPS_BITS - 1))) >> ENG_TAPS_BITS;
        dst[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void across(uint8_t *dst, const uint8_t *src, const struct eng_taps *t, const void *packed,
                   int n_channels)
{
    (void)packed;
    if (n_channels == 3)
        across_rgb(dst, src, t);
    else
        across_grey(dst, src, t);
}

static void down(uint8_t *dst, const uint8_t *const *rows, const int32_t *coef, int taps, size_t n)
{
    const int32x4_t half = vdupq_n_s32(1 << (ENG_TAPS_BITS - 1));
    for (size_t i = 0; i < n; i += 16) {
        int32x4_t s[4] = {half, half, half, half};
        for (int j = 0; j < taps; j++) {
            uint8x16_t v = vld1q_u8(rows[j] + i);
            uint16x8_t low = vmovl_u8(vget_low_u8(v)), high = vmovl_high_u8(v);
            int32_t k = coef[j];
            s[0] = vmlaq_n_s32(s[0], vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), k);
            s[1] = vmlaq_n_s32(s[1], vreinterpretq_s32_u32(vmovl_high_u16(low)), k);
            s[2] = vmlaq_n_s32(s[2], vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), k);
            s[3] = vmlaq_n_s32(s[3], vreinterpretq_s32_u32(vmovl_high_u16(high)), k);
        }
        uint32x2_t low =
            vzip1_u32(vreinterpret_u32_u8(clip(s[0])), vreinterpret_u32_u8(clip(s[1])));
        uint32x2_t high =
            vzip1_u32(vreinterpret_u32_u8(clip(s[2])), vreinterpret_u32_u8(clip(s[3])));
        vst1q_u8(dst + i, vcombine_u8(vreinterpret_u8_u32(low), vreinterpret_u8_u32(high)));
    }
}

const struct eng_resize_kernels eng_resize_neon = {
    "neon", ENG_CPU_NEON, NULL, NULL, across, down,
};
