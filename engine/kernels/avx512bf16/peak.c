/* Peak of AVX-512 BF16: vdpbf16ps. */
#include "engine/kernels/peak.h"

static void run(uint64_t iterations)
{
    ENG_PEAK_LOOP_512(iterations, "vdpbf16ps %%zmm31, %%zmm30, %%zmm\\r");
}

const struct eng_peak_kernel eng_peak_bf16_avx512bf16 = {
    "avx512 vdpbf16ps", ENG_CPU_AVX512 | ENG_CPU_AVX512BF16, ENG_PEAK_CHAINS_512 * 64, run};
