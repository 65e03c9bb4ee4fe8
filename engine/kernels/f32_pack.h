/* Packed float weights. Every ISA uses these layouts, so that a change of kernel never asks for
 * other bytes: one vector of bias, then one vector of 16 output channels per tap or per input
 * channel, in the order in which they are summed. Static functions: each ISA's library compiles its
 * own copy under its own flags. */
#ifndef ENG_KERNELS_F32_PACK_H
#define ENG_KERNELS_F32_PACK_H

#include <string.h>

#include "engine/kernels/kernel.h"

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

/* ---- block-sparse ---- */

/* Where a tap finds the channel in an A-panel: block, and bytes in it. */
struct f32_tap {
    uint16_t block, lane;
};

/* Panel of 16 output channels, as long as the one with most taps: bias[16], then the number of its
 * own taps in a line of 64 bytes, [tap][16], the taps, by rising channels. */
enum { F32_SPW_WEIGHTS = 2 * ENG_ALIGN };

static inline size_t f32_spw_taps_at(int taps)
{
    return F32_SPW_WEIGHTS + (size_t)taps * ENG_BLOCK * sizeof(float);
}

static inline size_t f32_spw_panel_bytes(int taps)
{
    size_t list = (size_t)taps * sizeof(struct f32_tap);
    return f32_spw_taps_at(taps) + (list + ENG_ALIGN - 1) / ENG_ALIGN * ENG_ALIGN;
}

/* Whether any of the outputs from n on, up to a block, has a weight for input k. */
static inline int f32_spw_has(const struct eng_pw_f32_weights *w, int n, int k)
{
    for (int end = n + ENG_BLOCK < w->n ? n + ENG_BLOCK : w->n; n < end; n++)
        if (w->w[(size_t)n * (size_t)w->k + (size_t)k] != 0)
            return 1;
    return 0;
}

static inline int f32_spw_taps(const struct eng_pw_f32_weights *w)
{
    int most = 0;
    for (int n = 0; n < w->n; n += ENG_BLOCK) {
        int taps = 0;
        for (int k = 0; k < w->k; k++)
            taps += f32_spw_has(w, n, k);
        most = taps > most ? taps : most;
    }
    return most;
}

static inline void f32_spw_pack_panel(const struct eng_pw_f32_weights *w, int n, int taps,
                                      char *panel)
{
    struct f32_tap *tap = (struct f32_tap *)(void *)(panel + f32_spw_taps_at(taps));
    float *bias = (float *)(void *)panel, *to = bias + F32_SPW_WEIGHTS / sizeof(float);
    int outputs = w->n - n < ENG_BLOCK ? w->n - n : ENG_BLOCK;
    int32_t count = 0;

    for (int o = 0; w->bias && o < outputs; o++)
        bias[o] = w->bias[n + o];
    for (int k = 0; k < w->k; k++) {
        if (!f32_spw_has(w, n, k))
            continue;
        tap[count].block = (uint16_t)(k / ENG_BLOCK);
        tap[count].lane = (uint16_t)((size_t)(k % ENG_BLOCK) * sizeof(float));
        for (int o = 0; o < outputs; o++)
            to[count * ENG_BLOCK + o] = w->w[(size_t)(n + o) * (size_t)w->k + (size_t)k];
        count++;
    }
    memcpy(panel + ENG_ALIGN, &count, sizeof(count));
}

static inline void f32_spw_pack(const struct eng_pw_f32_weights *w, int taps, void *dst)
{
    size_t panel = f32_spw_panel_bytes(taps);

    memset(dst, 0, panel * (size_t)(f32_round16(w->n) / ENG_BLOCK));
    for (int n = 0; n < w->n; n += ENG_BLOCK)
        f32_spw_pack_panel(w, n, taps, (char *)dst + panel * (size_t)(n / ENG_BLOCK));
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
