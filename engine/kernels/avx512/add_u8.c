/* Sum of two quantised maps, avx512. */
#define ADD_ISA avx512
#define ADD_BITS ENG_CPU_AVX512
#include "engine/kernels/add_u8.inc"
