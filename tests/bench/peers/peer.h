/* What the peers share: the shape of MobileNet V1 1.0/224 (Howard et al. 2017, Table 1) and the
 * conversation with the driver. A peer is `peer PRECISION THREADS BATCH`; for each line "SECONDS"
 * on its standard input it runs for so long and answers "min_ms median_ms", so that the driver can
 * take turns between engines within one run. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct peer_layer {
    int in, out, stride; /* channels of the depthwise and of the pointwise behind it */
};
static const struct peer_layer peer_layers[13] = {
    {32, 64, 1},   {64, 128, 2},   {128, 128, 1},   {128, 256, 2}, {256, 256, 1},
    {256, 512, 2}, {512, 512, 1},  {512, 512, 1},   {512, 512, 1}, {512, 512, 1},
    {512, 512, 1}, {512, 1024, 2}, {1024, 1024, 1},
};
enum { PEER_SIDE = 224, PEER_FIRST = 32, PEER_FEATURES = 1024, PEER_CLASSES = 1000 };

static inline void *peer_alloc(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static inline uint32_t peer_random(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static inline float *peer_floats(size_t n, float size)
{
    float *f = peer_alloc(n * sizeof(*f));
    for (size_t i = 0; i < n; i++)
        f[i] = ((float)(peer_random() & 0xffff) / 32768.0f - 1.0f) * size;
    return f;
}

static inline int8_t *peer_bytes(size_t n)
{
    int8_t *b = peer_alloc(n);
    for (size_t i = 0; i < n; i++)
        b[i] = (int8_t)((int)(peer_random() % 255) - 127);
    return b;
}

static inline double peer_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int peer_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* run(arg) once is one batch. */
static inline int peer_serve(void (*run)(void *arg), void *arg)
{
    enum { MAX = 100000 };
    double *ms = peer_alloc(MAX * sizeof(*ms));
    char line[64];
    run(arg);
    run(arg);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        double end = peer_now() + strtod(line, NULL) * 1e3;
        int n = 0;
        do {
            double start = peer_now();
            run(arg);
            ms[n++] = peer_now() - start;
        } while (n < MAX && (n < 3 || peer_now() < end));
        qsort(ms, (size_t)n, sizeof(*ms), peer_compare);
        printf("%.4f %.4f\n", ms[0], ms[n / 2]);
        fflush(stdout);
    }
    free(ms);
    return 0;
}

#endif
