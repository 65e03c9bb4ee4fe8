/* Pointwise and first convolution, float, AVX2 and FMA: tiles of 6 pixels x 16 channels, twelve of
 * the sixteen registers accumulators. */
#include <immintrin.h>

#include "engine/kernels/f32_tile.h"

#define TILE_V __m256
#define TILE_LANES 8
#define TILE_MR 6
#define TILE_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define TILE_VECTORS_OF(M, r) M(r, 0) M(r, 1)

/* One broadcast feeds two FMAs. Assembly, because gcc 12 hoists broadcasts and then spills. */
#define TILE_STEP(r, x)                                                                            \
    {                                                                                              \
        __m256 t;                                                                                  \
        __asm__ volatile("vbroadcastss %[from], %[t]\n\t"                                          \
                         "vfmadd231ps %[w0], %[t], %[c0]\n\t"                                      \
                         "vfmadd231ps %[w1], %[t], %[c1]"                                          \
                         : [c0] "+x"(c##r##_0), [c1] "+x"(c##r##_1), [t] "=&x"(t)                  \
                         : [from] "m"(*(x)), [w0] "x"(w0), [w1] "x"(w1));                          \
    }

static inline __m256 tile_load(const float *p)
{
    return _mm256_load_ps(p);
}

static inline void tile_store(float *p, __m256 acc, const float *lo, const float *hi)
{
    acc = _mm256_max_ps(acc, _mm256_broadcast_ss(lo));
    _mm256_store_ps(p, _mm256_min_ps(acc, _mm256_broadcast_ss(hi)));
}

#include "engine/kernels/f32_tile.inc"

#include "engine/kernels/spw_f32.inc"

const struct eng_pw_f32_kernel eng_pw_f32_avx2 = {
    .name = "pw_f32_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .mr = TILE_MR,
    .nr = ENG_BLOCK,
    .macs = 16,
    .panel_bytes = f32_pw_panel_bytes,
    .pack = f32_pw_pack,
    .run = pw_run,
};

SPW_KERNEL(avx2, ENG_CPU_AVX2, 16);

const struct eng_conv3_f32_kernel eng_conv3_f32_avx2 = {
    .name = "conv3_f32_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .packed_bytes = f32_conv3_packed_bytes,
    .pack = f32_conv3_pack,
    .run = conv3_run,
};
