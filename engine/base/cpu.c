/* What the CPU *and* the operating system offer, as one word of bits.
 *
 * On x86 a feature counts only if XGETBV says that the system saves the registers it uses; on Arm
 * the kernel's hardware words say both at once. Built without ISA flags. */
#include "engine/engine.h"

#include <errno.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCR0_YMM = 0x06, XCR0_ZMM = 0xe6, XCR0_TILES = 0x60000 };

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static uint32_t has(uint32_t word, uint32_t all, uint32_t bits)
{
    return (word & all) == all ? bits : 0;
}

/* Tiles are 8 KB that each context switch may have to save, so Linux (5.16 on) hands them out on
 * request only (its Documentation/arch/x86/xstate.rst); using them without is SIGILL. Asked once: a
 * process has one answer for all of its life, threads and children inherit it, and a sandbox may
 * kill who asks later. */
static int may_use_tiles(void)
{
#if defined(__x86_64__) && defined(__linux__)
    enum { UNKNOWN, NO, YES, ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    static atomic_int eng_tiles_allowed;
    int known = atomic_load(&eng_tiles_allowed);
    if (known == UNKNOWN) {
        known = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 ? YES : NO;
        atomic_store(&eng_tiles_allowed, known);
    }
    return known == YES;
#else
    return 0;
#endif
}

/* CPUID 7.0 EDX. */
static uint32_t amx(uint32_t d, uint64_t xcr0)
{
    enum { TILE = 1u << 24, INT8 = 1u << 25, BF16 = 1u << 22 };
    if (!(d & TILE) || (xcr0 & XCR0_TILES) != XCR0_TILES || !may_use_tiles())
        return 0;
    return has(d, INT8, ENG_CPU_AMXINT8) | has(d, BF16, ENG_CPU_AMXBF16);
}

static uint32_t detect(void)
{
    uint32_t a, b, c, d, bits = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    bits |= has(c, bit_SSE4_1 | bit_SSSE3, ENG_CPU_SSE41);
    if (!(c & bit_OSXSAVE))
        return bits;
    uint64_t xcr0 = read_xcr0();
    int avx_fma_f16c = (c & (bit_AVX | bit_FMA | bit_F16C)) == (bit_AVX | bit_FMA | bit_F16C);
    if ((xcr0 & XCR0_YMM) != XCR0_YMM || !avx_fma_f16c || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return bits;
    uint32_t a1, b1, c1, d1;
    if (a < 1 || !__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1))
        a1 = 0;
    bits |= has(b, bit_AVX2, ENG_CPU_AVX2) | has(b, bit_SHA, ENG_CPU_SHA);
    if (bits & ENG_CPU_AVX2)
        bits |= has(a1, 1u << 4, ENG_CPU_AVXVNNI);
    if ((xcr0 & XCR0_ZMM) != XCR0_ZMM)
        return bits;
    bits |= has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD,
                ENG_CPU_AVX512);
    if (bits & ENG_CPU_AVX512) {
        bits |= has(c, bit_AVX512VNNI, ENG_CPU_AVX512VNNI);
        bits |= has(c, bit_AVX512VBMI, ENG_CPU_AVX512VBMI);
        bits |= has(a1, 1u << 5, ENG_CPU_AVX512BF16);
    }
    if (bits & ENG_CPU_AVX512VNNI && bits & ENG_CPU_AVX512VBMI)
        bits |= amx(d, xcr0);
    return bits;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>
#include <asm/hwcap.h>

static uint32_t detect(void)
{
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    uint32_t bits = 0;
    bits |= cap & HWCAP_ASIMD ? ENG_CPU_NEON : 0;
    bits |= cap & HWCAP_ASIMDDP ? ENG_CPU_DOTPROD : 0;
    bits |= cap2 & HWCAP2_I8MM ? ENG_CPU_I8MM : 0;
    bits |= cap2 & HWCAP2_BF16 ? ENG_CPU_NEONBF16 : 0;
    return bits;
}

#else

static uint32_t detect(void)
{
    return 0;
}

#endif

uint32_t eng_cpu_detect(void)
{
    return detect() | ENG_CPU_C;
}

enum {
    BITS_AVX2 = ENG_CPU_SSE41 | ENG_CPU_AVX2,
    BITS_AVX512 = BITS_AVX2 | ENG_CPU_AVX512,
    BITS_AVX512VNNI = BITS_AVX512 | ENG_CPU_AVX512VNNI | ENG_CPU_AVX512VBMI,
    BITS_AMX = BITS_AVX512VNNI | ENG_CPU_AVX512BF16 | ENG_CPU_AMXINT8 | ENG_CPU_AMXBF16,
    BITS_DOTPROD = ENG_CPU_NEON | ENG_CPU_DOTPROD,
    BITS_I8MM = BITS_DOTPROD | ENG_CPU_I8MM,
};

/* Lowest first; eng_cpu_name() takes the last that fits. The AVX-512 levels carry AVX-VNNI when
 * parsed (it is no part of what names them: the first AVX512-VNNI parts lack it). */
static const struct {
    const char *name;
    uint32_t needs, also;
} levels[] = {
    {"c", 0, 0},
    {"sse41", ENG_CPU_SSE41, 0},
    {"avx2", BITS_AVX2, 0},
    {"avxvnni", BITS_AVX2 | ENG_CPU_AVXVNNI, 0},
    {"avx512", BITS_AVX512, ENG_CPU_AVXVNNI},
    {"avx512vnni", BITS_AVX512VNNI, ENG_CPU_AVXVNNI},
    {"avx512bf16", BITS_AVX512VNNI | ENG_CPU_AVX512BF16, ENG_CPU_AVXVNNI},
    {"amx", BITS_AMX, ENG_CPU_AVXVNNI},
    {"neon", ENG_CPU_NEON, 0},
    {"dotprod", BITS_DOTPROD, 0},
    {"i8mm", BITS_I8MM, 0},
    {"bf16", BITS_I8MM | ENG_CPU_NEONBF16, 0},
};

int eng_cpu_parse(uint32_t *ret_bits, const char *name)
{
    if (strcmp(name, "native") == 0) {
        *ret_bits = UINT32_MAX;
        return 0;
    }
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *ret_bits = levels[i].needs | levels[i].also | ENG_CPU_C;
            return 0;
        }
    }
    return -EINVAL;
}

const char *eng_cpu_name(uint32_t bits)
{
    const char *name = levels[0].name;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((bits & levels[i].needs) == levels[i].needs)
            name = levels[i].name;
    return name;
}
