/* Parameters of the drivers of drive_maps.c. Internal to the planner, as steps.h is. */
#ifndef ENG_PLAN_MAPS_H
#define ENG_PLAN_MAPS_H

#include "engine/kernels/ref/ref.h"
#include "engine/plan/steps.h"

enum eng_map_kind {
    ENG_MAP_MAX, /* of windows */
    ENG_MAP_AVERAGE,
    ENG_MAP_ACTIVATION, /* floats: quantised ones have tables */
    ENG_MAP_PRODUCT,    /* with a map, or one value a channel */
    ENG_MAP_SUM,
    ENG_MAP_PRELU,
    ENG_MAP_SCALE, /* batch norm: times first, plus second */
};

struct eng_map_params {
    struct eng_blocks_params b; /* of the output */
    enum eng_map_kind kind;
    enum eng_type type; /* ENG_F32 or ENG_U8 */
    int in_h, in_w, out_h, out_w;
    struct eng_window win;
    int count_include_pad;
    enum eng_unary unary;
    const struct eng_act_f32_kernel *act;
    float alpha, beta, lo, hi;
    int per_channel;             /* the second input is one pixel */
    const float *first, *second; /* [blocks * 16] constants, NULL: none */
    /* Quantised. Averages: on the file's own quanta; 128 between them and u8 if it is i8. */
    const struct eng_tensor *x, *y;
    struct eng_quant_range range;
    int offset;
    const struct eng_mul_u8_kernel *u8;
    int32_t za, zb; /* products: in u8 quanta, as their range is */
    float scale;
    uint8_t table[256]; /* maxima: what becomes of the largest */
};

struct eng_dwk_params {
    struct eng_blocks_params b;
    const struct eng_dwk_f32_kernel *kernel;
    const char *packed;
    size_t packed_block;
    int in_h, in_w, out_h, out_w;
    struct eng_window win;
    float lo, hi;
};

/* Quantised depthwise of any window: lower_dwk_u8.c, drive_dwk_u8.c. */
struct eng_dwk_u8_params {
    struct eng_blocks_params b;
    const struct eng_dwk_u8_kernel *u8;
    const char *packed;
    size_t block_bytes;           /* packed */
    struct eng_dwk_u8_args shape; /* without pointers: all rows of the map */
};

/* drive_argmax.c: the place of the largest along the channels. Blocks are pieces of the map. */
struct eng_argmax_params {
    struct eng_blocks_params b;
    int pixels, channels;
    size_t stride; /* from one block of channels to the next */
    uint8_t flip;  /* 0xff: of the smallest */
    int is_wide;   /* int64 */
};

/* drive_maps.c: n reals through an activation or another function of the parameters. */
void eng_map_activate(const struct eng_map_params *p, const float *in, float *out, int n);

struct eng_concat_part {
    int start, channels;  /* in the output */
    const uint8_t *table; /* to the output's quanta; NULL: they are the same */
};
struct eng_concat_params {
    struct eng_blocks_params b;
    int channels; /* up to the end of the last part */
    int fill;     /* byte of what no part covers */
    size_t element;
    struct eng_concat_part parts[];
};

/* Channels of the input, each from where its block has it. */
struct eng_gather_params {
    struct eng_blocks_params b;
    int channels;
    size_t element;
    const int32_t *which;
};

/* drive_resize.c */
struct eng_resize_params {
    struct eng_blocks_params b; /* of the output */
    enum eng_type type;         /* ENG_F32 or ENG_U8 */
    int in_w, out_h, out_w;
    const struct eng_ref_lerp *rows, *columns; /* of each output row and column */
};

extern const struct eng_driver eng_drive_dwk_u8;
extern const struct eng_driver eng_drive_gather;
extern const struct eng_driver eng_drive_resize;
extern const struct eng_driver eng_drive_map;
extern const struct eng_driver eng_drive_dwk;
extern const struct eng_driver eng_drive_concat;

#endif
