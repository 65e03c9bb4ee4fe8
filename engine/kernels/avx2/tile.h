/* What the u8 kernels share on AVX2: panels, requantisation, and the register tiles of the
 * pointwise, 1 to 4 pixels x 16 channels.
 *
 * Words of int16, as bytes would saturate in vpmaddubsw. A vpmaddwd and the vpaddd behind it
 * compete for the same pipes on Zen, which leaves 80 % of the products that vpmaddwd alone could
 * do; so half of the products are traded for additions (Winograd's inner product):
 *
 *     x0 w0 + x1 w1 = (x0 + w1)(x1 + w0) - x0 x1 - w0 w1
 *
 * The last term goes into the bias, the one before is `cross`, a sum of each pixel. All of it is
 * exact modulo 2^32. */
#ifndef ENG_KERNELS_AVX2_TILE_H
#define ENG_KERNELS_AVX2_TILE_H

#include <string.h>

#include "engine/kernels/avx2/u8_256.h"
#include "engine/kernels/requant.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    MR = 4,
    STEP = 4, /* k that an int32 lane takes at once */
    PIXEL_CELLS = ENG_BLOCK,
    BLOCK_CELLS = MR * PIXEL_CELLS, /* a channel block of a tile: [2 pixels][8 even channels, 8 odd
                                       channels][pixel] */
    ODD = PIXEL_CELLS,              /* from even channels of a pixel to odd ones */
    BLOCK_WEIGHTS = ENG_BLOCK * NR,
};

/* What a panel needs beside its weights, in order of lanes. */
struct panel {
    int32_t bias[NR]; /* for products as they are */
    int32_t bias_of_tiles[NR];
    float scale[NR];
    int32_t far; /* some scale may take a sum out of int32 */
    int32_t zw;
    int32_t narrow; /* at most LANES channels exist: one vector of them, in their own order */
    int32_t few;    /* pointwise: so few k that tiles take products as they are */
    int32_t unused[12];
};

static inline int is_narrow(int channels)
{
    return channels <= LANES;
}

/* Where channel c of a block stands among its lanes. */
static inline int place_of(int c)
{
    int at = 0;
    while (lane_of[at] != c)
        at++;
    return at;
}

/* Where the weight of output channel n of a panel and input k stands in the order of the tiles,
 * [k16 / STEP][NR / LANES][odd k, even k][LANES][2]. */
static inline int weight_at(int n, int k)
{
    int lane = place_of(n);
    int row = (k / STEP * (NR / LANES) + lane / LANES) * 2 + (k % 2 == 0);
    return (row * LANES + lane % LANES) * 2 + k % STEP / 2;
}

/* Canonical weights of output channel n. */
struct channel {
    const uint8_t *w; /* [k] */
    int k, zw, zx;
    int32_t bias;
    float scale;
};

/* Returns the lane of the channel. */
static inline int pack_channel(struct panel *p, int n, const struct channel *c)
{
    int lane = p->narrow ? n : place_of(n);
    int32_t bias = c->bias;
    for (int k = 0; k < c->k; k++)
        bias = eng_add32(bias, -c->zx * (c->w[k] - c->zw));
    p->bias[lane] = bias;
    for (int k = 0; k + 1 < c->k; k += 2) /* what tiles add */
        bias = eng_add32(bias, -(c->w[k] - c->zw) * (c->w[k + 1] - c->zw));
    p->bias_of_tiles[lane] = bias;
    p->scale[lane] = c->scale;
    p->far |= !(c->scale < 1 && c->scale > -1);
    return lane;
}

/* 16 activations of each of MR neighbouring pixels as cells; ret_cross += their products of
 * neighbours, in parts. */
INLINE void lay_pixels(int16_t *to, const uint8_t *from, vec ret_cross[2])
{
    const vec low = _mm256_set1_epi16(0xff);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++, from += 2 * ENG_BLOCK, to += 2 * PIXEL_CELLS) {
        vec both = v_load(from), even = _mm256_and_si256(both, low);
        vec odd = _mm256_srli_epi16(both, 8);
        _mm256_store_si256((vec *)(void *)to, even);
        _mm256_store_si256((vec *)(void *)(to + ODD), odd);
        ret_cross[i] = v_add(ret_cross[i], _mm256_madd_epi16(even, odd));
    }
}

/* The sums of the parts of each pixel. */
INLINE void add_parts(int32_t ret[MR], const vec cross[2])
{
    vec sums = _mm256_hadd_epi32(cross[0], cross[1]);
    sums = _mm256_hadd_epi32(sums, sums);
    __m128i all =
        _mm_unpacklo_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    _mm_storeu_si128((__m128i *)(void *)ret, all);
}

/* Neighbouring pixels against one panel. */
struct tiles {
    const int16_t *x, *w; /* the first of `blocks` channel blocks */
    size_t cells;         /* of a tile */
    int blocks, pixels;
    const int32_t *bias;  /* sums start from it; NULL: they go on */
    const int32_t *cross; /* of each pixel, taken off; NULL: not now */
    vec (*sums)[NR / LANES];
};

/* Volatile assembly: gcc 12 hoists broadcasts and then spills. Eight sums, four vectors of weights
 * and four of its own fill the registers. Addresses are one pointer and constants: with an index
 * register the tile takes a fifth longer. */
#define TILE_PIXEL(acc, x)                                                                         \
    do {                                                                                           \
        vec even, odd, even1, odd1;                                                                \
        __asm__ volatile("vpbroadcastd %[x0], %[even1]\n\t"                                        \
                         "vpbroadcastd %[x1], %[odd1]\n\t"                                         \
                         "vpaddw %[w0], %[even1], %[even]\n\t"                                     \
                         "vpaddw %[w1], %[odd1], %[odd]\n\t"                                       \
                         "vpaddw %[w2], %[even1], %[even1]\n\t"                                    \
                         "vpaddw %[w3], %[odd1], %[odd1]\n\t"                                      \
                         "vpmaddwd %[even], %[odd], %[even]\n\t"                                   \
                         "vpmaddwd %[even1], %[odd1], %[even1]\n\t"                                \
                         "vpaddd %[even], %[c0], %[c0]\n\t"                                        \
                         "vpaddd %[even1], %[c1], %[c1]"                                           \
                         : [c0] "+x"((acc)[0]), [c1] "+x"((acc)[1]), [even] "=&x"(even),           \
                           [odd] "=&x"(odd), [even1] "=&x"(even1), [odd1] "=&x"(odd1)              \
                         : [x0] "m"(*(const int32_t *)(const void *)(x)),                          \
                           [x1] "m"(*(const int32_t *)(const void *)((x) + ODD)), [w0] "x"(w0),    \
                           [w1] "x"(w1), [w2] "x"(w2), [w3] "x"(w3));                              \
    } while (0)

INLINE void tile_steps(vec acc[MR][NR / LANES], const int16_t *x, const int16_t *w, int mr, int n)
{
    enum { WORDS = LANES * 2 };
#pragma GCC unroll 4
    for (int s = 0; s < n; s++, w += 4 * WORDS) {
        const vec w0 = v_load(w), w1 = v_load(w + WORDS), w2 = v_load(w + 2 * WORDS),
                  w3 = v_load(w + 3 * WORDS);
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++)
            TILE_PIXEL(acc[i], x + i / 2 * 2 * PIXEL_CELLS + i % 2 * LANES + s * 2);
    }
}

/* `tail`: steps behind the last whole block. */
INLINE void tile_run(const struct tiles *t, const int16_t *x, int pixel, int mr, int tail)
{
    const int16_t *w = t->w;
    vec acc[MR][NR / LANES], (*sums)[NR / LANES] = t->sums + pixel;
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
        for (int v = 0; v < NR / LANES; v++)
            acc[i][v] = t->bias ? v_load(t->bias + v * LANES) : sums[i][v];
    if (t->cross)
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
            for (int v = 0; v < NR / LANES; v++)
                acc[i][v] = _mm256_sub_epi32(acc[i][v], v_set1(t->cross[pixel + i]));
    for (int b = t->blocks; b > 0; b--, x += BLOCK_CELLS, w += BLOCK_WEIGHTS)
        tile_steps(acc, x, w, mr, ENG_BLOCK / STEP);
    tile_steps(acc, x, w, mr, tail);
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
        for (int v = 0; v < NR / LANES; v++)
            sums[i][v] = acc[i][v];
}

/* Only the last tile has fewer than MR pixels. */
INLINE void tiles_run(const struct tiles *t, int tail)
{
    const int16_t *x = t->x;
    int i = 0;
    for (; i + MR <= t->pixels; i += MR, x += t->cells)
        tile_run(t, x, i, MR, tail);
    if (t->pixels - i == 1)
        tile_run(t, x, i, 1, tail);
    else if (t->pixels - i == 2)
        tile_run(t, x, i, 2, tail);
    else if (t->pixels - i == 3)
        tile_run(t, x, i, 3, tail);
}

/* What follows a sum: nothing beyond the saturation of packs (zero point 0, all of u8), a zero
 * point and bounds, or these and a bound before the conversion to int. */
enum level { PLAIN, BOUNDED, FAR };

struct finish {
    __m256 hi;
    __m256i zero, least, most;
    enum level level; /* of panels that are not far */
};

static inline struct finish finish_load(const struct eng_requant *rq)
{
    return (struct finish){.hi = _mm256_set1_ps((float)(rq->hi - rq->zero_point)),
                           .zero = _mm256_set1_epi16((short)rq->zero_point),
                           .least = _mm256_set1_epi8((char)rq->lo),
                           .most = _mm256_set1_epi8((char)rq->hi),
                           .level = rq->zero_point == 0 && rq->lo == 0 && rq->hi == 255 ? PLAIN
                                                                                        : BOUNDED};
}

/* 16 channels of a pixel as int16, in order of lanes. */
INLINE vec finish_pixel(const vec sums[2], const __m256 scale[2], const struct finish *f,
                        enum level level)
{
    __m256 y[2];
    for (int v = 0; v < 2; v++) {
        y[v] = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[v]), scale[v]);
        if (level == FAR)
            y[v] = _mm256_min_ps(y[v], f->hi);
    }
    vec both = _mm256_packs_epi32(_mm256_cvtps_epi32(y[0]), _mm256_cvtps_epi32(y[1]));
    return level == PLAIN ? both : _mm256_adds_epi16(both, f->zero);
}

/* Two pixels side by side. */
INLINE vec finish_pair(vec a, vec b, const struct finish *f, enum level level)
{
    vec u = _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8);
    return level == PLAIN ? u : _mm256_min_epu8(_mm256_max_epu8(u, f->least), f->most);
}

INLINE void finish_pixels(const struct panel *p, vec (*sums)[NR / LANES], int pixels,
                          const struct finish *f, uint8_t *out, enum level level)
{
    const __m256 scale[2] = {_mm256_loadu_ps(p->scale), _mm256_loadu_ps(p->scale + LANES)};
    int i = 0;
    for (; i + 2 <= pixels; i += 2) {
        vec u = finish_pair(finish_pixel(sums[i], scale, f, level),
                            finish_pixel(sums[i + 1], scale, f, level), f, level);
        _mm256_storeu_si256((vec *)(void *)(out + i * ENG_BLOCK), u);
    }
    if (i < pixels) {
        vec y = finish_pixel(sums[i], scale, f, level);
        _mm_storeu_si128((__m128i *)(void *)(out + i * ENG_BLOCK),
                         _mm256_castsi256_si128(finish_pair(y, y, f, level)));
    }
}

/* One vector of sums of each pixel, these side by side: neighbours i .. i+3, in order of lanes. */
INLINE vec finish_four(const vec *sums, __m256 scale, const struct finish *f, enum level level)
{
    vec y[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[i]), scale);
        y[i] = _mm256_cvtps_epi32(level == FAR ? _mm256_min_ps(v, f->hi) : v);
    }
    vec a = _mm256_packs_epi32(y[0], y[1]), b = _mm256_packs_epi32(y[2], y[3]);
    if (level == PLAIN)
        return _mm256_packus_epi16(a, b);
    vec u = _mm256_packus_epi16(_mm256_adds_epi16(a, f->zero), _mm256_adds_epi16(b, f->zero));
    return _mm256_min_epu8(_mm256_max_epu8(u, f->least), f->most);
}

/* Of 8 channels; the other lanes of a pixel repeat them. Sums behind the last are read. */
INLINE void finish_narrow(const struct panel *p, const vec *sums, int pixels,
                          const struct finish *f, uint8_t *out, enum level level)
{
    const vec first = _mm256_setr_epi32(0, 4, 0, 4, 1, 5, 1, 5);
    const vec second = _mm256_setr_epi32(2, 6, 2, 6, 3, 7, 3, 7);
    const __m256 scale = _mm256_loadu_ps(p->scale);
    for (int left = pixels; left > 0; left -= 4, sums += 4, out += 4 * ENG_BLOCK) {
        vec u = finish_four(sums, scale, f, level);
        vec two[2] = {_mm256_permutevar8x32_epi32(u, first),
                      _mm256_permutevar8x32_epi32(u, second)};
        if (left >= 4) {
            _mm256_storeu_si256((vec *)(void *)out, two[0]);
            _mm256_storeu_si256((vec *)(void *)(out + 2 * ENG_BLOCK), two[1]);
        } else {
            memcpy(out, two, (size_t)left * ENG_BLOCK);
        }
    }
}

/* Requantises the sums of many pixels: behind each tile alone, its latency would show. */
INLINE void finish(const struct panel *p, vec (*sums)[NR / LANES], int pixels,
                   const struct finish *f, uint8_t *out)
{
    enum level level = p->far ? FAR : f->level;
    if (p->narrow && level == FAR)
        finish_narrow(p, sums[0], pixels, f, out, FAR);
    else if (p->narrow && level == PLAIN)
        finish_narrow(p, sums[0], pixels, f, out, PLAIN);
    else if (p->narrow)
        finish_narrow(p, sums[0], pixels, f, out, BOUNDED);
    else if (level == FAR)
        finish_pixels(p, sums, pixels, f, out, FAR);
    else if (level == PLAIN)
        finish_pixels(p, sums, pixels, f, out, PLAIN);
    else
        finish_pixels(p, sums, pixels, f, out, BOUNDED);
}

#endif
