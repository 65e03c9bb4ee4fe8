/* Multiply-adds, with channels rounded up to the blocks of 16 that are computed, at a share of the
 * peak for each kind of layer; plus a price for every block that is stored, for weights that do not
 * stay in cache, and for a step. The shares were fitted once to MobileNet V1 1.0/224 on a Zen 5
 * core, those of AMX on a Sapphire Rapids one (docs/PERFORMANCE.md); what carries over to another
 * network and machine is the peak. */
#include "server/cli/predict.h"

#include <string.h>

#include "engine/peak.h"
#include "server/cli/chosen_model.h"

enum { SLICES = 5, BLOCK = 16, CACHED_WEIGHTS = 640 << 10 };
static const double SLICE_SECONDS = 0.01;
static const double STEP_CYCLES = 250, WEIGHT_BYTES_A_CYCLE = 10, STRICT_CYCLES = 30;

static const struct rates {
    const char *precision, *isa;  /* of kernels at that level alone; NULL: of any */
    double macs_a_cycle;          /* at the peak, with 512-bit vectors or tiles */
    double gemm, depthwise, conv; /* shares of the peak */
    double store;                 /* cycles a block of outputs */
    int bytes;                    /* of a weight */
} rates[] = {
    {"int8", "amx", 1024, 0.75, 0.047, 0.083, 3, 1},
    {"uint8", "amx", 1024, 0.75, 0.047, 0.083, 3, 1},
    {"bf16", "amx", 512, 0.75, 0.02, 0.13, 3, 2},
    {"fp32x", "amx", 85, 0.5, 0.17, 0.32, 4, 6},
    {"int8", NULL, 128, 0.86, 0.375, 0.66, 1.5, 1},
    {"uint8", NULL, 128, 0.86, 0.375, 0.66, 1.5, 1},
    {"bf16", NULL, 64, 0.9, 0.3, 0.28, 2, 2},
    {"fp32", NULL, 32, 0.93, 0.45, 0.85, 4, 4},
};
enum { N_RATES = sizeof(rates) / sizeof(rates[0]) };

void srv_predict_init(struct srv_predict *p, const struct eng_model *m, uint32_t cpu_bits,
                      double peak)
{
    const struct eng_model_info *info = eng_model_info(m);
    *p = (struct srv_predict){.peak = peak, .arithmetic = N_RATES - 1};
    for (int i = N_RATES - 1; i >= 0; i--)
        if (strcmp(info->precision, rates[i].precision) == 0 &&
            (!rates[i].isa || strcmp(info->isa, rates[i].isa) == 0))
            p->arithmetic = i;
    for (int i = 0; i < SLICES && peak <= 0; i++) {
        double ops = eng_peak_measure(srv_precision(rates[p->arithmetic].precision), cpu_bits, NULL,
                                      SLICE_SECONDS, NULL);
        p->peak = ops > p->peak ? ops : p->peak;
    }
    int wide = strstr(info->isa, "avx512") || strcmp(info->isa, "amx") == 0;
    double width = wide ? 1 : strstr(info->isa, "avx") ? 0.5 : 0.25;
    p->clock = p->peak / 2 / (rates[p->arithmetic].macs_a_cycle * width);
}

static double blocks(int channels)
{
    return (double)((channels + BLOCK - 1) / BLOCK);
}

double srv_predict_layer_us(const struct srv_predict *p, const struct eng_layer *l)
{
    const struct rates *r = &rates[p->arithmetic];
    double pixels = (double)l->out_h * l->out_w, out = pixels * blocks(l->out_c);
    double in = (double)l->in_h * l->in_w * blocks(l->in_c), share = 0, macs = 0;
    double window = (double)l->kernel_h * l->kernel_w, cycles = STEP_CYCLES;
    if (l->step < 0 && l->mult_adds == 0)
        return 0;
    if (strcmp(l->kernel, "ref") == 0)
        return STRICT_CYCLES * (out * BLOCK + (double)l->mult_adds) / p->clock * 1e6;
    if (strcmp(l->kind, "depthwise") == 0) {
        share = r->depthwise;
        macs = out * BLOCK * window;
    } else if (strcmp(l->kind, "conv") == 0 && l->in_c < BLOCK) {
        share = r->conv;
        macs = out * BLOCK * window * l->in_c;
    } else if (l->mult_adds > 0) {
        share = r->gemm;
        macs = (double)l->mult_adds * l->density * (out * BLOCK) / (pixels * l->out_c) *
               blocks(l->in_c) * BLOCK / l->in_c;
    }
    double weights = (double)l->parameters * l->density * r->bytes;
    if (weights > CACHED_WEIGHTS)
        cycles += weights / WEIGHT_BYTES_A_CYCLE;
    cycles += share > 0 ? out * r->store : (in + out) * r->store;
    double arithmetic = share > 0 ? macs * 2 / (p->peak * share) : 0;
    return (arithmetic + cycles / p->clock) * 1e6;
}
