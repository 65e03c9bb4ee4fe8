/* See precision.h. */
#include "engine/precision.h"

#include <string.h>

#include "engine/base/fail.h"
#include "engine/kernels/kernel.h"
#include "engine/peak.h"

static const char *const names[] = {
    [ENG_PRECISION_AUTO] = "",     [ENG_PRECISION_INT8] = "int8", [ENG_PRECISION_UINT8] = "uint8",
    [ENG_PRECISION_FP32] = "fp32", [ENG_PRECISION_BF16] = "bf16", [ENG_PRECISION_FP32X] = "fp32x"};

const char *eng_precision_name(enum eng_precision p)
{
    return names[p];
}

int eng_precision_of_fp32(enum eng_precision p)
{
    return p == ENG_PRECISION_BF16 || p == ENG_PRECISION_FP32X;
}

static int has_instructions(enum eng_precision p, uint32_t cpu_bits)
{
    struct eng_kernels k;
    eng_kernels_choose(&k, cpu_bits);
    return (p == ENG_PRECISION_BF16 ? k.pw_bf16->cpu_bits : k.pw_f32x->cpu_bits) != 0;
}

void eng_precision_wish(struct eng_model_options *opts, enum eng_precision wish)
{
    uint32_t bits = opts->cpu_bits ? opts->cpu_bits : eng_cpu_detect();
    if (opts->precision != ENG_PRECISION_AUTO || opts->reference)
        return;
    if (eng_precision_of_fp32(wish) &&
        (!has_instructions(wish, bits) || !eng_peak_pays(wish, bits, NULL, NULL)))
        wish = ENG_PRECISION_FP32;
    opts->precision = wish;
}

/* Without instructions for them they would only be slower, and bf16 less exact, than fp32. Plain C
 * alone, asked for as such, takes them: to compare with. */
int eng_precision_check(const struct eng_model_options *opts, const char *file, uint32_t cpu_bits,
                        char *err, size_t errlen)
{
    enum eng_precision want = opts->precision;
    if (want == ENG_PRECISION_AUTO || strcmp(names[want], file) == 0)
        return 0;
    if (!eng_precision_of_fp32(want) || strcmp(file, names[ENG_PRECISION_FP32]) != 0)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "the model is %s and cannot run as %s",
                        file, names[want]);
    if (opts->reference)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "reference kernels know no %s",
                        names[want]);
    if (has_instructions(want, cpu_bits) || !(cpu_bits & ~ENG_CPU_C))
        return 0;
    return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                    "this processor, or the option isa, has no instructions for %s", names[want]);
}
