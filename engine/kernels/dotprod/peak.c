/* Peak of NEON with dot products: int8 by SDOT. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "sdot \\acc, v16.16b, v17.16b");
}

const struct eng_peak_kernel eng_peak_i8_dotprod = {"neon sdot", ENG_CPU_NEON | ENG_CPU_DOTPROD,
                                                    ENG_PEAK_CHAINS * 32, run};
