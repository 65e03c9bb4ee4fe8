/* CPU levels: names and bits agree both ways; dispatch never leaves a hole. */
#include "engine/kernels/kernel.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* What a child answers that has asked for nothing yet. */
static int in_a_child(int (*f)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        syscall(SYS_exit, f());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Linux grants no tiles where a signal's frame with them would not fit the alternate stack. */
static int tiles_with_a_small_stack(void)
{
    enum { BYTES = 8192 }; /* tiles alone are as large */
    stack_t small = {.ss_sp = malloc(BYTES), .ss_size = BYTES};
    if (!small.ss_sp || sigaltstack(&small, NULL) < 0)
        return 2;
    uint32_t bits = eng_cpu_detect();
    return (bits & (ENG_CPU_AMXINT8 | ENG_CPU_AMXBF16)) != 0;
}

/* The first test: this process must not have asked before it forks. */
static void refused_tiles_are_no_bits(void **state)
{
    (void)state;
    int answer = in_a_child(tiles_with_a_small_stack);
    if (answer == 2)
        skip();
    assert_int_equal(answer, 0);
}

/* In strict mode, any call but read, write and exit kills. */
static int ask_behind_a_sandbox(void)
{
    uint32_t before = eng_cpu_detect();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
        return 2;
    return eng_cpu_detect() != before;
}

static void the_system_is_asked_once(void **state)
{
    (void)state;
    int answer = in_a_child(ask_behind_a_sandbox);
    if (answer == 2)
        skip();
    assert_int_equal(answer, 0);
}

static void names_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {
        "c",
#define ISA(folder, name, ...) name,
#include "engine/isa.def"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint32_t bits = 0;
        assert_int_equal(eng_cpu_parse(&bits, names[i]), 0);
        assert_string_equal(eng_cpu_name(bits), names[i]);
    }
    uint32_t bits = 7;
    assert_int_equal(eng_cpu_parse(&bits, "avx9"), -EINVAL);
    assert_int_equal(eng_cpu_parse(&bits, ""), -EINVAL);
    assert_int_equal(bits, 7); /* unwritten on failure */
    assert_int_equal(eng_cpu_parse(&bits, "native"), 0);
    assert_int_equal(bits, UINT32_MAX);
}

static void levels_contain_the_lower(void **state)
{
    (void)state;
    uint32_t low, high;
    assert_int_equal(eng_cpu_parse(&low, "avx2"), 0);
    assert_int_equal(eng_cpu_parse(&high, "avx512vnni"), 0);
    assert_int_equal(low & ~high, 0);
    assert_true(high & ENG_CPU_AVX512VBMI);
    assert_false(low & ENG_CPU_AVX512);
    /* A hole in the middle is not the level. */
    assert_string_equal(eng_cpu_name(high & ~(uint32_t)ENG_CPU_AVX2), "sse41");
}

static void detect_is_consistent(void **state)
{
    (void)state;
    uint32_t bits = eng_cpu_detect();
    assert_int_equal(bits, eng_cpu_detect());
    if (bits & ENG_CPU_AVX512)
        assert_true(bits & ENG_CPU_AVX2);
    if (bits & (ENG_CPU_AVX512VNNI | ENG_CPU_AVX512BF16))
        assert_true(bits & ENG_CPU_AVX512);
}

static void dispatch_fills_every_op(void **state)
{
    (void)state;
    struct eng_kernels none, all;
    memset(&none, 0, sizeof(none));
    memset(&all, 0, sizeof(all));
    eng_kernels_choose(&none, 0);
    eng_kernels_choose(&all, eng_cpu_detect());
#define X(op)                                                                                      \
    assert_ptr_equal(none.op, &eng_##op##_c);                                                      \
    assert_non_null(all.op);                                                                       \
    assert_int_equal(all.op->cpu_bits & ~eng_cpu_detect(), 0);
    ENG_KERNEL_OPS(X)
#undef X
}

/* The cost model divides by some of them. */
static void every_level_has_rates(void **state)
{
    (void)state;
    static const char *const names[] = {
        "c",
#define ISA(folder, name, ...) name,
#include "engine/isa.def"
        "native",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint32_t bits;
        struct eng_kernels k;
        assert_int_equal(eng_cpu_parse(&bits, names[i]), 0);
        eng_kernels_choose(&k, bits);
        assert_true(k.pw_u8->macs > 0 && k.pw_f32->macs > 0 && k.spw_f32->macs > 0 &&
                    k.pw_bf16->macs > 0 && k.pw_f32x->macs > 0);
        assert_true(k.dw_u8->pixel_cycles > 0 && k.dw_f32->pixel_cycles > 0 &&
                    k.dw_bf16->pixel_cycles > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_tiles_are_no_bits), cmocka_unit_test(the_system_is_asked_once),
        cmocka_unit_test(names_round_trip),          cmocka_unit_test(levels_contain_the_lower),
        cmocka_unit_test(detect_is_consistent),      cmocka_unit_test(dispatch_fills_every_op),
        cmocka_unit_test(every_level_has_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
