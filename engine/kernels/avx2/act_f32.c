/* Activations: avx2. */
#define ACT_ISA avx2
#define ACT_BITS ENG_CPU_AVX2
#include "engine/kernels/act_f32.inc"
