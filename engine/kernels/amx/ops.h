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
#endif

#endif
