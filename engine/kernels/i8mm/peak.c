/* Peak of NEON with int8 matrix multiplies: USMMLA. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "usmmla \\acc, v16.16b, v17.16b");
}

const struct eng_peak_kernel eng_peak_i8_i8mm = {"neon usmmla", ENG_CPU_NEON | ENG_CPU_I8MM,
                                                 ENG_PEAK_CHAINS * 64, run};
