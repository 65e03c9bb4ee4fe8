/* Micro-kernels: the inner loops, and the contract between them and the planner. Internal to
 * engine/.
 *
 * Layout. Inside the fast plan every activation, of any type, is in blocks of 16 channels:
 * [C/16][H][W][16] ("C16"), channels padded up with lanes of any finite value: pack() gives them
 * weights that cancel (u8: w = zw, so that sum x*w and zw * sum x both count them; f32: 0). The
 * reason: 64 bytes of u8 are 4 neighbouring pixels x 16 channels (depthwise by byte permutes), a
 * pixel's 4 channels are one broadcastable word (pointwise), and the panel that a fused depthwise
 * leaves in L1 looks the same as a tensor. But a tile's row is 64 bytes of one pixel: a pointwise
 * of AMX asks for `together` blocks side by side, and its A-panel is made, never a tensor.
 * Quantised activations are u8 whatever the file says: an i8 tensor is q + 128 with zero point +
 * 128, weights likewise; nothing changes in the sums.
 *
 * Arithmetic (u8): acc = sum (x - zx)(w - zw) + bias in int32, exact; then
 *     y = clamp(rint((float)acc * scale[c]) + zy, lo, hi)       rint: half to even, one fp32
 * product with scale[c] = sx * sw[c] / sy computed in fp32 in that order: XNNPACK's and ONNX
 * Runtime's arithmetic. The product must be rounded to fp32 before rint (no FMA with the zero
 * point).
 *
 * Rates for the cost model, measured on one core of a processor that has no more than the kernel
 * asks for, or of a newer one: `macs`, multiply-adds a cycle of a pointwise, and `pixel_cycles`,
 * cycles of a depthwise for 16 channels of a pixel. They choose cuts, never results.
 *
 * A kernel is a const struct of pointers; kernels.def lists them all, and declarations, dispatch,
 * tests and benchmark read that one list. Packed weights are in the kernel's own order; sizes are
 * asked from the kernel. Pointers to packed weights, activations and scratch are 64-byte aligned.
 *
 * Over-read: kernels may read, never write, up to ENG_OVERREAD bytes behind the last pixel of an
 * activation buffer or of packed weights, and ENG_OVERREAD bytes before the first pixel. */
#ifndef ENG_KERNELS_KERNEL_H
#define ENG_KERNELS_KERNEL_H

#include "engine/engine.h"

enum { ENG_BLOCK = 16, ENG_OVERREAD = 128, ENG_ALIGN = 64 };

/* What follows the sum of a quantised convolution, common to all channels. */
struct eng_requant {
    int32_t zero_point; /* zy */
    uint8_t lo, hi;     /* clamp; lo <= hi */
};

/* ---- pointwise (1x1 convolution, FC, and any convolution after im2col), u8 ----
 * Canonical weights for pack(): w[n][k] u8 with zero point zw (an i8 weight comes as q + 128), bias
 * int32 [n] or NULL, scale float [n] (sx*sw/sy), zx. pack() folds zx, and what of zw it can, into
 * the bias, and pads n to nr and k to 16. */
struct eng_pw_u8_weights {
    int k, n;
    const uint8_t *w;
    int zw, zx;
    const int32_t *bias;
    const float *scale;
};
struct eng_pw_u8_args {
    const uint8_t *a;   /* pixel p, channel block b, t = together:
                           a + b / t * a_stride + (p * t + b % t) * 16; lanes behind k_blocks are
                           there, of any value */
    size_t a_stride;    /* bytes between (groups of) channel blocks */
    int pixels;         /* rows of the tile, >= 1 */
    int k_blocks;       /* ceil(k / 16) */
    const int32_t *sum; /* [pixels] sum of all k_blocks*16 u8 lanes of the pixel, pad lanes too;
                           NULL if needs_sum() says no */
    const void *panels; /* first packed panel to run */
    int n_panels;       /* panels of nr output channels */
    int n_blocks;       /* output blocks of 16 that exist from the first panel on: the last panel
                           may hold fewer than nr/16, and no store goes past them */
    uint8_t *out;       /* pixel p, block b: out + b * out_stride + p * 16 */
    size_t out_stride;
    struct eng_requant rq;
};
struct eng_pw_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    int mr, nr;   /* register tile: pixels x output channels; nr is a multiple of 16 */
    int together; /* channel blocks side by side in the A-panel: 1, or 4 */
    int macs;     /* multiply-adds a cycle, about */
    size_t (*panel_bytes)(int k); /* one packed panel, multiple of 64 */
    void (*pack)(const struct eng_pw_u8_weights *w, void *dst); /* ceil(n / nr) panels */
    int (*needs_sum)(const struct eng_pw_u8_weights *w);
    void (*run)(const struct eng_pw_u8_args *a);
};
/* Row sums of a panel, for pw_u8: sum[p] = sum over k_blocks*16 lanes of pixel p. */
struct eng_sum_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const uint8_t *a, size_t a_stride, int pixels, int k_blocks, int32_t *sum);
};

/* Which part of a map a 3x3 kernel makes: rows y0 .. y1-1 of the output, of whole rows of the
 * image. Padding behind is what the output's size implies. */
struct eng_geometry {
    int in_h, in_w; /* of the image */
    int stride;     /* 1 or 2 */
    int top, left;  /* padding before */
    int out_w;
    int y0, y1; /* output rows to make */
};
static inline struct eng_geometry eng_geometry_rows(const struct eng_geometry *g, int y0, int y1)
{
    struct eng_geometry rows = *g;
    rows.y0 = y0;
    rows.y1 = y1;
    return rows;
}

/* ---- depthwise 3x3, stride 1 or 2, u8 ----
 * One block of 16 channels, output rows y0 .. y1-1. The input block is the whole [H][W][16] image;
 * pixels outside it count as zx. Canonical weights: w[9][c] u8 with zero point zw, bias, scale per
 * channel. Packed: one piece of block_bytes() per channel block. */
struct eng_dw_u8_weights {
    int channels;
    const uint8_t *w;  /* [3][3][channels] */
    const int32_t *zw; /* [channels] */
    int zx;
    const int32_t *bias; /* [channels] or NULL */
    const float *scale;  /* [channels] */
};
struct eng_dw_u8_args {
    const uint8_t *in; /* pixel (y, x): in + y * in_row + x * 16, y and x in the whole image; only
                          rows that y0..y1 need are read */
    size_t in_row;     /* bytes between rows */
    struct eng_geometry geo;
    const void *block;         /* packed weights of this channel block */
    uint8_t *out;              /* output row y, pixel x: out + (y - y0) * out_row + x * out_pixel */
    size_t out_row, out_pixel; /* out_pixel: 16, or, if the kernel spreads, 64 */
    uint8_t zx;
    struct eng_requant rq;
};
struct eng_dw_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    int spreads; /* writes into an A-panel with blocks side by side */
    size_t block_bytes;
    int pixel_cycles;
    void (*pack)(const struct eng_dw_u8_weights *w, void *dst); /* ceil(channels / 16) blocks */
    void (*run)(const struct eng_dw_u8_args *a);
};

/* ---- first convolution 3x3, 3 input channels straight from pixels, u8 ----
 * in: NHWC u8 [in_h][in_w][3]; weights [n][3][3][3] u8 with zw; out C16 blocks. */
struct eng_conv3_u8_weights {
    int n;
    const uint8_t *w;  /* [n][3][3][3] */
    const int32_t *zw; /* [n] */
    int zx;
    const int32_t *bias;
    const float *scale;
};
struct eng_conv3_u8_args {
    const uint8_t *in;
    struct eng_geometry geo;
    int n_blocks; /* output channel blocks of 16 */
    const void *packed;
    uint8_t *out; /* row y, pixel x, block b: out + b * out_stride + (y - y0) * out_row + x * 16 */
    size_t out_row, out_stride;
    uint8_t zx;
    struct eng_requant rq;
};
struct eng_conv3_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t (*packed_bytes)(int n);
    void (*pack)(const struct eng_conv3_u8_weights *w, void *dst);
    void (*run)(const struct eng_conv3_u8_args *a);
};

/* ---- global average pool, u8: sum[16] of one block over `pixels` pixels (the planner rounds) ----
 */
struct eng_gap_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const uint8_t *block, int pixels, int32_t sum[16]);
};

/* ---- sum of two maps, u8: clamp((((a - za) * ka + (b - zb) * kb + 2^(shift - 1)) >> shift) +
 * zero_point, lo, hi), quant.h's eng_add_round(). No over-read. The sums must stay in int32, as
 * multipliers of at most 2^21 see to. */
struct eng_add_u8_args {
    const uint8_t *a, *b;
    uint8_t *out; /* overlaps neither */
    int n;        /* elements */
    int32_t za, zb, ka, kb;
    int shift; /* >= 1 */
    int32_t zero_point, lo, hi;
};
struct eng_add_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const struct eng_add_u8_args *a);
};

/* ---- product of two maps, u8: clamp(rint((a - za) * (b - zb) * scale) + zero_point, lo, hi), the
 * product of quanta exact, that with the scale in fp32 (quant.h's eng_quant_round()). No over-read.
 */
struct eng_mul_u8_args {
    const uint8_t *a, *b;
    uint8_t *out;    /* overlaps neither */
    int pixels;      /* of 16 channels */
    int per_channel; /* b is one pixel, which meets all of a */
    int32_t za, zb;
    float scale;
    int32_t zero_point, lo, hi;
};
struct eng_mul_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const struct eng_mul_u8_args *a);
};

/* ---- reals to quanta: clamp(rint(in / scale) + zero_point, lo, hi), the quotient rounded to fp32
 * before rint() sees it, NaN as lo; i8 as two's complement. No over-read. */
struct eng_quant_f32_args {
    const float *in;
    uint8_t *out;
    size_t n;
    float scale; /* > 0 */
    int32_t zero_point, lo, hi;
};
struct eng_quant_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const struct eng_quant_f32_args *a);
};

/* ---- a function of one real, then clamp to lo .. hi ---- Of e^x within 2 ulp where it is in one,
 * and all else in the order of ref/; the same bits on all instruction sets. in and out may be the
 * same; no over-read. */
struct eng_act_f32_args {
    int unary; /* enum eng_unary (graph.h) */
    const float *in;
    float *out;
    int n;
    float alpha, beta, lo, hi;
};
struct eng_act_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    void (*run)(const struct eng_act_f32_args *a);
};

/* ---- depthwise of any window, u8 ----
 * One block of 16 channels, output rows y0 .. y1-1; pixels outside the image count as zx, and a
 * window may lie outside of it whole. At most ENG_DWK_U8_TAPS taps: sums of so many products of 9
 * bits are exact in fp32. Canonical weights as eng_dw_u8_weights. */
enum { ENG_DWK_U8_TAPS = 256 };
struct eng_dwk_u8_weights {
    int channels, taps;  /* kh * kw */
    const uint8_t *w;    /* [kh][kw][channels] */
    const int32_t *zw;   /* [channels] */
    const int32_t *bias; /* [channels] or NULL */
    const float *scale;  /* [channels] */
};
struct eng_dwk_u8_args {
    const uint8_t *in; /* pixel (y, x): in + y * in_row + x * 16, y and x in the whole image */
    size_t in_row;
    int in_h, in_w;
    int kh, kw, sh, sw, dh, dw, top, left; /* window, stride, dilation, padding before */
    int out_w, y0, y1;
    const void *block;
    uint8_t *out; /* row y0 */
    size_t out_row;
    uint8_t zx;
    struct eng_requant rq;
    void *scratch; /* of scratch_bytes() */
};
struct eng_dwk_u8_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t (*block_bytes)(int taps);
    void (*pack)(const struct eng_dwk_u8_weights *w, void *dst); /* ceil(channels / 16) blocks */
    size_t (*scratch_bytes)(const struct eng_dwk_u8_args *a);    /* pointers are not looked at */
    void (*run)(const struct eng_dwk_u8_args *a);
};

/* ---- float ---- y = clamp(sum x*w + bias, lo, hi). One order of summation per kernel: results do
 * not depend on where a tile starts or on how many pixels it has. Panels are one block wide (nr =
 * 16), but for bf16 on AMX; a kernel groups what one call gives it, so calls with an even number of
 * panels are the best. Windows of depthwise and first convolution touch the image: padding is 0..2.
 */
struct eng_pw_f32_weights {
    int k, n;
    const float *w;    /* [n][k] */
    const float *bias; /* [n] or NULL */
};
struct eng_pw_f32_args {
    const float *a; /* pixel p, block b: a + b * a_stride + p * 16 (strides in floats) */
    size_t a_stride;
    int pixels, k_blocks;
    const void *panels;
    int n_panels, n_blocks; /* as in eng_pw_u8_args */
    float *out;
    size_t out_stride;
    float lo, hi;
    int taps; /* spw_f32 alone: as it was packed */
};
struct eng_pw_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    int mr, nr;
    int macs;
    size_t (*panel_bytes)(int k);
    void (*pack)(const struct eng_pw_f32_weights *w, void *dst);
    void (*run)(const struct eng_pw_f32_args *a);
};
/* Block-sparse pointwise: a panel lists the input channels for which any of its 16 outputs has a
 * weight, its taps, and nothing else (blocks of 16 outputs x 1 input; Elsen et al. 2020, "Fast
 * Sparse ConvNets", section 3.1, whose activations, too, stay dense). The sums are those of pw_f32
 * of the same ISA without the terms of weights that are 0: equal in every bit for finite inputs and
 * no bias of -0. */
struct eng_spw_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    int mr, nr;
    int macs;
    int (*taps)(const struct eng_pw_f32_weights *w); /* of the panel that has most of them */
    size_t (*panel_bytes)(int taps);
    void (*pack)(const struct eng_pw_f32_weights *w, int taps, void *dst);
    void (*run)(const struct eng_pw_f32_args *a);
};
struct eng_dw_f32_weights {
    int channels;
    const float *w; /* [3][3][channels] */
    const float *bias;
};
struct eng_dw_f32_args {
    const float *in; /* as eng_dw_u8_args, strides in floats; outside pixels are 0 */
    size_t in_row;
    struct eng_geometry geo;
    const void *block;
    float *out;
    size_t out_row;
    float lo, hi;
};
struct eng_dw_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t block_bytes;
    int pixel_cycles;
    void (*pack)(const struct eng_dw_f32_weights *w, void *dst);
    void (*run)(const struct eng_dw_f32_args *a);
};
/* Depthwise of any window: one block of 16 channels, output rows y0 .. y1-1; pixels outside the
 * image are 0, and a window may lie outside of it whole. */
struct eng_dwk_f32_weights {
    int channels, taps; /* kh * kw */
    const float *w;     /* [kh][kw][channels] */
    const float *bias;  /* [channels] or NULL */
};
struct eng_dwk_f32_args {
    const float *in; /* pixel (y, x): in + y * in_row + x * 16, y and x in the whole image */
    size_t in_row;
    int in_h, in_w;
    int kh, kw, sh, sw, dh, dw, top, left; /* window, stride, dilation, padding before */
    int out_w, y0, y1;
    const void *block;
    float *out; /* row y0 */
    size_t out_row;
    float lo, hi;
};
struct eng_dwk_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t (*block_bytes)(int taps);
    void (*pack)(const struct eng_dwk_f32_weights *w, void *dst); /* ceil(channels / 16) blocks */
    void (*run)(const struct eng_dwk_f32_args *a);
};
struct eng_conv3_f32_weights {
    int n;
    const float *w; /* [n][3][3][3] */
    const float *bias;
};
struct eng_conv3_f32_args {
    const float *in; /* NHWC [in_h][in_w][3] */
    struct eng_geometry geo;
    int n_blocks;
    const void *packed;
    float *out;
    size_t out_row, out_stride; /* floats */
    float lo, hi;
};
struct eng_conv3_f32_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t (*packed_bytes)(int n);
    void (*pack)(const struct eng_conv3_f32_weights *w, void *dst);
    void (*run)(const struct eng_conv3_f32_args *a);
};

/* ---- bf16: the upper half of a float ---- Activations between layers and pointwise weights are
 * bf16, rounded half to even (bf16.h); sums, biases and depthwise weights (1 % of all) are fp32.
 * Products of two bf16 are exact in fp32; order and rounding of their sums are the kernel's own,
 * off by at most (k + 3) units of 2^-24 of the magnitudes. Canonical weights are fp32; pack()
 * rounds them. */
struct eng_pw_bf16_args {
    const uint16_t *a; /* as eng_pw_u8_args, in elements; lanes behind k_blocks may be no numbers */
    size_t a_stride;
    int pixels, k_blocks;
    const void *panels;
    int n_panels, n_blocks;
    void *out;   /* uint16_t, or float for scores: */
    int out_f32; /* not rounded */
    size_t out_stride;
    float lo, hi;
};
struct eng_pw_bf16_kernel {
    const char *name;
    uint32_t cpu_bits;
    int mr, nr;
    int together, macs; /* as eng_pw_u8_kernel */
    size_t (*panel_bytes)(int k);
    void (*pack)(const struct eng_pw_f32_weights *w, void *dst);
    void (*run)(const struct eng_pw_bf16_args *a);
};
struct eng_dw_bf16_args {
    const uint16_t *in; /* as eng_dw_f32_args */
    size_t in_row;
    struct eng_geometry geo;
    const void *block;
    uint16_t *out;
    size_t out_row, out_pixel; /* out_pixel: 16, or, if the kernel spreads, 32 */
    float lo, hi;
};
struct eng_dw_bf16_kernel {
    const char *name;
    uint32_t cpu_bits;
    int spreads;
    size_t block_bytes;
    int pixel_cycles;
    void (*pack)(const struct eng_dw_f32_weights *w, void *dst);
    void (*run)(const struct eng_dw_bf16_args *a);
};
struct eng_conv3_bf16_args {
    const float *in; /* NHWC fp32 [in_h][in_w][3], rounded to bf16 on the way */
    struct eng_geometry geo;
    int n_blocks;
    const void *packed;
    uint16_t *out;
    size_t out_row, out_stride; /* elements */
    float lo, hi;
};
struct eng_conv3_bf16_kernel {
    const char *name;
    uint32_t cpu_bits;
    size_t (*packed_bytes)(int n);
    void (*pack)(const struct eng_conv3_f32_weights *w, void *dst);
    void (*run)(const struct eng_conv3_bf16_args *a);
};

/* ---- fp32 by bf16 parts: fp32 in, fp32 out, products of bf16 in between ---- A float is the sum
 * of three bf16, its parts: each the nearest (half away from zero) to what those before it leave.
 * Of the nine products of the parts of x and w the three smallest, under 2^-24 of x*w, are left
 * out; the others are exact. Off by at most (k / 4 + 48) units of 2^-24 of the magnitudes: less
 * than a sum of k FMAs where k is large. Parts under 2^-126 are 0; an infinity, or what rounds to
 * one (3.39e38 and more), becomes no number.
 *
 * The A-panel is in groups of two channel blocks, a group part by part: pixel p of part i of blocks
 * 2g and 2g + 1 at a + g * a_stride + i * a_part + p * 32. */
enum { ENG_PARTS = 3, ENG_PART_GROUP = 2 };
struct eng_pw_f32x_args {
    const uint16_t *a;
    size_t a_stride, a_part; /* elements; a_part at least pixels * 32 */
    int pixels, k_blocks;
    const void *panels;
    int n_panels, n_blocks; /* as in eng_pw_u8_args */
    float *out;
    size_t out_stride;
    float lo, hi;
};
struct eng_pw_f32x_kernel {
    const char *name;
    uint32_t cpu_bits;
    int mr, nr, macs;
    size_t (*panel_bytes)(int k);
    void (*pack)(const struct eng_pw_f32_weights *w, void *dst);
    /* A group of the A-panel, of `pixels` of two blocks of floats; second NULL: zeroes. */
    void (*parts)(const float *first, const float *second, int pixels, uint16_t *to, size_t a_part);
    void (*run)(const struct eng_pw_f32x_args *a);
};

/* The dispatch table of one set of CPU bits: the last row of kernels.def per op whose bits are all
 * there (the C row needs none, so no entry is ever NULL). */
#define ENG_KERNEL_OPS(X)                                                                          \
    X(pw_u8)                                                                                       \
    X(sum_u8)                                                                                      \
    X(dw_u8)                                                                                       \
    X(conv3_u8)                                                                                    \
    X(gap_u8)                                                                                      \
    X(add_u8)                                                                                      \
    X(mul_u8)                                                                                      \
    X(dwk_u8)                                                                                      \
    X(quant_f32)                                                                                   \
    X(act_f32)                                                                                     \
    X(pw_f32)                                                                                      \
    X(spw_f32)                                                                                     \
    X(dw_f32)                                                                                      \
    X(dwk_f32)                                                                                     \
    X(conv3_f32)                                                                                   \
    X(pw_f32x)                                                                                     \
    X(pw_bf16)                                                                                     \
    X(dw_bf16)                                                                                     \
    X(conv3_bf16)

struct eng_kernels {
#define X(op) const struct eng_##op##_kernel *op;
    ENG_KERNEL_OPS(X)
#undef X
};
void eng_kernels_choose(struct eng_kernels *ret, uint32_t cpu_bits);

#define KERNEL(op, isa, bits) extern const struct eng_##op##_kernel eng_##op##_##isa;
#include "engine/kernels/kernels.def"
#undef KERNEL

#endif
