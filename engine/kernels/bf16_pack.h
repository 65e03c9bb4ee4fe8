/* Packed bf16 weights of all kernels but NEON-BF16's matrix multiplies: 16 fp32 of bias, then one
 * vector of 64 bytes per pair of inputs, [16 channels][2] bf16. Depthwise weights are those of
 * f32_pack.h. */
#ifndef ENG_KERNELS_BF16_PACK_H
#define ENG_KERNELS_BF16_PACK_H

#include "engine/base/bf16.h"
#include "engine/kernels/f32_pack.h"

enum {
    BF16_PAIR_BYTES = ENG_BLOCK * 2 * sizeof(uint16_t),
    BF16_ROW_PAIRS = 5, /* 9 taps of a row of the first convolution, one of them without weight */
    BF16_CONV3_BYTES = BF16_PAIR_BYTES * (1 + 3 * BF16_ROW_PAIRS), /* of one output block */
};

/* Weight of input `i` behind the bias, for channel c of a block. */
static inline void bf16_put(void *block, int i, int c, float w)
{
    uint16_t *p = (uint16_t *)block + ENG_BLOCK * 2;

    p[(size_t)(i / 2) * ENG_BLOCK * 2 + (size_t)(c * 2 + i % 2)] = eng_bf16_from_f32(w);
}

static inline size_t bf16_pw_panel_bytes(int k)
{
    return ((size_t)f32_round16(k) / 2 + 1) * BF16_PAIR_BYTES;
}

static inline void bf16_pw_pack(const struct eng_pw_f32_weights *w, void *dst)
{
    size_t panel = bf16_pw_panel_bytes(w->k);

    memset(dst, 0, panel * (size_t)(f32_round16(w->n) / ENG_BLOCK));
    for (int n = 0; n < w->n; n++) {
        char *block = (char *)dst + (size_t)(n / ENG_BLOCK) * panel;
        ((float *)(void *)block)[n % ENG_BLOCK] = w->bias ? w->bias[n] : 0.0f;
        for (int k = 0; k < w->k; k++)
            bf16_put(block, k, n % ENG_BLOCK, w->w[(size_t)n * (size_t)w->k + (size_t)k]);
    }
}

static inline size_t bf16_conv3_packed_bytes(int n)
{
    return (size_t)f32_round16(n) / ENG_BLOCK * BF16_CONV3_BYTES;
}

static inline void bf16_conv3_pack(const struct eng_conv3_f32_weights *w, void *dst)
{
    memset(dst, 0, bf16_conv3_packed_bytes(w->n));
    for (int n = 0; n < w->n; n++) {
        char *block = (char *)dst + (size_t)(n / ENG_BLOCK) * BF16_CONV3_BYTES;
        ((float *)(void *)block)[n % ENG_BLOCK] = w->bias ? w->bias[n] : 0.0f;
        for (int t = 0; t < 27; t++)
            bf16_put(block, t / 9 * 2 * BF16_ROW_PAIRS + t % 9, n % ENG_BLOCK, w->w[n * 27 + t]);
    }
}

#endif
