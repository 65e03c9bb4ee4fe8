/* `bench --decode DIR`: from the bytes of a picture to the input tensor, one thread. */
#ifndef SRV_BENCH_DECODE_H
#define SRV_BENCH_DECODE_H

#include "config/config.h"

/* Every picture of the folder cfg->decode to 224x224, in rounds, for cfg->seconds. */
int srv_bench_decode(const struct cfg *cfg, FILE *out, char *err, size_t errlen);

#endif
