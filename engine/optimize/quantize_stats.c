/* Histograms that widen as values come (so one pass is enough), and the ranges read off them. */
#include "engine/optimize/quantize_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { BINS = ENG_QSTAT_BINS, STEPS = 64, FIRST_STEP = 12 };

int eng_qstat_init(struct eng_qstat *s, int channels)
{
    *s = (struct eng_qstat){.channels = channels};
    s->peak = calloc((size_t)channels, sizeof(*s->peak));
    s->sum = calloc((size_t)channels, sizeof(*s->sum));
    return s->peak && s->sum ? 0 : -ENOMEM;
}

void eng_qstat_finish(struct eng_qstat *s)
{
    free(s->peak);
    free(s->sum);
    s->peak = NULL;
    s->sum = NULL;
}

void eng_qstat_peaks(struct eng_qstat *s, const float *v, size_t n)
{
    size_t channels = (size_t)s->channels;
    for (size_t i = 0; i + channels <= n; i += channels)
        for (size_t c = 0; c < channels; c++)
            s->peak[c] = fmaxf(s->peak[c], fabsf(v[i + c]));
}

/* Two bins become one, around the middle. */
static void widen(struct eng_qstat *s)
{
    double half[BINS / 2];
    for (int i = 0; i < BINS / 2; i++)
        half[i] = s->bins[2 * i] + s->bins[2 * i + 1];
    for (int i = 0; i < BINS; i++)
        s->bins[i] = i >= BINS / 4 && i < BINS / 4 * 3 ? half[i - BINS / 4] : 0;
    s->reach *= 2;
}

void eng_qstat_add(struct eng_qstat *s, const float *v, size_t n)
{
    size_t channels = (size_t)s->channels;
    float lo = s->min, hi = s->max;
    for (size_t i = 0; i < n; i++) {
        lo = fminf(lo, v[i]);
        hi = fmaxf(hi, v[i]);
    }
    s->min = lo;
    s->max = hi;
    double most = fmax(-(double)lo, (double)hi);
    if (!isfinite(most))
        return;
    if (s->reach == 0)
        s->reach = 0x1p-20;
    while (s->reach <= most)
        widen(s);
    double inverse = BINS / 2 / s->reach;
    for (size_t i = 0; i + channels <= n; i += channels)
        for (size_t c = 0; c < channels; c++) {
            s->sum[c] += (double)v[i + c];
            s->bins[(int)(((double)v[i + c] + s->reach) * inverse)]++;
        }
    s->pixels += (double)(n / channels);
}

/* Squared error of cutting everything beyond `edge` (on the side of its sign) off. */
static double cut_error(const struct eng_qstat *s, double edge)
{
    double width = 2 * s->reach / BINS, sum = 0;
    for (int i = 0; i < BINS; i++) {
        double v = (i + 0.5) * width - s->reach, over = edge >= 0 ? v - edge : edge - v;
        if (over > 0 && (v >= 0) == (edge >= 0))
            sum += s->bins[i] * over * over;
    }
    return sum;
}

/* Rounding costs scale^2/12 a value, but nothing at zero, which is always a quantum. */
static void least_error(const struct eng_qstat *s, float *lo, float *hi)
{
    double cut[2][STEPS + 1], values = 0, best = INFINITY;
    double ends[2] = {(double)*lo, (double)*hi};
    for (int i = 0; i < BINS; i++)
        values += i == BINS / 2 || i == BINS / 2 - 1 ? 0 : s->bins[i];
    for (int k = FIRST_STEP; k <= STEPS; k++)
        for (int e = 0; e < 2; e++)
            cut[e][k] = ends[e] == 0 ? 0 : cut_error(s, ends[e] * k / STEPS);
    for (int a = ends[0] == 0 ? STEPS : FIRST_STEP; a <= STEPS; a++)
        for (int b = ends[1] == 0 ? STEPS : FIRST_STEP; b <= STEPS; b++) {
            double scale = (ends[1] * b - ends[0] * a) / STEPS / 255;
            double error = cut[0][a] + cut[1][b] + values * scale * scale / 12;
            if (error < best) {
                best = error;
                *lo = (float)(ends[0] * a / STEPS);
                *hi = (float)(ends[1] * b / STEPS);
            }
        }
}

static void percentile(const struct eng_qstat *s, double tail, float *lo, float *hi)
{
    double all = 0, width = 2 * s->reach / BINS, below = 0, above = 0;
    int first = 0, last = BINS - 1;
    for (int i = 0; i < BINS; i++)
        all += s->bins[i];
    while (first < BINS - 1 && (below += s->bins[first]) <= all * tail)
        first++;
    while (last > 0 && (above += s->bins[last]) <= all * tail)
        last--;
    *lo = fmaxf(*lo, fminf(0, (float)(first * width - s->reach)));
    *hi = fminf(*hi, fmaxf(0, (float)((last + 1) * width - s->reach)));
}

void eng_qstat_range(const struct eng_qstat *s, const struct eng_quantize_options *o, float *ret_lo,
                     float *ret_hi)
{
    float lo = fminf(s->min, 0), hi = fmaxf(s->max, 0);
    if (s->reach > 0 && o->method == ENG_QUANTIZE_MSE)
        least_error(s, &lo, &hi);
    else if (s->reach > 0 && o->method == ENG_QUANTIZE_PERCENTILE)
        percentile(s, o->tail, &lo, &hi);
    *ret_lo = lo;
    *ret_hi = hi;
}
