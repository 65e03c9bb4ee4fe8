/* Coefficients in double, normalised, then rounded to fixed point: the algorithm and the order of
 * operations are those of Pillow's Resample.c (precompute_coeffs, normalize_coeffs_8bpc), so that
 * the integers come out equal. */
#include "engine/image/taps.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/image/fold.h"

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys' cubic convolution with a = -0.5. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static const struct {
    double (*weight)(double);
    double support; /* at scale 1 */
    int antialias;  /* support grows with the scale */
} filters[] = {
    [ENG_FILTER_BILINEAR] = {triangle, 1.0, 1},    [ENG_FILTER_BICUBIC] = {cubic, 2.0, 1},
    [ENG_FILTER_NEAREST] = {NULL, 0.0, 0},         [ENG_FILTER_AREA] = {box, 0.5, 1},
    [ENG_FILTER_TF_BILINEAR] = {triangle, 1.0, 0},
};

/* Counts from the crop's edge, as after Pillow's crop(): from the picture's edge, other ties of
 * nearest and area would go the other way. */
struct axis {
    double scale, support, inverse;
    int size; /* of the crop */
    enum eng_filter filter;
    double nearest; /* running centre, see nearest_start() */
};

static int32_t fixed_point(double k)
{
    double v = k * (1 << ENG_TAPS_BITS);
    return (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Pillow walks to the nearest pixel by repeated addition; its rounding errors decide ties, so the
 * same walk is made here, but for absurd enlargements. */
static double nearest_start(const struct axis *a, uint64_t first)
{
    if (first > 1000000)
        return ((double)first + 0.5) * a->scale;
    double center = a->scale * 0.5;
    for (uint64_t i = 0; i < first; i++)
        center += a->scale;
    return center;
}

/* Taps of output i of the whole resized axis, in upright order: start, and their number. */
static int weigh(struct axis *a, uint64_t i, double *w, int *ret_first)
{
    if (a->filter == ENG_FILTER_NEAREST) {
        *ret_first = clamp((int)a->nearest, 0, a->size - 1);
        a->nearest += a->scale;
        w[0] = 1.0;
        return 1;
    }
    double center = ((double)i + 0.5) * a->scale;
    int first = clamp((int)(center - a->support + 0.5), 0, a->size - 1);
    int end = clamp((int)(center + a->support + 0.5), first + 1, a->size);
    double sum = 0.0;
    for (int j = first; j < end; j++) {
        w[j - first] = filters[a->filter].weight((j - center + 0.5) * a->inverse);
        sum += w[j - first];
    }
    for (int j = first; j < end; j++)
        w[j - first] = sum != 0.0 ? w[j - first] / sum : 1.0 / (end - first);
    *ret_first = first;
    return end - first;
}

static void reverse(double *w, int n)
{
    for (int i = 0; i < n / 2; i++) {
        double x = w[i];
        w[i] = w[n - 1 - i];
        w[n - 1 - i] = x;
    }
}

/* Row i of the table from n weights; zeros at the ends are dropped where the kernel has none
 * inside, so starts and ends stay sorted, which the ring of rows needs. */
static void store(struct eng_taps *t, int i, const double *w, int first, int n, int trim)
{
    int32_t *k = t->coef + (size_t)i * (size_t)t->stride;
    for (int j = 0; j < n; j++)
        k[j] = fixed_point(w[j]);
    int zeros = 0;
    while (trim && zeros < n - 1 && k[zeros] == 0)
        zeros++;
    while (trim && n - 1 > zeros && k[n - 1] == 0)
        n--;
    n -= zeros;
    memmove(k, k + zeros, (size_t)n * sizeof(*k));
    memset(k + n, 0, (size_t)(t->stride - n) * sizeof(*k));
    first += zeros;
    t->first[i] = first;
    t->used[i] = n;
    if (n > t->longest)
        t->longest = n;
    if ((uint32_t)first < t->lo)
        t->lo = (uint32_t)first;
    if ((uint32_t)(first + n) > t->hi)
        t->hi = (uint32_t)(first + n);
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* most: longest row of weights of full-size pixels; stride: longest row of coefficients. */
static int reserve(struct eng_taps *t, int count, int most, int stride)
{
    size_t n = (size_t)count, work = aligned((size_t)most * sizeof(double));
    size_t folded = aligned((size_t)stride * sizeof(double));
    size_t coefs = eng_size(n * sizeof(int32_t), (size_t)stride, 0);
    size_t total = eng_size(n, 2 * sizeof(int), work + folded);
    if (__builtin_add_overflow(coefs, total, &total) || eng_buffer_reserve(&t->memory, total) < 0)
        return -ENOMEM;
    char *p = t->memory.data;
    t->work = (double *)p;
    t->folded = (double *)(p + work);
    t->coef = (int32_t *)(p + work + folded);
    t->first = (int *)(p + work + folded + coefs);
    t->used = t->first + n;
    t->count = count;
    t->stride = stride;
    t->longest = 0;
    t->lo = UINT32_MAX;
    t->hi = 0;
    return 0;
}

static struct axis make_axis(const struct eng_span *span, enum eng_filter filter)
{
    struct axis a = {.size = (int)(span->in1 - span->in0), .filter = filter};
    a.scale = (double)a.size / (double)span->full;
    double filter_scale = a.scale < 1.0 || !filters[filter].antialias ? 1.0 : a.scale;
    a.support = filters[filter].support * filter_scale;
    a.inverse = 1.0 / filter_scale;
    a.nearest = nearest_start(&a, span->first);
    return a;
}

/* Rows as short as the longest in use: the bound by which they were reserved is generous, and
 * kernels run whole rows. */
static void compact(struct eng_taps *t)
{
    int stride = (t->longest + 3) & ~3;
    if (stride >= t->stride)
        return;
    for (size_t i = 1; i < (size_t)t->count; i++)
        memmove(t->coef + i * (size_t)stride, t->coef + i * (size_t)t->stride,
                (size_t)stride * sizeof(*t->coef));
    t->stride = stride;
}

int eng_taps_build(struct eng_taps *t, const struct eng_span *span, uint32_t in, int denominator,
                   int flip, enum eng_filter filter)
{
    struct axis a = make_axis(span, filter);
    int most = (int)ceil(a.support) * 2 + 1, d = denominator;
    if (most > a.size)
        most = a.size;
    int longest = d == 1 ? most : most / d + 2 + 2 * ENG_FOLD_EXTRA;
    if (reserve(t, span->count, most, (longest + 3) & ~3) < 0)
        return -ENOMEM;
    struct eng_fold fold;
    if (d > 1)
        eng_fold_init(&fold, d);
    int blocks = (int)((in + (uint32_t)d - 1) / (uint32_t)d);
    int trim = d == 1 && filters[filter].weight == triangle;
    for (int i = 0; i < span->count; i++) {
        int first, n = weigh(&a, span->first + (uint64_t)i, t->work, &first);
        first += (int)span->in0;
        if (flip) {
            reverse(t->work, n);
            first = (int)in - first - n;
        }
        if (d > 1) {
            n = eng_fold_run(&fold, t->work, first, n, blocks, t->folded, &first);
            store(t, i, t->folded, first, n, trim);
        } else {
            store(t, i, t->work, first, n, trim);
        }
    }
    t->end = (int)t->hi;
    compact(t);
    return 0;
}

void eng_taps_shift(struct eng_taps *t, uint32_t x0)
{
    for (int i = 0; i < t->count; i++)
        t->first[i] -= (int)x0;
    t->end -= (int)x0;
}

int eng_taps_start(const struct eng_taps *t, int i, int *ret_zeros)
{
    int last = t->end > t->stride ? t->end - t->stride : 0;
    *ret_zeros = t->first[i] > last ? t->first[i] - last : 0;
    return t->first[i] - *ret_zeros;
}

void eng_taps_finish(struct eng_taps *t)
{
    eng_buffer_finish(&t->memory);
}
