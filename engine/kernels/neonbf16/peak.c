/* Peak of NEON with bf16 matrix multiplies: BFMMLA. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "bfmmla \\acc, v16.8h, v17.8h");
}

const struct eng_peak_kernel eng_peak_bf16_neonbf16 = {
    "neon bfmmla", ENG_CPU_NEON | ENG_CPU_NEONBF16, ENG_PEAK_CHAINS * 32, run};
