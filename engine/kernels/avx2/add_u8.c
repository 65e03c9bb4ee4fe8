/* Sum of two quantised maps, avx2. */
#define ADD_ISA avx2
#define ADD_BITS ENG_CPU_AVX2
#include "engine/kernels/add_u8.inc"
