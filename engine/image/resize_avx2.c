/* Resampling with AVX2, equal to the C version to the bit.
 *
 * A 22-bit coefficient is split into k = hi * 2^11 + lo, both of which fit 16 bits, so pmaddwd sums
 * pairs of taps exactly; the halves are put together in int32 at the end. */
#include <immintrin.h>
#include <string.h>

#include "engine/image/resize.h"

enum { SPLIT = 11, OUT3 = 2, OUT1 = 8, WORDS = 4 };

/* Two taps' halves in one dword each. */
static uint32_t high_pair(const int32_t *k)
{
    return (uint32_t)(uint16_t)(k[0] >> SPLIT) | (uint32_t)(uint16_t)(k[1] >> SPLIT) << 16;
}

static uint32_t low_pair(const int32_t *k)
{
    uint32_t mask = (1u << SPLIT) - 1;
    return ((uint32_t)k[0] & mask) | ((uint32_t)k[1] & mask) << 16;
}

/* Blocks of outputs: their offsets in bytes, then per group of 4 taps high and low halves of taps 0
 * and 1, of taps 2 and 3. RGB: by output (one register of 4 words each); grey: by word. */
static size_t block_bytes(const struct eng_taps *t, int out)
{
    return (size_t)out * 4 * (1 + WORDS * (size_t)t->stride / 4);
}

static size_t packed_bytes(const struct eng_taps *t, int n_channels)
{
    /* RGB goes by two blocks at a time. */
    int out = n_channels == 3 ? OUT3 : OUT1, step = n_channels == 3 ? 2 * OUT3 : OUT1;
    return block_bytes(t, out) * (size_t)((t->count + step - 1) / step * (step / out));
}

static const int32_t *row_of(const struct eng_taps *t, int i)
{
    return t->coef + (size_t)i * (size_t)t->stride;
}

static void pack(void *packed, const struct eng_taps *t, int n_channels)
{
    int out = n_channels == 3 ? OUT3 : OUT1, step = n_channels == 3 ? 2 * OUT3 : OUT1;
    size_t words = block_bytes(t, out) / 4;
    memset(packed, 0, packed_bytes(t, n_channels));
    for (int i = 0; i < (t->count + step - 1) / step * step; i++) {
        uint32_t *block = (uint32_t *)packed + words * (size_t)(i / out);
        int zeros, last = i < t->count ? i : t->count - 1;
        block[i % out] = (uint32_t)(eng_taps_start(t, last, &zeros) * n_channels);
        block += out;
        for (int j = 0; i < t->count && j < t->stride; j += 4, block += WORDS * out) {
            int32_t k[4];
            for (int m = 0; m < 4; m++)
                k[m] = j + m < zeros ? 0 : row_of(t, i)[j + m - zeros];
            uint32_t w[WORDS] = {high_pair(k), low_pair(k), high_pair(k + 2), low_pair(k + 2)};
            for (int m = 0; m < WORDS; m++)
                block[n_channels == 3 ? i % out * WORDS + m : m * out + i % out] = w[m];
        }
    }
}

struct sums {
    __m256i high, low;
};

static inline struct sums start(void)
{
    return (struct sums){_mm256_setzero_si256(), _mm256_set1_epi32(1 << (ENG_TAPS_BITS - 1))};
}

static inline void add(struct sums *s, __m256i pixels, __m256i high, __m256i low)
{
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(pixels, high));
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(pixels, low));
}

static inline __m256i whole(const struct sums *s)
{
    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(s->high, SPLIT), s->low),
                             ENG_TAPS_BITS);
}

/* Two outputs, one per lane, as dwords R G B 0. */
static inline __m256i two_rgb(const uint8_t *src, const uint8_t *packed, size_t groups)
{
    const __m256i taps01 =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 0, -1, 3, -1, 1,
                         -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m256i taps23 =
        _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1, 6, -1, 9, -1,
                         7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    int32_t at[OUT3];
    memcpy(at, packed, sizeof(at));
    const __m256i *k = (const __m256i *)(packed + 4 * OUT3);
    struct sums s = start();
    for (size_t g = 0; g < groups; g++, src += 12) {
        __m256i v = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(src + at[0]))),
            _mm_loadu_si128((const __m128i *)(src + at[1])), 1);
        __m256i w = _mm256_loadu_si256(k + g);
        add(&s, _mm256_shuffle_epi8(v, taps01), _mm256_shuffle_epi32(w, 0x00),
            _mm256_shuffle_epi32(w, 0x55));
        add(&s, _mm256_shuffle_epi8(v, taps23), _mm256_shuffle_epi32(w, 0xaa),
            _mm256_shuffle_epi32(w, 0xff));
    }
    return whole(&s);
}

static void across_rgb(uint8_t *dst, const uint8_t *src, const struct eng_taps *t,
                       const uint8_t *packed)
{
    /* After packing, the lanes hold the dwords of outputs 0 2 and 1 3. */
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 8, 9, 10, 4, 5, 6, 12, 13, 14, -1, -1, -1, -1);
    size_t groups = (size_t)t->stride / 4, bytes = block_bytes(t, OUT3);
    for (int i = 0; i < t->count; i += 2 * OUT3, packed += 2 * bytes, dst += 6 * OUT3) {
        __m256i a = two_rgb(src, packed, groups), b = two_rgb(src, packed + bytes, groups);
        __m256i v = _mm256_packs_epi32(a, b);
        v = _mm256_packus_epi16(v, v);
        __m128i out = _mm_unpacklo_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(out, squeeze));
    }
}

static void across_grey(uint8_t *dst, const uint8_t *src, const struct eng_taps *t,
                        const uint8_t *packed)
{
    const __m256i taps01 =
        _mm256_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1, 0, -1, 1, -1, 4,
                         -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
    const __m256i taps23 =
        _mm256_setr_epi8(2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1, 2, -1, 3, -1,
                         6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1);
    size_t groups = (size_t)t->stride / 4, bytes = block_bytes(t, OUT1);
    for (int i = 0; i < t->count; i += OUT1, packed += bytes, dst += OUT1) {
        __m256i at = _mm256_loadu_si256((const __m256i *)packed);
        const __m256i *k = (const __m256i *)(packed + 4 * OUT1);
        struct sums s = start();
        for (size_t g = 0; g < groups; g++, k += WORDS) {
            __m256i v = _mm256_i32gather_epi32((const int *)(src + 4 * g), at, 1);
            add(&s, _mm256_shuffle_epi8(v, taps01), _mm256_loadu_si256(k),
                _mm256_loadu_si256(k + 1));
            add(&s, _mm256_shuffle_epi8(v, taps23), _mm256_loadu_si256(k + 2),
                _mm256_loadu_si256(k + 3));
        }
        __m256i v = _mm256_packs_epi32(whole(&s), _mm256_setzero_si256());
        v = _mm256_packus_epi16(v, v);
        __m128i out = _mm_unpacklo_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storel_epi64((__m128i *)dst, out);
    }
}

static void across(uint8_t *dst, const uint8_t *src, const struct eng_taps *t, const void *packed,
                   int n_channels)
{
    if (n_channels == 3)
        across_rgb(dst, src, t, packed);
    else
        across_grey(dst, src, t, packed);
}

static void down(uint8_t *dst, const uint8_t *const *rows, const int32_t *coef, int taps, size_t n)
{
    const __m256i zero = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 32) {
        struct sums s[4] = {start(), start(), start(), start()};
        for (int j = 0; j < taps; j += 2) {
            __m256i a = _mm256_loadu_si256((const __m256i *)(rows[j] + i));
            __m256i b = _mm256_loadu_si256((const __m256i *)(rows[j + 1] + i));
            __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
            __m256i kh = _mm256_set1_epi32((int)high_pair(coef + j));
            __m256i kl = _mm256_set1_epi32((int)low_pair(coef + j));
            add(&s[0], _mm256_unpacklo_epi8(low, zero), kh, kl);
            add(&s[1], _mm256_unpackhi_epi8(low, zero), kh, kl);
            add(&s[2], _mm256_unpacklo_epi8(high, zero), kh, kl);
            add(&s[3], _mm256_unpackhi_epi8(high, zero), kh, kl);
        }
        __m256i low = _mm256_packs_epi32(whole(&s[0]), whole(&s[1]));
        __m256i high = _mm256_packs_epi32(whole(&s[2]), whole(&s[3]));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_packus_epi16(low, high));
    }
}

const struct eng_resize_kernels eng_resize_avx2 = {
    "avx2", ENG_CPU_AVX2, packed_bytes, pack, across, down,
};
