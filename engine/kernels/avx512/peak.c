/* Peak of AVX-512: fp32 by FMA, int8 by the three instructions that stand for one VNNI. */
#include "engine/kernels/peak.h"

static void run_f32(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "zmm", "vfmadd231ps %%zmm15, %%zmm14, %%zmm\\r");
}

static void run_i8(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "zmm",
                  "vpmaddubsw %%zmm15, %%zmm14, %%zmm12\n\tvpmaddwd %%zmm13, %%zmm12, "
                  "%%zmm12\n\tvpaddd %%zmm12, %%zmm\\r, %%zmm\\r");
}

const struct eng_peak_kernel eng_peak_f32_avx512 = {"avx512 vfmadd", ENG_CPU_AVX512,
                                                    ENG_PEAK_CHAINS * 32, run_f32};
const struct eng_peak_kernel eng_peak_i8_avx512 = {"avx512 vpmaddubsw", ENG_CPU_AVX512,
                                                   ENG_PEAK_CHAINS * 128, run_i8};
