/* Fills the kernel table of a set of CPU bits from kernels.def: the C row first, then every later
 * row whose bits are all there. */
#include "engine/kernels/kernel.h"

void eng_kernels_choose(struct eng_kernels *ret, uint32_t cpu_bits)
{
#define KERNEL(op, isa, bits)                                                                      \
    if (((bits) & ~cpu_bits) == 0)                                                                 \
        ret->op = &eng_##op##_##isa;
#include "engine/kernels/kernels.def"
#undef KERNEL
}
