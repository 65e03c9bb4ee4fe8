/* What the kernel tests share: seeded random numbers, buffers with guard pages on both sides, and a
 * cmocka run with one test per row of kernels.def.
 *
 * A row whose bits the CPU lacks is skipped and counted; no row run at all is a failure. The seed
 * is printed; KERNEL_TEST_SEED repeats a run, KERNEL_TEST_CPU (a name of eng_cpu_parse) lowers the
 * bits. Built with ENG_AMX_EMULATED, a program runs the AMX rows, whose instructions are then C,
 * and no others that ask for bits. */
#ifndef TESTS_KERNEL_TEST_H
#define TESTS_KERNEL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/kernels/kernel.h"

static uint64_t kt_state;

static inline uint32_t kt_rand(void)
{
    kt_state ^= kt_state >> 12;
    kt_state ^= kt_state << 25;
    kt_state ^= kt_state >> 27;
    return (uint32_t)((kt_state * 0x2545F4914F6CDD1Dull) >> 32);
}

/* A whole number in lo .. hi, both included. */
static inline int kt_range(int lo, int hi)
{
    return lo + (int)(kt_rand() % (uint32_t)(hi - lo + 1));
}

/* As uint8 schemes are: all near the zero point but for a few, which leave int8. */
static inline void kt_spoil_some(uint8_t *w, int size, int32_t *zw, int n)
{
    int centre = kt_range(60, 200);
    for (int i = 0; i < n; i++)
        zw[i] = centre;
    for (int i = 0; i < size; i++)
        w[i] = (uint8_t)(centre + kt_range(-50, 50));
    for (int few = kt_range(1, 6); few > 0; few--)
        w[kt_range(0, size - 1)] = kt_rand() & 1 ? 255 : 0;
    if (kt_rand() % 8 == 0) { /* 255 past the zero point: two int8 do not make that */
        memset(zw, 0, (size_t)n * sizeof(*zw));
        w[0] = 255;
    }
}

static inline float kt_unit(void) /* [0, 1) */
{
    return (float)(kt_rand() >> 8) * 0x1p-24f;
}

/* `bytes` at `at`, `slack` more of readable bytes on both sides, then memory that faults: right
 * behind (or, every other time, right before) what may be touched. */
struct kt_buf {
    uint8_t *map;
    size_t map_bytes;
    uint8_t *body; /* all that does not fault */
    size_t body_bytes;
    uint8_t *at;
};

static inline void *kt_alloc(struct kt_buf *b, size_t bytes, size_t slack, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t need = bytes + 2 * slack + align;
    b->body_bytes = (need + page - 1) / page * page;
    b->map_bytes = b->body_bytes + 2 * page;
    b->map = mmap(NULL, b->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b->map != MAP_FAILED);
    b->body = b->map + page;
    assert_int_equal(mprotect(b->body, b->body_bytes, PROT_READ | PROT_WRITE), 0);
    memset(b->body, 0xA5, b->body_bytes);
    size_t front = (slack + align - 1) / align * align;
    size_t back = (b->body_bytes - slack - bytes) / align * align;
    b->at = b->body + (kt_rand() % 4 ? back : front);
    return b->at;
}

static inline void kt_free(struct kt_buf *b)
{
    if (b->map)
        munmap(b->map, b->map_bytes);
    b->map = NULL;
}

struct kt_row {
    const char *name; /* "op isa" */
    uint32_t bits;
    const void *kernel;
    void (*check)(const void *kernel);
};

static uint32_t kt_bits;
static int kt_rows_run, kt_rows_skipped;

static void kt_run_row(void **state)
{
    const struct kt_row *row = *state;
    if ((row->bits & kt_bits) != row->bits) {
        kt_rows_skipped++;
        skip();
    }
    row->check(row->kernel);
    kt_rows_run++;
}

static inline int kt_main(const char *group, const struct kt_row *rows, size_t n)
{
    const char *seed = getenv("KERNEL_TEST_SEED"), *cpu = getenv("KERNEL_TEST_CPU");
    uint64_t first = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 1000003u;
    kt_state = first | 1;
    printf("# seed %llu\n", (unsigned long long)(first | 1));
#ifdef ENG_AMX_EMULATED
    kt_bits = ENG_CPU_AMXINT8 | ENG_CPU_AMXBF16;
    printf("# AMX emulated in C\n");
#else
    kt_bits = eng_cpu_detect();
    printf("# native, %s\n", eng_cpu_name(kt_bits));
#endif
    uint32_t mask = 0;
    if (cpu && eng_cpu_parse(&mask, cpu) < 0) {
        fprintf(stderr, "KERNEL_TEST_CPU: no such level: %s\n", cpu);
        return 1;
    }
    if (cpu)
        kt_bits &= mask;
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    if (!tests)
        return 1;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = kt_run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    printf("# rows run %d, skipped for want of CPU bits %d, of %zu\n", kt_rows_run, kt_rows_skipped,
           n);
    return failed || kt_rows_run == 0;
}

#endif
