/* What a register tile of the float pointwise or first convolution is given, on every ISA. */
#ifndef ENG_KERNELS_F32_TILE_H
#define ENG_KERNELS_F32_TILE_H

#include "engine/kernels/f32_pack.h"

/* Sums run over `segments` (channel blocks, or rows of taps), each a run of neighbouring floats. */
struct f32_tile {
    const float *a;        /* first float of the first pixel */
    size_t a_step;         /* bytes from behind a segment to the next one */
    const float *w, *bias; /* of the first segment; the bias of the block */
    int segments;          /* >= 1 */
    float *out;
    size_t out_bytes; /* between output channel blocks, for tiles of more than one */
    const float *lo, *hi;
    const char *ahead; /* weights to bring closer meanwhile */
    size_t ahead_step; /* bytes a step, 0 for none */
};

#endif
