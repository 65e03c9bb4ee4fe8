/* Every f32 row of kernels.def: see float_rows.inc. */
#include <math.h>
#include "tests/kernels/kernel_test.h"

#define pw_kernel eng_pw_f32_kernel
#define pw_args eng_pw_f32_args
#define dw_kernel eng_dw_f32_kernel
#define dw_args eng_dw_f32_args
#define conv3_kernel eng_conv3_f32_kernel
#define conv3_args eng_conv3_f32_args
#define ELEM float
#define ROUNDING 0.0
#define PW_OUT_SIZE(g) sizeof(*(g)->out)
#define PW_PICK_OUT(g)

static inline float elem_get(float x)
{
    return x;
}

static inline float elem_put(float x)
{
    return x;
}

static inline float weight_round(float x)
{
    return x;
}

#include "tests/kernels/float_rows.inc"

#define ROW_pw_u8(isa, bits)
#define ROW_sum_u8(isa, bits)
#define ROW_dw_u8(isa, bits)
#define ROW_conv3_u8(isa, bits)
#define ROW_gap_u8(isa, bits)
#define ROW_add_u8(isa, bits)
#define ROW_pw_f32(isa, bits) {"pw_f32 " #isa, bits, &eng_pw_f32_##isa, check_pw},
#define ROW_dw_f32(isa, bits) {"dw_f32 " #isa, bits, &eng_dw_f32_##isa, check_dw},
#define ROW_conv3_f32(isa, bits) {"conv3_f32 " #isa, bits, &eng_conv3_f32_##isa, check_conv3},
#define ROW_pw_bf16(isa, bits)
#define ROW_dw_bf16(isa, bits)
#define ROW_conv3_bf16(isa, bits)
#define KERNEL(op, isa, bits) ROW_##op(isa, bits)

int main(void)
{
    static const struct kt_row rows[] = {
#include "engine/kernels.def"
    };

    return kt_main("kernels_f32", rows, sizeof(rows) / sizeof(rows[0]));
}
