/* Separable resampling of a stream of rows: across first, then down, u8 between the two. */
#ifndef ENG_IMAGE_RESIZE_H
#define ENG_IMAGE_RESIZE_H

#include "engine/image/taps.h"

/* The two inner loops, per ISA; the C version defines the result and the others equal it bit for
 * bit. n_channels is 1 or 3. src and the rows are readable ENG_ROW_SLACK bytes behind their end,
 * dst is writable 64 bytes behind its end. */
struct eng_resize_kernels {
    const char *name;
    uint32_t cpu_bits;
    /* Coefficients in the order that `across` wants: bytes of that copy, and the copy (64-byte
     * aligned). NULL: `across` reads t itself. */
    size_t (*packed_bytes)(const struct eng_taps *t, int n_channels);
    void (*pack)(void *packed, const struct eng_taps *t, int n_channels);
    void (*across)(uint8_t *dst, const uint8_t *src, const struct eng_taps *t, const void *packed,
                   int n_channels);
    /* dst[i] from rows[0 .. taps-1][i]; n bytes. rows and coef go on, with any readable row and
     * zeros, up to the next multiple of 4. */
    void (*down)(uint8_t *dst, const uint8_t *const *rows, const int32_t *coef, int taps, size_t n);
};
const struct eng_resize_kernels *eng_resize_kernels_choose(uint32_t cpu_bits);
#define RESIZE_KERNELS(isa, bits) extern const struct eng_resize_kernels eng_resize_##isa;
#include "engine/image/resize.def"
#undef RESIZE_KERNELS

/* Rows go in in stored order, outputs come out in stored order; `emit` gets each (x.count pixels,
 * valid during the call) with its index in y. */
struct eng_resizer {
    const struct eng_resize_kernels *kernels;
    const struct eng_taps *x, *y;
    int channels;
    int backwards; /* y runs against the stored order */
    void (*emit)(void *to, int index, const uint8_t *row);
    void *to;
    int done;         /* outputs emitted */
    uint32_t next_in; /* row number, from the source's first, of the next pushed row */
    size_t stride;
    struct eng_buffer ring; /* y.longest rows after `across`, then one output row */
    struct eng_buffer pointers;
    struct eng_buffer packed; /* x, as the kernel wants it */
};
/* The fields above `done` are set by the caller. -ENOMEM. */
int eng_resizer_start(struct eng_resizer *r);
void eng_resizer_push(struct eng_resizer *r, const uint8_t *row);
void eng_resizer_finish(struct eng_resizer *r);

#endif
