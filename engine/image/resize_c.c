/* The resampling loops in plain C: what is right. */
#include "engine/image/resize.h"

static uint8_t clip8(int32_t sum)
{
    int32_t v = sum >> ENG_TAPS_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void across(uint8_t *dst, const uint8_t *src, const struct eng_taps *t, const void *packed,
                   int n_channels)
{
    (void)packed;
    for (int i = 0; i < t->count; i++) {
        const int32_t *k = t->coef + (size_t)i * (size_t)t->stride;
        const uint8_t *p = src + (ptrdiff_t)t->first[i] * n_channels;
        for (int c = 0; c < n_channels; c++) {
            int32_t sum = 1 << (ENG_TAPS_BITS - 1);
            for (int j = 0; j < t->used[i]; j++)
                sum += k[j] * p[j * n_channels + c];
            *dst++ = clip8(sum);
        }
    }
}

static void down(uint8_t *dst, const uint8_t *const *rows, const int32_t *coef, int taps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 1 << (ENG_TAPS_BITS - 1);
        for (int j = 0; j < taps; j++)
            sum += coef[j] * rows[j][i];
        dst[i] = clip8(sum);
    }
}

const struct eng_resize_kernels eng_resize_c = {"c", 0, NULL, NULL, across, down};
