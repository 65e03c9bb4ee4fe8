/* Peak of AVX-VNNI: int8 by the VEX form of vpdpbusd. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "%{vex%} vpdpbusd %%ymm15, %%ymm14, %%ymm\\r");
}

const struct eng_peak_kernel eng_peak_i8_avxvnni = {"avx vpdpbusd", ENG_CPU_AVX2 | ENG_CPU_AVXVNNI,
                                                    ENG_PEAK_CHAINS * 64, run};
