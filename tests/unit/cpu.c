/* CPU levels: names and bits agree both ways; dispatch never leaves a hole. */
#include "engine/kernels/kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

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
                    k.pw_bf16->macs > 0);
        assert_true(k.dw_u8->pixel_cycles > 0 && k.dw_f32->pixel_cycles > 0 &&
                    k.dw_bf16->pixel_cycles > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),      cmocka_unit_test(levels_contain_the_lower),
        cmocka_unit_test(detect_is_consistent),  cmocka_unit_test(dispatch_fills_every_op),
        cmocka_unit_test(every_level_has_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
