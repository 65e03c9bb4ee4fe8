/* Products of maps, depthwise of any window, reals to quanta: avx2. */
#define QUANTA_ISA avx2
#define QUANTA_BITS ENG_CPU_AVX2
#define QUANTA_HAS_FMA 1
#include "engine/kernels/quanta.inc"
