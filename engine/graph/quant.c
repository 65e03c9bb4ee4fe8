/* Quantised arithmetic: see quant.h. Compiled without ISA flags and without contraction. */
#include "engine/graph/quant.h"

#include <math.h>

int eng_is_quantised(const struct eng_tensor *t)
{
    return (t->type == ENG_U8 || t->type == ENG_I8) && t->quant.n > 0;
}

int eng_quant_is_per_channel(const struct eng_tensor *t)
{
    return t->quant.n > 1;
}

float eng_quant_scale(const struct eng_tensor *t, int c)
{
    return t->quant.scale[t->quant.n > 1 ? c : 0];
}

int32_t eng_quant_zero(const struct eng_tensor *t, int c)
{
    return t->quant.zero_point ? t->quant.zero_point[t->quant.n > 1 ? c : 0] : 0;
}

float eng_quant_multiplier(const struct eng_tensor *x, const struct eng_tensor *w, int c,
                           const struct eng_tensor *y)
{
    float product = eng_quant_scale(x, 0) * eng_quant_scale(w, c);
    return product / eng_quant_scale(y, 0);
}

static int32_t quantise_bound(float v, float scale, const struct eng_quant_range *r)
{
    float q = roundf(v / scale) + (float)r->zero_point;
    if (!(q > (float)r->lo)) /* also NaN */
        return r->lo;
    return q < (float)r->hi ? (int32_t)q : r->hi;
}

struct eng_quant_range eng_quant_bounds(const struct eng_tensor *y, float lo, float hi)
{
    struct eng_quant_range r = {.zero_point = eng_quant_zero(y, 0),
                                .lo = y->type == ENG_I8 ? -128 : 0,
                                .hi = y->type == ENG_I8 ? 127 : 255};
    int32_t qlo = quantise_bound(lo, eng_quant_scale(y, 0), &r);
    int32_t qhi = quantise_bound(hi, eng_quant_scale(y, 0), &r);
    r.lo = qlo;
    r.hi = qhi < qlo ? qlo : qhi;
    return r;
}

int32_t eng_quant_round(float product, const struct eng_quant_range *r)
{
    float lo = (float)(r->lo - r->zero_point), hi = (float)(r->hi - r->zero_point);
    product = product > lo ? product : lo;
    product = product < hi ? product : hi;
    return (int32_t)lrintf(product) + r->zero_point;
}

int eng_add_quant_init(struct eng_add_quant *ret, const struct eng_tensor *a,
                       const struct eng_tensor *b, const struct eng_tensor *y, float lo, float hi)
{
    float ra = eng_quant_scale(a, 0) / eng_quant_scale(y, 0);
    float rb = eng_quant_scale(b, 0) / eng_quant_scale(y, 0);
    float larger = ra > rb ? ra : rb;
    if (!(larger >= 0x1p-10f && larger < 0x1p8f))
        return ENG_E_UNSUPPORTED;
    int exponent;
    frexpf(larger, &exponent);
    int shift = 20 - (exponent - 1);
    *ret = (struct eng_add_quant){.za = eng_quant_zero(a, 0),
                                  .zb = eng_quant_zero(b, 0),
                                  .ka = (int32_t)lrint(ldexp(ra, shift)),
                                  .kb = (int32_t)lrint(ldexp(rb, shift)),
                                  .shift = shift,
                                  .range = eng_quant_bounds(y, lo, hi)};
    return 0;
}

int32_t eng_quant_average(int32_t sum, int32_t count)
{
    return sum > 0 ? (sum + count / 2) / count : -((-sum + count / 2) / count);
}

float eng_quant_mean_scale(const struct eng_tensor *x, const struct eng_tensor *y, int32_t count)
{
    float divisor = eng_quant_scale(y, 0) * (float)count;
    return eng_quant_scale(x, 0) / divisor;
}

int eng_quant_same(const struct eng_tensor *x, const struct eng_tensor *y)
{
    return x->type == y->type && eng_quant_scale(x, 0) == eng_quant_scale(y, 0) &&
           eng_quant_zero(x, 0) == eng_quant_zero(y, 0);
}

struct eng_rescale eng_rescale_init(const struct eng_tensor *x, const struct eng_tensor *y)
{
    struct eng_rescale r = {.zx = eng_quant_zero(x, 0),
                            .range = eng_quant_bounds(y, -INFINITY, INFINITY)};
    int exponent;
    double fraction =
        frexp((double)eng_quant_scale(x, 0) / (double)eng_quant_scale(y, 0), &exponent);
    r.multiplier = (int64_t)floor(fraction * 0x1p31 + 0.5);
    r.shift = 31 - exponent;
    /* |q - zx| < 2^9 and the multiplier is at most 2^31: past these ends the answer is 0 or the end
     * of the range, which these values give too. */
    if (r.shift > 62)
        r.shift = 62, r.multiplier = 0;
    if (r.shift < 1)
        r.shift = 1;
    return r;
}

struct eng_rescale eng_convert_init(const struct eng_tensor *x, const struct eng_tensor *y)
{
    struct eng_rescale r = eng_rescale_init(x, y);
    float ratio = eng_quant_scale(x, 0) / eng_quant_scale(y, 0);
    if (x->type == y->type && ratio >= 0x1p-8f && ratio < 0x1p7f) {
        r.multiplier = lrintf(256.0f * ratio);
        r.shift = 8;
    }
    return r;
}

int32_t eng_rescale_round(const struct eng_rescale *r, int32_t q)
{
    int64_t v = ((q - r->zx) * r->multiplier + ((int64_t)1 << (r->shift - 1))) >> r->shift;
    v += r->range.zero_point;
    return (int32_t)(v < r->range.lo ? r->range.lo : v > r->range.hi ? r->range.hi : v);
}
