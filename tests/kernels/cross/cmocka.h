/* As much of cmocka as the kernel tests use, for builds that run under qemu: a cross compiler has
 * no libcmocka to link. A failed assertion ends its test; the run prints TAP. */
#ifndef TESTS_KERNELS_CROSS_CMOCKA_H
#define TESTS_KERNELS_CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    void *initial_state;
};

enum { CROSS_FAILED = 1, CROSS_SKIPPED = 2 };

static jmp_buf cross_out;

static inline void cross_check(int good, const char *what, const char *file, int line)
{
    if (good)
        return;
    printf("# %s:%d: %s\n", file, line, what);
    longjmp(cross_out, CROSS_FAILED);
}

#define assert_true(c) cross_check((c) != 0, #c, __FILE__, __LINE__)
#define assert_non_null(p) cross_check((p) != NULL, #p, __FILE__, __LINE__)
#define assert_int_equal(a, b)                                                                     \
    cross_check((long long)(a) == (long long)(b), #a " == " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n)                                                               \
    cross_check(memcmp((a), (b), (n)) == 0, #a " == " #b, __FILE__, __LINE__)
#define test_malloc malloc
#define test_free free
#define skip() longjmp(cross_out, CROSS_SKIPPED)
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        printf("# " __VA_ARGS__);                                                                  \
        printf("\n");                                                                              \
        longjmp(cross_out, CROSS_FAILED);                                                          \
    } while (0)

static inline int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests,
                                          size_t n, void *setup, void *teardown)
{
    static volatile int failed;
    static volatile size_t i;
    (void)setup;
    (void)teardown;
    printf("# %s\n1..%zu\n", group, n);
    for (i = 0; i < n; i++) {
        void *state = tests[i].initial_state;
        int how = setjmp(cross_out);
        if (how == 0)
            tests[i].test_func(&state);
        failed += how == CROSS_FAILED;
        printf("%s %zu - %s%s\n", how == CROSS_FAILED ? "not ok" : "ok", i + 1, tests[i].name,
               how == CROSS_SKIPPED ? " # SKIP" : "");
    }
    return failed;
}

#endif
