/* Products of maps, depthwise of any window, reals to quanta: c. */
#define QUANTA_ISA c
#define QUANTA_BITS 0
#define QUANTA_HAS_FMA 0
#include "engine/kernels/quanta.inc"
