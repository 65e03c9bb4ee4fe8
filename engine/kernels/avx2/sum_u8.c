/* Row sums and average pool, u8, AVX2. */
#include "engine/kernels/kernel.h"

#define ISA avx2
#define CPU_BITS ENG_CPU_AVX2
#include "engine/kernels/sums_u8.inc"
