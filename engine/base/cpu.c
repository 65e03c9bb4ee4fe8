/* What the CPU *and* the operating system offer, as one word of bits.
 *
 * On x86 a feature counts only if XGETBV says that the system saves the registers it uses; on Arm
 * the kernel's hardware words say both at once. Built without ISA flags. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
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

/* Of CPUID, by leaf and sub-leaf; 0 where there is no such leaf. */
enum word { ECX_1, EBX_7, ECX_7, EDX_7, EAX_7_1, N_WORDS };

static void read_words(uint32_t ret[N_WORDS])
{
    uint32_t a, b, c, d;
    memset(ret, 0, N_WORDS * sizeof(*ret));
    if (__get_cpuid(1, &a, &b, &c, &d))
        ret[ECX_1] = c;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    ret[EBX_7] = b;
    ret[ECX_7] = c;
    ret[EDX_7] = d;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        ret[EAX_7_1] = a;
}

/* Registers that the system saves when it switches threads. */
enum state { NONE, YMM, ZMM, TILES };

static int saves(enum state state, uint32_t ecx_1)
{
    static const uint64_t xcr0[] = {0, 0x06, 0xe6, 0x600e6};
    const uint32_t avx_fma_f16c = bit_AVX | bit_FMA | bit_F16C;
    if (state == NONE)
        return 1;
    return ecx_1 & bit_OSXSAVE && (ecx_1 & avx_fma_f16c) == avx_fma_f16c &&
           (read_xcr0() & xcr0[state]) == xcr0[state] && (state != TILES || may_use_tiles());
}

static uint32_t detect(void)
{
    uint32_t word[N_WORDS], bits = 0;
    read_words(word);
#define X86_BIT(id, number, in, mask, state, needs)                                                \
    if ((word[in] & (mask)) == (mask) && (bits & (uint32_t)(needs)) == (uint32_t)(needs) &&        \
        saves(state, word[ECX_1]))                                                                 \
        bits |= ENG_CPU_##id;
#include "engine/isa.def"
    return bits;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>
#include <asm/hwcap.h>

static uint32_t detect(void)
{
    enum { HWCAP, HWCAP2 };
    unsigned long word[] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    uint32_t bits = 0;
#define ARM_BIT(id, number, in, mask)                                                              \
    if ((word[in] & (mask)) == (mask))                                                             \
        bits |= ENG_CPU_##id;
#include "engine/isa.def"
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

/* All bits of each level. */
enum {
    ENG_ISA_c = 0,
#define ISA(folder, name, below, bits, ...) ENG_ISA_##folder = ENG_ISA_##below | (bits),
#include "engine/isa.def"
};

/* Lowest first; eng_cpu_name() takes the last that fits. */
static const struct {
    const char *name;
    uint32_t needs, allows;
} levels[] = {
    {"c", 0, ENG_CPU_C},
#define ISA(folder, name, below, bits, also, ...)                                                  \
    {name, ENG_ISA_##folder, ENG_CPU_C | ENG_ISA_##folder | (also)},
#include "engine/isa.def"
};

int eng_cpu_parse(uint32_t *ret_bits, const char *name)
{
    if (strcmp(name, "native") == 0) {
        *ret_bits = UINT32_MAX;
        return 0;
    }
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *ret_bits = levels[i].allows;
            return 0;
        }
    }
    return -EINVAL;
}

const char *eng_cpu_name(uint32_t bits)
{
    const char *name = levels[0].name;
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
        if ((bits & levels[i].needs) == levels[i].needs)
            name = levels[i].name;
    return name;
}

const char *eng_cpu_least(uint32_t bits)
{
    size_t i = 0;
    while (i + 1 < sizeof(levels) / sizeof(*levels) && bits & ~levels[i].allows)
        i++;
    return levels[i].name;
}
