/* Products of maps, depthwise of any window, reals to quanta: neon. */
#define QUANTA_ISA neon
#define QUANTA_BITS ENG_CPU_NEON
#define QUANTA_HAS_FMA 1
#include "engine/kernels/quanta.inc"
