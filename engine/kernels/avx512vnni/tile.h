/* The register tile that pointwise and first convolution share: up to 14 pixels x 32 channels. */
#ifndef ENG_KERNELS_AVX512VNNI_TILE_H
#define ENG_KERNELS_AVX512VNNI_TILE_H

#include "engine/kernels/avx512vnni/requant.h"

enum { MR = 14, NR = 32, NV = NR / 16 };

/* One copy of a tile function per height; X(mr, nv). */
#define TILES(X, nv)                                                                               \
    X(1, nv)                                                                                       \
    X(2, nv)                                                                                       \
    X(3, nv)                                                                                       \
    X(4, nv)                                                                                       \
    X(5, nv) X(6, nv) X(7, nv) X(8, nv) X(9, nv) X(10, nv) X(11, nv) X(12, nv) X(13, nv) X(14, nv)

/* The nearest that an int8 can be: what is missing goes into a second one. */
INLINE int into_int8(int v)
{
    return v < -128 ? -128 : v > 127 ? 127 : v;
}

/* In assembly to fix their order: left to itself gcc 12 hoists loads and then spills sums. */
INLINE __m512i broadcast(const uint8_t *word)
{
    __m512i x;
    __asm__ volatile("vpbroadcastd %1, %0" : "=v"(x) : "m"(*(const uint8_t(*)[4])word));
    return x;
}

INLINE void dot(__m512i *acc, __m512i x, __m512i w)
{
    __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(*acc) : "v"(x), "v"(w));
}

/* Four k of all pixels: words at in, in + step, ... against nv vectors of weights. */
INLINE void dot_step(__m512i acc[][NV], const uint8_t *in, size_t step, const int8_t *w, int mr,
                     int nv)
{
    __m512i wv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
        wv[v] = _mm512_load_si512(w + v * 64);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        __m512i x = broadcast(in + (size_t)i * step);
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            dot(&acc[i][v], x, wv[v]);
    }
}

/* scale: nv * 16 floats; pixel i of channel block v goes to out + v * out_stride + i * 16. */
INLINE void finish(__m512i acc[MR][NV], const float *scale, const struct rq512 *q, uint8_t *out,
                   size_t out_stride, int mr, int nv)
{
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++, out += out_stride) {
        __m512 s = _mm512_load_ps(scale + v * 16);
#pragma GCC unroll 4
        for (int i = 0; i < mr; i += 4) {
            int n = mr - i < 4 ? mr - i : 4;
            __m512i r[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                r[j] = j < n ? rq512_round(acc[i + j][v], s, q) : r[0];
            rq512_store(out + i * 16, rq512_pack(r[0], r[1], r[2], r[3], q), n);
        }
    }
}

/* ---- short sums ----
 *
 * With few k a tile is over before its requantisation has found its way through the schedulers,
 * and the multipliers idle. So tiles of 8 pixels x 32 channels, or 16 x 16, leave their 16 raw sums
 * behind, and the next tile's dot products carry the requantisation of these along, one by one. */
enum { PIPE_PARTS = 16 };

/* Raw sums of the tile before; apart from struct pipe, whose members shall live in registers. */
struct pipe_sums {
    __m512i of[PIPE_PARTS]; /* all pixels of one vector of channels, then of the next */
};

struct pipe {
    __m512i held, half; /* between parts */
    __m512 scale[NV];
    uint8_t *out; /* of the tile before */
    size_t out_stride;
    struct rq512 q;
};

INLINE void pipe_part(struct pipe *s, const struct pipe_sums *sums, int part, int nv)
{
    int v = part / (PIPE_PARTS / nv), pixel = part % (PIPE_PARTS / nv);
    __m512 f;
    __asm__ volatile("vcvtdq2ps %1, %0" : "=v"(f) : "m"(sums->of[part]));
    __m512i r = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(f, s->scale[v]), s->q.hi));
    if (pixel % 2 == 0) {
        __asm__ volatile("" : "+v"(r));
        s->held = r;
        return;
    }
    __m512i pair = _mm512_adds_epi16(_mm512_packs_epi32(s->held, r), s->q.zero);
    __asm__ volatile("" : "+v"(pair));
    if (pixel % 4 == 1) {
        s->half = pair;
        return;
    }
    __m512i u = _mm512_max_epu8(_mm512_packus_epi16(s->half, pair), s->q.lo);
    u = _mm512_permutexvar_epi32(s->q.swap, u);
    _mm512_storeu_si512(s->out + (size_t)v * s->out_stride + pixel / 4 * 64, u);
}

INLINE void pipe_leave(struct pipe *s, struct pipe_sums *sums, __m512i acc[PIPE_PARTS][NV],
                       uint8_t *out, int nv)
{
    const int pixels = PIPE_PARTS / nv; /* outside: a bound that UBSan checks keeps a loop rolled */
#pragma GCC unroll 16
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            _mm512_store_si512(&sums->of[v * pixels + i], acc[i][v]);
    s->out = out;
}

INLINE void pipe_end(struct pipe *s, const struct pipe_sums *sums, int nv)
{
#pragma GCC unroll 16
    for (int i = 0; i < PIPE_PARTS; i++)
        pipe_part(s, sums, i, nv);
}

/* As dot_step() for 16 / nv pixels; a part goes along after every `every` pixels, counted over
 * steps; 0: none. */
INLINE void pipe_step(struct pipe *s, const struct pipe_sums *sums, __m512i acc[PIPE_PARTS][NV],
                      const uint8_t *in, size_t pixel_step, const int8_t *w, int step, int every,
                      int nv)
{
    __m512i wv[NV];
    const int pixels = PIPE_PARTS / nv;
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
        wv[v] = _mm512_load_si512(w + v * 64);
#pragma GCC unroll 16
    for (int i = 0; i < pixels; i++) {
        __m512i x = broadcast(in + (size_t)i * pixel_step);
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            dot(&acc[i][v], x, wv[v]);
        int slot = step * pixels + i + 1;
        if (every && slot % every == 0 && slot / every <= PIPE_PARTS)
            pipe_part(s, sums, slot / every - 1, nv);
    }
}

#endif
