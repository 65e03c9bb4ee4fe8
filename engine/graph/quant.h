/* Quantised arithmetic shared by the reference operators and the planner, so that both speak of the
 * same numbers. Internal to engine/.
 *
 * The formulas are XNNPACK's (and ONNX Runtime's for QDQ models): an exact int32 sum, one fp32
 * product, rounded half to even, then the zero point as an integer and the clamp. */
#ifndef ENG_GRAPH_QUANT_H
#define ENG_GRAPH_QUANT_H

#include "engine/graph/graph.h"

/* Scale and zero point of channel c; per-tensor ones hold for every c. The tensor is quantised. */
float eng_quant_scale(const struct eng_tensor *t, int c);
int32_t eng_quant_zero(const struct eng_tensor *t, int c);
int eng_quant_is_per_channel(const struct eng_tensor *t);
int eng_is_quantised(const struct eng_tensor *t); /* u8 or i8 with a scale */

/* sx * sw / sy, all in fp32, in that order. */
float eng_quant_multiplier(const struct eng_tensor *x, const struct eng_tensor *w, int c,
                           const struct eng_tensor *y);

/* A node's clamp in quanta of y: zp + round(bound / scale), half away from zero, inside the type's
 * range (TFLite's CalculateActivationRange). */
struct eng_quant_range {
    int32_t zero_point, lo, hi;
};
struct eng_quant_range eng_quant_bounds(const struct eng_tensor *y, float lo, float hi);

/* clamp(rint(acc * scale) + zp, lo, hi); clamped as float first, so that no product is too large to
 * convert. */
int32_t eng_quant_round(float product, const struct eng_quant_range *r);

/* ADD: y = clamp(((a - za) * ka + (b - zb) * kb + 2^(shift-1)) >> shift) + zy), XNNPACK's qu8/qs8
 * vadd; the larger multiplier has 21 bits. */
struct eng_add_quant {
    int32_t za, zb, ka, kb;
    int shift;
    struct eng_quant_range range;
};
/* ENG_E_UNSUPPORTED if the larger of sa/sy, sb/sy is outside 2^-10 .. 2^8, XNNPACK's own range. */
int eng_add_quant_init(struct eng_add_quant *ret, const struct eng_tensor *a,
                       const struct eng_tensor *b, const struct eng_tensor *y, float lo, float hi);
static inline int32_t eng_add_round(const struct eng_add_quant *q, int32_t a, int32_t b)
{
    int32_t acc = (a - q->za) * q->ka + (b - q->zb) * q->kb + (1 << (q->shift - 1));
    int32_t v = (acc >> q->shift) + q->range.zero_point;
    return v < q->range.lo ? q->range.lo : v > q->range.hi ? q->range.hi : v;
}

/* Average over `count` pixels of a sum of raw quanta: (sum +- count/2) / count, half away from zero
 * (TFLite, XNNPACK: input and output share scale and zero point). */
int32_t eng_quant_average(int32_t sum, int32_t count);
/* As above where they do not: the product's scale is sx / (sy * count) in fp32. */
float eng_quant_mean_scale(const struct eng_tensor *x, const struct eng_tensor *y, int32_t count);
/* 1 if x and y have one scale and zero point. */
int eng_quant_same(const struct eng_tensor *x, const struct eng_tensor *y);

/* Requantise q of x to y: a 31-bit fixed-point multiplier of sx / sy, rounded once, half up. */
struct eng_rescale {
    int64_t multiplier;
    int shift;
    int32_t zx;
    struct eng_quant_range range;
};
struct eng_rescale eng_rescale_init(const struct eng_tensor *x, const struct eng_tensor *y);
/* The same as the operator QUANTIZE does it between two tensors of one type: XNNPACK's qu8/qs8
 * vcvt, whose multiplier is rint(256 * sx / sy), the ratio in fp32 and within 2^-8 .. 2^7. Outside
 * of that range, and from one type to the other, XNNPACK leaves the operator alone: as above. */
struct eng_rescale eng_convert_init(const struct eng_tensor *x, const struct eng_tensor *y);
int32_t eng_rescale_round(const struct eng_rescale *r, int32_t q);

#endif
