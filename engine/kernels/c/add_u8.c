/* Sum of two quantised maps, c. */
#define ADD_ISA c
#define ADD_BITS 0
#include "engine/kernels/add_u8.inc"
