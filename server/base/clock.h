/* The one clock of deadlines and stage times: CLOCK_MONOTONIC in nanoseconds. */
#ifndef SRV_CLOCK_H
#define SRV_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SRV_NS_PER_MS 1000000u
#define SRV_NEVER UINT64_MAX /* a deadline that never comes */

static inline uint64_t srv_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
