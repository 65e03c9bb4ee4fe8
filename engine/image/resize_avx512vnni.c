/* Resampling with AVX-512 VNNI and VBMI, equal to the C version to the bit.
 *
 * A 22-bit coefficient is split into three signed bytes, k = d2 * 2^16 + d1 * 2^8 + d0, and
 * vpdpbusd sums four taps of u8 pixels per byte plane; the planes are put together in int32 at the
 * end. All of it is exact, so the order of the sums does not matter. */
#include <immintrin.h>
#include <string.h>

#include "engine/image/resize.h"

enum { OUT3 = 4, OUT1 = 16, PLANES = 3, KEPT = 16 };

static void split(int8_t d[PLANES], int32_t k)
{
    d[0] = (int8_t)k;
    k = (k - d[0]) >> 8;
    d[1] = (int8_t)k;
    d[2] = (int8_t)((k - d[1]) >> 8);
}

/* Blocks of 4 (RGB) or 16 (grey) outputs; a block holds, per group of 4 taps, per plane, one dword
 * per output; before them the offsets of the outputs' first pixels, in bytes. */
static size_t block_bytes(const struct eng_taps *t, int out)
{
    return (size_t)out * 4 * (1 + PLANES * (size_t)t->stride / 4);
}

static size_t packed_bytes(const struct eng_taps *t, int n_channels)
{
    int out = n_channels == 3 ? OUT3 : OUT1;
    return block_bytes(t, out) * (size_t)((t->count + out - 1) / out);
}

static void pack(void *packed, const struct eng_taps *t, int n_channels)
{
    int out = n_channels == 3 ? OUT3 : OUT1;
    size_t bytes = block_bytes(t, out);
    memset(packed, 0, packed_bytes(t, n_channels));
    for (int i = 0; i < (t->count + out - 1) / out * out; i++) {
        int8_t *block = (int8_t *)packed + bytes * (size_t)(i / out);
        int zeros, last = i < t->count ? i : t->count - 1;
        int32_t offset = eng_taps_start(t, last, &zeros) * n_channels;
        memcpy(block + 4 * (i % out), &offset, 4);
        for (int j = zeros; i < t->count && j < t->stride; j++) {
            int8_t d[PLANES];
            split(d, t->coef[(size_t)i * (size_t)t->stride + (size_t)(j - zeros)]);
            for (int p = 0; p < PLANES; p++)
                block[4 * out + (j / 4 * PLANES + p) * 4 * out + 4 * (i % out) + j % 4] = d[p];
        }
    }
}

struct sums {
    __m512i plane[PLANES];
};

static inline struct sums start(void)
{
    __m512i zero = _mm512_setzero_si512();
    return (struct sums){{_mm512_set1_epi32(1 << (ENG_TAPS_BITS - 1)), zero, zero}};
}

static inline __m512i whole(const struct sums *s)
{
    __m512i high = _mm512_slli_epi32(s->plane[2], 16), mid = _mm512_slli_epi32(s->plane[1], 8);
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(high, mid), s->plane[0]),
                             ENG_TAPS_BITS);
}

/* 16 int32 to 16 bytes, clipped. */
static inline __m128i clip(__m512i v)
{
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512()));
}

static inline __attribute__((always_inline)) void rgb_blocks(uint8_t *dst, const uint8_t *src,
                                                             const struct eng_taps *t,
                                                             const uint8_t *packed, size_t groups)
{
    /* Four outputs' pixels lie in four lanes, RGBRGB...; wanted is a lane per channel. */
    uint8_t order[64];
    for (int i = 0; i < 64; i++)
        order[i] = (uint8_t)(i < 48 ? i % 16 / 4 * 16 + i % 4 * 3 + i / 16 : 0);
    const __m512i by_channel = _mm512_loadu_si512(order);
    const __m128i interleave = _mm_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1);
    size_t bytes = block_bytes(t, OUT3);
    for (int i = 0; i < t->count; i += OUT3, packed += bytes, dst += 3 * OUT3) {
        int32_t at[OUT3];
        memcpy(at, packed, sizeof(at));
        const __m128i *k = (const __m128i *)(packed + 4 * OUT3);
        struct sums s = start();
        for (size_t g = 0; g < groups; g++, k += PLANES) {
            const uint8_t *p = src + 12 * g;
            __m256i low = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(p + at[0]))),
                _mm_loadu_si128((const __m128i *)(p + at[1])), 1);
            __m256i high = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(p + at[2]))),
                _mm_loadu_si128((const __m128i *)(p + at[3])), 1);
            __m512i v = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
            v = _mm512_permutexvar_epi8(by_channel, v);
            for (int d = 0; d < PLANES; d++)
                s.plane[d] = _mm512_dpbusd_epi32(s.plane[d], v, _mm512_broadcast_i32x4(k[d]));
        }
        _mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(clip(whole(&s)), interleave));
    }
}

/* Up to 8 taps, which is what pictures of ordinary size have, without an inner loop. */
static void across_rgb(uint8_t *dst, const uint8_t *src, const struct eng_taps *t,
                       const uint8_t *packed)
{
    if (t->stride == 4)
        rgb_blocks(dst, src, t, packed, 1);
    else if (t->stride == 8)
        rgb_blocks(dst, src, t, packed, 2);
    else
        rgb_blocks(dst, src, t, packed, (size_t)t->stride / 4);
}

static void across_grey(uint8_t *dst, const uint8_t *src, const struct eng_taps *t,
                        const uint8_t *packed)
{
    size_t groups = (size_t)t->stride / 4, bytes = block_bytes(t, OUT1);
    for (int i = 0; i < t->count; i += OUT1, packed += bytes, dst += OUT1) {
        __m512i at = _mm512_loadu_si512(packed);
        const uint8_t *k = packed + 4 * OUT1;
        struct sums s = start();
        for (size_t g = 0; g < groups; g++) {
            __m512i v = _mm512_i32gather_epi32(at, src + 4 * g, 1);
            for (int d = 0; d < PLANES; d++, k += 4 * OUT1)
                s.plane[d] = _mm512_dpbusd_epi32(s.plane[d], v, _mm512_loadu_si512(k));
        }
        _mm_storeu_si128((__m128i *)dst, clip(whole(&s)));
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

/* 64 bytes of each of four rows to 4 x 16 dwords of four rows each; packing later undoes the order
 * within lanes. */
static inline void by_four_rows(__m512i v[4], const uint8_t *const *rows, size_t i)
{
    __m512i a = _mm512_loadu_si512(rows[0] + i), b = _mm512_loadu_si512(rows[1] + i);
    __m512i c = _mm512_loadu_si512(rows[2] + i), d = _mm512_loadu_si512(rows[3] + i);
    __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
    v[0] = _mm512_unpacklo_epi16(ab0, cd0);
    v[1] = _mm512_unpackhi_epi16(ab0, cd0);
    v[2] = _mm512_unpacklo_epi16(ab1, cd1);
    v[3] = _mm512_unpackhi_epi16(ab1, cd1);
}

/* Four coefficients as one dword per plane. */
static inline void split_group(int32_t words[PLANES], const int32_t *coef)
{
    int8_t d[PLANES][4], one[PLANES];
    for (int j = 0; j < 4; j++) {
        split(one, coef[j]);
        for (int p = 0; p < PLANES; p++)
            d[p][j] = one[p];
    }
    memcpy(words, d, sizeof(d));
}

static inline void add_group(struct sums s[4], const uint8_t *const *rows, size_t i,
                             const int32_t words[PLANES])
{
    __m512i v[4];
    by_four_rows(v, rows, i);
    for (int p = 0; p < PLANES; p++) {
        __m512i k = _mm512_set1_epi32(words[p]);
        for (int q = 0; q < 4; q++)
            s[q].plane[p] = _mm512_dpbusd_epi32(s[q].plane[p], v[q], k);
    }
}

static inline void store(uint8_t *dst, const struct sums s[4])
{
    __m512i low = _mm512_packs_epi32(whole(&s[0]), whole(&s[1]));
    __m512i high = _mm512_packs_epi32(whole(&s[2]), whole(&s[3]));
    _mm512_storeu_si512(dst, _mm512_packus_epi16(low, high));
}

static void down(uint8_t *dst, const uint8_t *const *rows, const int32_t *coef, int taps, size_t n)
{
    int32_t words[KEPT][PLANES];
    for (int j = 0; j < taps && j / 4 < KEPT; j += 4)
        split_group(words[j / 4], coef + j);
    for (size_t i = 0; i < n; i += 64) {
        struct sums s[4] = {start(), start(), start(), start()};
        int j = 0;
        for (; j < taps && j / 4 < KEPT; j += 4)
            add_group(s, rows + j, i, words[j / 4]);
        for (; j < taps; j += 4) {
            int32_t more[PLANES];
            split_group(more, coef + j);
            add_group(s, rows + j, i, more);
        }
        store(dst + i, s);
    }
}

const struct eng_resize_kernels eng_resize_avx512vnni = {
    "avx512vnni", ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    packed_bytes, pack,
    across,       down,
};
