/* Loops of independent multiply-adds out of registers, one a precision and instruction set.
 * Internal to engine/peak.c and kernels/<isa>/peak.c. */
#ifndef ENG_KERNELS_PEAK_H
#define ENG_KERNELS_PEAK_H

#include "engine/engine.h"

struct eng_peak_kernel {
    const char *name;
    uint32_t cpu_bits;
    int ops;                          /* of one iteration, a multiply-add is two */
    void (*run)(uint64_t iterations); /* at least 1 */
};

/* Those of this machine that isa.def names, for which a folder has them. */
#define F32(folder) extern const struct eng_peak_kernel eng_peak_f32_##folder;
#define I8(folder) extern const struct eng_peak_kernel eng_peak_i8_##folder;
#define BF16(folder) extern const struct eng_peak_kernel eng_peak_bf16_##folder;
#define ENG_PEAKS(folder, name, below, bits, also, flags, peaks) peaks
#if defined(__x86_64__)
#define X86_ISA ENG_PEAKS
#elif defined(__aarch64__)
#define ARM_ISA ENG_PEAKS
#endif
#include "engine/isa.def"

#if defined(__x86_64__)
/* The whole loop in assembly: compilers keep accumulators in registers or they do not, and the peak
 * must not depend on it. `body` is run for r = 0 .. CHAINS - 1 on accumulator \\r with operands 13
 * (ones, 16 bits), 14, 15 and the scratch register 12; of 512 bits those are 29, 30, 31 and 28.
 * Operands hold bytes of 63 and 0, which is 0.5 to bf16 and near it to fp32. Twelve chains hide the
 * latency of all but vdpbf16ps (93 % on Zen 5), and 16 registers hold no more. */
enum { ENG_PEAK_CHAINS = 12, ENG_PEAK_CHAINS_512 = 24 };
#define ENG_PEAK_ASM(iterations, v, ones, a, b, chains, body, ...)                                 \
    do {                                                                                           \
        uint64_t left = (iterations);                                                              \
        __asm__ volatile("vmovd %1, %%xmm0\n\t"                                                    \
                         "vpbroadcastd %%xmm0, %%" v b "\n\t"                                      \
                         "vpbroadcastd %%xmm0, %%" v a "\n\t"                                      \
                         "vmovd %2, %%xmm0\n\t"                                                    \
                         "vpbroadcastd %%xmm0, %%" v ones "\n\t"                                   \
                         ".irp r," chains "\n\t"                                                   \
                         "vmovaps %%" v a ", %%" v "\\r\n\t"                                       \
                         ".endr\n\t"                                                               \
                         ".p2align 5\n"                                                            \
                         "1:\n\t"                                                                  \
                         ".irp r," chains "\n\t" body "\n\t.endr\n\t"                              \
                         "dec %0\n\t"                                                              \
                         "jnz 1b\n\t"                                                              \
                         "vzeroupper"                                                              \
                         : "+r"(left)                                                              \
                         : "r"(0x3f003f00), "r"(0x00010001)                                        \
                         : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",   \
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",            \
                           "xmm15" __VA_ARGS__);                                                   \
    } while (0)
#define ENG_PEAK_LOOP(iterations, body)                                                            \
    ENG_PEAK_ASM(iterations, "ymm", "13", "14", "15", "0,1,2,3,4,5,6,7,8,9,10,11", body, )
#define ENG_PEAK_LOOP_512(iterations, body)                                                        \
    ENG_PEAK_ASM(iterations, "zmm", "29", "30", "31",                                              \
                 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23", body, , "xmm16", \
                 "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",  \
                 "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31")
#elif defined(__aarch64__)
/* The same with sixteen accumulators v0 .. v15, operands v16, v17 and scratch v18, v19; `body` is
 * run on each, \\acc. */
enum { ENG_PEAK_CHAINS = 16 };
#define ENG_PEAK_EACH                                                                              \
    ".irp acc,v0.4s,v1.4s,v2.4s,v3.4s,v4.4s,v5.4s,v6.4s,v7.4s,v8.4s,"                              \
    "v9.4s,v10.4s,v11.4s,v12.4s,v13.4s,v14.4s,v15.4s\n\t"
#define ENG_PEAK_LOOP(iterations, body)                                                            \
    do {                                                                                           \
        uint64_t left = (iterations);                                                              \
        __asm__ volatile("dup v16.4s, %w1\n\t"                                                     \
                         "dup v17.4s, %w1\n\t" ENG_PEAK_EACH "dup \\acc, %w1\n\t"                  \
                         ".endr\n"                                                                 \
                         "1:\n\t" ENG_PEAK_EACH body "\n\t.endr\n\t"                               \
                         "subs %0, %0, #1\n\t"                                                     \
                         "b.ne 1b"                                                                 \
                         : "+r"(left)                                                              \
                         : "r"(0x3f003f00)                                                         \
                         : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",       \
                           "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19");  \
    } while (0)
#endif

#endif
