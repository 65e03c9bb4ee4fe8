/* How long a network should take on one thread of this machine, from its layers and the machine's
 * arithmetic peak alone: nothing is run but the peak's own loop. */
#ifndef SRV_PREDICT_H
#define SRV_PREDICT_H

#include "engine/model.h"

struct srv_predict {
    double peak;    /* operations a second of one thread, a multiply-add is two */
    double clock;   /* cycles a second that this peak stands for */
    int arithmetic; /* row of the table of rates */
};

/* peak 0: measured now, in about 50 ms. */
void srv_predict_init(struct srv_predict *p, const struct eng_model *m, uint32_t cpu_bits,
                      double peak);
/* Microseconds of one layer. Fused layers are priced one by one. */
double srv_predict_layer_us(const struct srv_predict *p, const struct eng_layer *l);

#endif
