/* Activations: c. */
#define ACT_ISA c
#define ACT_BITS 0
#include "engine/kernels/act_f32.inc"
