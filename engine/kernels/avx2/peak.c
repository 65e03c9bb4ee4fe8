/* Peak of AVX2: fp32 by FMA, int8 by the three instructions that stand for one VNNI. */
#include "engine/kernels/peak.h"

static void run_f32(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "vfmadd231ps %%ymm15, %%ymm14, %%ymm\\r");
}

static void run_i8(uint64_t iterations)
{
    ENG_PEAK_LOOP(iterations, "vpmaddubsw %%ymm15, %%ymm14, %%ymm12\n\tvpmaddwd %%ymm13, %%ymm12, "
                              "%%ymm12\n\tvpaddd %%ymm12, %%ymm\\r, %%ymm\\r");
}

const struct eng_peak_kernel eng_peak_f32_avx2 = {"avx2 vfmadd", ENG_CPU_AVX2, ENG_PEAK_CHAINS * 16,
                                                  run_f32};
const struct eng_peak_kernel eng_peak_i8_avx2 = {"avx2 vpmaddubsw", ENG_CPU_AVX2,
                                                 ENG_PEAK_CHAINS * 64, run_i8};
