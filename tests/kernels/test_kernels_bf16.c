/* Every bf16 row of kernels.def: see float_rows.inc. */
#include <math.h>
#include "engine/base/bf16.h"
#include "tests/kernels/kernel_test.h"

#define pw_kernel eng_pw_bf16_kernel
#define pw_args eng_pw_bf16_args
#define dw_kernel eng_dw_bf16_kernel
#define dw_args eng_dw_bf16_args
#define conv3_kernel eng_conv3_bf16_kernel
#define conv3_args eng_conv3_bf16_args
#define ELEM uint16_t
#define ROUNDING 0x1p-8
#define PW_OUT_SIZE(g) ((g)->out_f32 ? sizeof(float) : sizeof(uint16_t))
#define PW_PICK_OUT(g) (g)->out_f32 = kt_range(0, 1);
#define PW_TOGETHER(kernel) ((size_t)(kernel)->together)
#define DW_PIXEL_OF(kernel) ((kernel)->spreads && kt_range(0, 1) ? 32u : 16u)
#define DW_PUT_PIXEL(args, elements) (args).out_pixel = (elements)

static inline float elem_get(uint16_t x)
{
    return eng_bf16_to_f32(x);
}

static inline uint16_t elem_put(float x)
{
    return eng_bf16_from_f32(x);
}

static inline float weight_round(float x)
{
    return eng_bf16_round(x);
}

#include "tests/kernels/float_rows.inc"

#define ROW_pw_u8(isa, bits)
#define ROW_sum_u8(isa, bits)
#define ROW_dw_u8(isa, bits)
#define ROW_conv3_u8(isa, bits)
#define ROW_gap_u8(isa, bits)
#define ROW_add_u8(isa, bits)
#define ROW_mul_u8(isa, bits)
#define ROW_dwk_u8(isa, bits)
#define ROW_quant_f32(isa, bits)
#define ROW_act_f32(isa, bits)
#define ROW_pw_f32(isa, bits)
#define ROW_spw_f32(isa, bits)
#define ROW_dw_f32(isa, bits)
#define ROW_dwk_f32(isa, bits)
#define ROW_conv3_f32(isa, bits)
#define ROW_pw_f32x(isa, bits)
#define ROW_pw_bf16(isa, bits) {"pw_bf16 " #isa, bits, &eng_pw_bf16_##isa, check_pw},
#define ROW_dw_bf16(isa, bits) {"dw_bf16 " #isa, bits, &eng_dw_bf16_##isa, check_dw},
#define ROW_conv3_bf16(isa, bits) {"conv3_bf16 " #isa, bits, &eng_conv3_bf16_##isa, check_conv3},
#define KERNEL(op, isa, bits) ROW_##op(isa, bits)

int main(void)
{
    static const struct kt_row rows[] = {
#include "engine/kernels/kernels.def"
    };

    return kt_main("kernels_bf16", rows, sizeof(rows) / sizeof(rows[0]));
}
