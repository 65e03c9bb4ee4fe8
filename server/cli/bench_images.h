/* `bench --images DIR`: what serving comes down to, without a server: pictures decoded and
 * classified over and over, on as many threads as are asked for. The yardstick of the load tests.
 */
#ifndef SRV_BENCH_IMAGES_H
#define SRV_BENCH_IMAGES_H

#include "config/config.h"

/* The model is that of srv_chosen_model(); a folder without a picture that can be decoded is
 * -EINVAL. */
int srv_bench_images(const struct cfg *cfg, FILE *out, char *err, size_t errlen);

#endif
