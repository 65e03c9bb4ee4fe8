/* `bench --grid`: the paper's sixteen networks, alpha x rho, time against multiply-adds. */
#ifndef SRV_BENCH_GRID_H
#define SRV_BENCH_GRID_H

#include "config/config.h"

/* Everything but alpha and rho is as cfg says; cfg->seconds is for each network. */
int srv_bench_grid(const struct cfg *cfg, FILE *out, char *err, size_t errlen);

#endif
