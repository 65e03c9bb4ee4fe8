/* Activations: avx512. */
#define ACT_ISA avx512
#define ACT_BITS ENG_CPU_AVX512
#include "engine/kernels/act_f32.inc"
