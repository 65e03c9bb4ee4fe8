/* How exact the sums of a pointwise are: fp32x, and FMAs, against double. */
#ifndef ENG_EXACTNESS_H
#define ENG_EXACTNESS_H

#include "engine/engine.h"

struct eng_exactness {
    int products;      /* of a sum */
    double fp32x, fma; /* largest error of 1,024 sums, of inputs as ReLU6 leaves them (0 to 6, a
                          third of them 0) and weights of -1 to 1 */
};

/* By the fp32x kernels for cpu_bits, and by fmaf() one after the other. -ENOMEM. */
int eng_exactness_measure(struct eng_exactness *ret, uint32_t cpu_bits);

#endif
