/* Peak of AVX-512: fp32 by FMA, int8 by the three instructions that stand for one VNNI. */
#include "engine/kernels/peak.h"

static void run_f32(uint64_t iterations)
{
    ENG_PEAK_LOOP_512(iterations, "vfmadd231ps %%zmm31, %%zmm30, %%zmm\\r");
}

static void run_i8(uint64_t iterations)
{
    ENG_PEAK_LOOP_512(iterations,
                      "vpmaddubsw %%zmm31, %%zmm30, %%zmm28\n\tvpmaddwd %%zmm29, %%zmm28, "
                      "%%zmm28\n\tvpaddd %%zmm28, %%zmm\\r, %%zmm\\r");
}

const struct eng_peak_kernel eng_peak_f32_avx512 = {"avx512 vfmadd", ENG_CPU_AVX512,
                                                    ENG_PEAK_CHAINS_512 * 32, run_f32};
const struct eng_peak_kernel eng_peak_i8_avx512 = {"avx512 vpmaddubsw", ENG_CPU_AVX512,
                                                   ENG_PEAK_CHAINS_512 * 128, run_i8};
