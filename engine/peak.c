/* The machine's own arithmetic peak: picks the loop, sizes it by time, runs it on every member. */
#include "engine/peak.h"

#include "engine/base/clock.h"
#include "engine/kernels/peak.h"

/* What a compiler makes of plain C without flags, where no instruction set is known or allowed. */
static void run_c_f32(uint64_t iterations)
{
    float acc[16];
    for (int i = 0; i < 16; i++)
        acc[i] = (float)i;
    for (uint64_t k = 0; k < iterations; k++)
        for (int i = 0; i < 16; i++)
            acc[i] = acc[i] * 0.5f + 1.0f;
    float sum = 0;
    for (int i = 0; i < 16; i++)
        sum += acc[i];
    __asm__ volatile("" : : "r"((int)sum));
}

static void run_c_i8(uint64_t iterations)
{
    int16_t x[64], y[64];
    int32_t sum = 0;
    for (int i = 0; i < 64; i++) {
        x[i] = (int16_t)i;
        y[i] = 3;
    }
    for (uint64_t k = 0; k < iterations; k++) {
        __asm__ volatile("" : : "r"(x), "r"(y) : "memory"); /* else it is done but once */
        for (int i = 0; i < 64; i++)
            sum += x[i] * y[i];
    }
    __asm__ volatile("" : : "r"(sum));
}

static const struct eng_peak_kernel peak_f32_c = {"c", 0, 32, run_c_f32};
static const struct eng_peak_kernel peak_i8_c = {"c", 0, 128, run_c_i8};

/* From the plainest to the fastest. */
static const struct row {
    enum eng_type type;
    const struct eng_peak_kernel *kernel;
} rows[] = {
    {ENG_F32, &peak_f32_c},
    {ENG_I8, &peak_i8_c},
#define F32(folder) {ENG_F32, &eng_peak_f32_##folder},
#define I8(folder) {ENG_I8, &eng_peak_i8_##folder},
#define BF16(folder) {ENG_BF16, &eng_peak_bf16_##folder},
#if defined(__x86_64__)
#define X86_ISA ENG_PEAKS
#elif defined(__aarch64__)
#define ARM_ISA ENG_PEAKS
#endif
#include "engine/isa.def"
};

static const struct eng_peak_kernel *best(enum eng_type type, uint32_t bits)
{
    const struct eng_peak_kernel *found = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].type == type && (rows[i].kernel->cpu_bits & ~bits) == 0)
            found = rows[i].kernel;
    return found;
}

/* Where bf16 has no arithmetic of its own, it is done in floats; fp32x is six products of bf16. */
static const struct eng_peak_kernel *choose(enum eng_precision precision, uint32_t bits,
                                            int *ret_products)
{
    enum { PRODUCTS = 6 };
    const struct eng_peak_kernel *k = NULL;
    *ret_products = 1;
    if (precision == ENG_PRECISION_INT8 || precision == ENG_PRECISION_UINT8)
        return best(ENG_I8, bits);
    if (precision == ENG_PRECISION_BF16)
        k = best(ENG_BF16, bits);
    if (precision == ENG_PRECISION_FP32X && bits & ENG_CPU_AMXBF16) {
        *ret_products = PRODUCTS;
        return best(ENG_BF16, bits);
    }
    return k ? k : best(ENG_F32, bits);
}

static double now(void)
{
    return (double)eng_clock_ns() * 1e-9;
}

struct slice {
    const struct eng_peak_kernel *kernel;
    uint64_t iterations;
};

static void run_slice(void *arg, int begin, int end, int member)
{
    const struct slice *s = arg;
    (void)member;
    for (int i = begin; i < end; i++)
        s->kernel->run(s->iterations);
}

double eng_peak_measure(enum eng_precision precision, uint32_t cpu_bits, struct eng_team *team,
                        double seconds, const char **ret_name)
{
    int products;
    struct slice s = {choose(precision, cpu_bits, &products), 1000};
    double start = now(), took = 0;
    run_slice(&s, 0, 1, 0); /* warm */
    for (;;) {
        start = now();
        run_slice(&s, 0, 1, 0);
        took = now() - start;
        if (took > seconds / 8 || s.iterations > (uint64_t)1 << 40)
            break;
        s.iterations *= 2;
    }
    s.iterations = (uint64_t)((double)s.iterations * seconds / took) + 1;
    int members = eng_team_members(team);
    start = now();
    eng_team_for(team, members, run_slice, &s);
    took = now() - start;
    if (ret_name)
        *ret_name = s.kernel->name;
    return (double)s.iterations * s.kernel->ops * members / took / products;
}

int eng_peak_pays(enum eng_precision precision, uint32_t cpu_bits, double *ret_ops,
                  double *ret_fp32_ops)
{
    enum { TURNS = 4 };
    const enum eng_precision of[2] = {precision, ENG_PRECISION_FP32};
    double most[2] = {0};
    for (int i = 0; i < 2 * TURNS; i++) {
        double ops = eng_peak_measure(of[i % 2], cpu_bits, NULL, 0.001, NULL);
        most[i % 2] = ops > most[i % 2] ? ops : most[i % 2];
    }
    if (ret_ops)
        *ret_ops = most[0];
    if (ret_fp32_ops)
        *ret_fp32_ops = most[1];
    return most[0] > 1.1 * most[1];
}
