/* The instructions that kernels of this folder are made of: eight tiles of up to 16 rows x 64 bytes
 * (Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, chapter 18), and what
 * stands between them in vectors. Compiled with ENG_AMX_EMULATED all of them are C, so that the
 * kernels' own source runs on any machine and under any sanitizer; no emulator knows tiles.
 *
 * Tiles are configured when a kernel begins and released when it returns: between kernels a thread
 * has no tile state that a context switch would have to save, and 47 ns a call buy that. */
#ifndef ENG_KERNELS_AMX_OPS_H
#define ENG_KERNELS_AMX_OPS_H

#ifdef ENG_AMX_EMULATED
#include "engine/kernels/amx/emulated.h"
#else
#include "engine/kernels/amx/config.h"
#include "engine/kernels/avx512vnni/requant.h"

typedef __m512i vec; /* 16 int32, or 64 bytes */
typedef __m512 floats;

#define TILE_LOAD(t, from, stride)                                                                 \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(from), "r"((long)(stride)))
#define TILE_STORE(t, to, stride)                                                                  \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(to), "r"((long)(stride))            \
                     : "memor"                                                                     \
                       "y")
/* Sums c += a x b: bytes of a unsigned, of b signed. */
#define TILE_DOT_U8(c, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
/* Pairs of bf16; subnormals are zeroes. */
#define TILE_DOT_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::)

INLINE void tiles_configure(const struct tile_config *c)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*c));
}

INLINE void tiles_release(void)
{
    __asm__ volatile("tilerelease");
}

INLINE vec vec_load(const void *from)
{
    return _mm512_load_si512(from);
}

INLINE vec vec_zero(void)
{
    return _mm512_setzero_si512();
}

INLINE vec vec_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm512_add_epi32(a, b);
}

/* Each sum += four products of bytes, those of x unsigned. */
INLINE vec vec_dot_u8(vec sum, vec x, vec w)
{
    return _mm512_dpbusd_epi32(sum, x, w);
}

INLINE floats floats_load(const float *from)
{
    return _mm512_load_ps(from);
}

INLINE floats floats_set1(float x)
{
    return _mm512_set1_ps(x);
}

INLINE floats floats_clamp(floats x, floats lo, floats hi)
{
    return _mm512_min_ps(_mm512_max_ps(x, lo), hi);
}

INLINE void floats_store(float *to, floats x)
{
    _mm512_storeu_ps(to, x);
}

INLINE void bf16_store_one(uint16_t *to, floats x)
{
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

INLINE floats floats_sub(floats a, floats b)
{
    return _mm512_sub_ps(a, b);
}

/* As part_of() of parts.h, as floats. */
INLINE floats floats_part(floats x)
{
    __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)));
}

/* Upper halves: of `a`, then of `b`. */
INLINE void parts_store(uint16_t *to, floats a, floats b)
{
    const __m512i odd =
        _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                         25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    __m512i both = _mm512_permutex2var_epi16(_mm512_castps_si512(a), odd, _mm512_castps_si512(b));
    _mm512_storeu_si512(to, both);
}

/* The floats of the lowest 16 bits that are set, 0 for the others, which are not read. */
INLINE void bf16_put(uint16_t *to, const float *from, uint32_t bits)
{
    bf16_store_one(to, _mm512_maskz_loadu_ps((__mmask16)bits, from));
}

/* `a`, then `b`. */
INLINE void bf16_store_two(uint16_t *to, floats a, floats b)
{
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}
#endif

#endif
