/* What bf16 and fp32x cost and gain: a network against itself in fp32, on the same pictures. */
#ifndef SRV_ACCURACY_H
#define SRV_ACCURACY_H

#include <stdio.h>

#include "config/config.h"
#include "engine/exactness.h"
#include "engine/model.h"

struct srv_accuracy {
    int images;                /* pictures; 0: not measured, the network runs in neither */
    int same_top;              /* with the same best class */
    double logit_error;        /* root mean square of the difference, over that of the logits */
    double max_probability;    /* largest difference of a probability */
    struct eng_exactness sums; /* fp32x; products 0: else */
    double ops, fp32_ops; /* a second, of a thread: where fp32 multiplies as fast; 0: elsewhere */
};

/* Opens what `cfg` means once more, in fp32, if `m` is in bf16 or fp32x. One thread, a few runs of
 * each. */
int srv_accuracy_run(struct srv_accuracy *ret, struct eng_model *m, const struct cfg *cfg,
                     char *err, size_t errlen);

/* A line for people, or members of a JSON object that begin with a comma; nothing without images.
 */
void srv_accuracy_print(const struct srv_accuracy *a, int json, FILE *out);

#endif
