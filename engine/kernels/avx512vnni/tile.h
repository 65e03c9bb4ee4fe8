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
INLINE void dot_step(__m512i acc[MR][NV], const uint8_t *in, size_t step, const int8_t *w, int mr,
                     int nv)
{
    __m512i wv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
        wv[v] = _mm512_load_si512(w + v * 64);
#pragma GCC unroll 14
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

#endif
