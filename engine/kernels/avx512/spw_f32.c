/* Block-sparse pointwise, float, AVX-512: tiles of 12 pixels x 16 channels. One panel at a time, as
 * its neighbour has other taps: an embedded broadcast for each FMA, twelve of them in flight. */
#include <immintrin.h>

#include "engine/kernels/f32_tile.h"

#define TILE_V __m512
#define TILE_LANES 16
#define TILE_MR 12
#define TILE_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define TILE_VECTORS_OF(M, r) M(r, 0)
#define TILE_STEP(r, x) c##r##_0 = _mm512_fmadd_ps(_mm512_set1_ps(*(x)), w0, c##r##_0);

static inline __m512 tile_load(const float *p)
{
    return _mm512_load_ps(p);
}

static inline void tile_store(float *p, __m512 acc, const float *lo, const float *hi)
{
    acc = _mm512_max_ps(acc, _mm512_set1_ps(*lo));
    _mm512_store_ps(p, _mm512_min_ps(acc, _mm512_set1_ps(*hi)));
}

#define SPW_TILES                                                                                  \
    SPW_TILES_6 SPW_TILE(7) SPW_TILE(8) SPW_TILE(9) SPW_TILE(10) SPW_TILE(11) SPW_TILE(12)
#define SPW_NAMES                                                                                  \
    SPW_NAMES_6, spw_tile_7, spw_tile_8, spw_tile_9, spw_tile_10, spw_tile_11, spw_tile_12
#include "engine/kernels/spw_f32.inc"

SPW_KERNEL(avx512, ENG_CPU_AVX512, 32);
