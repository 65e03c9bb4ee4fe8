/* Packed weights of dwk_f32, the same for every ISA: per block of 16 channels bias[16], then
 * [ky][kx][16]. */
#ifndef ENG_KERNELS_DWK_F32_PACK_H
#define ENG_KERNELS_DWK_F32_PACK_H

#include <string.h>

#include "engine/kernels/kernel.h"

static inline int eng_dwk_least(int a, int b)
{
    return a < b ? a : b;
}

static inline size_t dwk_block_bytes(int taps)
{
    return ((size_t)taps + 1) * ENG_BLOCK * sizeof(float);
}

static inline void dwk_pack(const struct eng_dwk_f32_weights *w, void *dst)
{
    size_t block = dwk_block_bytes(w->taps) / sizeof(float);
    memset(dst, 0, ((size_t)w->channels + ENG_BLOCK - 1) / ENG_BLOCK * block * sizeof(float));
    for (int c = 0; c < w->channels; c++) {
        float *p = (float *)dst + (size_t)(c / ENG_BLOCK) * block + c % ENG_BLOCK;
        p[0] = w->bias ? w->bias[c] : 0.0f;
        for (size_t tap = 0; tap < (size_t)w->taps; tap++)
            p[(tap + 1) * ENG_BLOCK] = w->w[tap * (size_t)w->channels + (size_t)c];
    }
}

#endif
