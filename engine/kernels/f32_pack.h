/* Packed float weights. Every ISA uses these layouts, so that a change of kernel never asks for
 * other bytes: one vector of bias, then one vector of 16 output channels per tap or per input
 * channel, in the order in which they are summed. Static functions: each ISA's library compiles its
 * own copy under its own flags. */
#ifndef ENG_KERNELS_F32_PACK_H
#define ENG_KERNELS_F32_PACK_H

#include <string.h>
#include "engine/kernel.h"

enum {
    F32_DW_FLOATS = ENG_BLOCK * (1 + 9),
    F32_CONV3_FLOATS = ENG_BLOCK * (1 + 27), /* of one block of output channels */
};

static inline int f32_round16(int k)
{
    return (k + ENG_BLOCK - 1) / ENG_BLOCK * ENG_BLOCK;
}

/* Panel of 16 output channels: bias[16], then [k padded to 16][16]. */
static inline size_t f32_pw_panel_bytes(int k)
{
    return ((size_t)f32_round16(k) + 1) * ENG_BLOCK * sizeof(float);
}

static inline void f32_pw_pack(const struct eng_pw_f32_weights *w, void *dst)
{
    size_t panel = f32_pw_panel_bytes(w->k) / sizeof(float);
    int n16 = f32_round16(w->n);

    memset(dst, 0, panel * sizeof(float) * (size_t)(n16 / ENG_BLOCK));
    for (int n = 0; n < w->n; n++) {
        float *p = (float *)dst + (size_t)(n / ENG_BLOCK) * panel + n % ENG_BLOCK;
        p[0] = w->bias ? w->bias[n] : 0.0f;
        for (int k = 0; k < w->k; k++)
            p[((size_t)k + 1) * ENG_BLOCK] = w->w[(size_t)n * (size_t)w->k + (size_t)k];
    }
}

/* Block of 16 channels: bias[16], then [ky][kx][16]. */
static inline void f32_dw_pack(const struct eng_dw_f32_weights *w, void *dst)
{
    memset(dst, 0, (size_t)f32_round16(w->channels) / ENG_BLOCK * F32_DW_FLOATS * sizeof(float));
    for (int c = 0; c < w->channels; c++) {
        float *p = (float *)dst + (size_t)(c / ENG_BLOCK) * F32_DW_FLOATS + c % ENG_BLOCK;
        p[0] = w->bias ? w->bias[c] : 0.0f;
        for (size_t tap = 0; tap < 9; tap++)
            p[(tap + 1) * ENG_BLOCK] = w->w[tap * (size_t)w->channels + (size_t)c];
    }
}

/* Per block of 16 output channels: bias[16], then [ky][kx][3][16]. */
static inline size_t f32_conv3_packed_bytes(int n)
{
    return (size_t)f32_round16(n) / ENG_BLOCK * F32_CONV3_FLOATS * sizeof(float);
}

static inline void f32_conv3_pack(const struct eng_conv3_f32_weights *w, void *dst)
{
    memset(dst, 0, f32_conv3_packed_bytes(w->n));
    for (int n = 0; n < w->n; n++) {
        float *p = (float *)dst + (size_t)(n / ENG_BLOCK) * F32_CONV3_FLOATS + n % ENG_BLOCK;
        p[0] = w->bias ? w->bias[n] : 0.0f;
        for (size_t tap = 0; tap < 27; tap++)
            p[(tap + 1) * ENG_BLOCK] = w->w[(size_t)n * 27 + tap];
    }
}

#endif
