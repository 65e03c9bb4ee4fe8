/* Peak of AVX-512 VNNI: int8 by vpdpbusd. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP_512(iterations, "vpdpbusd %%zmm31, %%zmm30, %%zmm\\r");
}

const struct eng_peak_kernel eng_peak_i8_avx512vnni = {
    "avx512 vpdpbusd", ENG_CPU_AVX512 | ENG_CPU_AVX512VNNI, ENG_PEAK_CHAINS_512 * 128, run};
