/* How many CPUs this process may really use: affinity mask, then the CPU quota of its control group
 * and of every group above it (cgroup v1 cfs_quota_us, v2 cpu.max). */
#ifndef SRV_QUOTA_H
#define SRV_QUOTA_H

struct srv_quota {
    int affinity;        /* CPUs in the mask */
    double limit;        /* CPUs' worth of time per period; 0 = none */
    int workers;         /* threads to start: the smaller of both, to the nearest, at least 1 */
    const char *version; /* "v1", "v2" or "none": where the limit came from */
};

/* root is prefixed to /proc and /sys ("" in life, a made-up tree in tests). Never fails: what
 * cannot be read sets no limit. */
void srv_quota_read(struct srv_quota *ret, const char *root);

#endif
