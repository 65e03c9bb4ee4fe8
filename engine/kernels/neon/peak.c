/* Peak of NEON: fp32 by FMLA, int8 by the widening multiply and the pairwise sum that stand for a
 * dot product. */
#include "engine/kernels/peak.h"

static void run_f32(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "fmla \\acc, v16.4s, v17.4s");
}

static void run_i8(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "smull v18.8h, v16.8b, v17.8b\n\tsadalp \\acc, v18.8h");
}

const struct eng_peak_kernel eng_peak_f32_neon = {"neon fmla", ENG_CPU_NEON, ENG_PEAK_CHAINS * 8,
                                                  run_f32};
const struct eng_peak_kernel eng_peak_i8_neon = {"neon smull", ENG_CPU_NEON, ENG_PEAK_CHAINS * 16,
                                                 run_i8};
