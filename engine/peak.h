/* The machine's own arithmetic peak: what the inner instruction of a precision reaches when nothing
 * else is in the way. The measure that `bench` compares a network with, in the same run. */
#ifndef ENG_PEAK_H
#define ENG_PEAK_H

#include "engine/model.h"
#include "engine/team.h"

/* Operations a second (a multiply-add counts as two) of the whole team, in one slice of about
 * `seconds`: every member runs the same loop of independent multiply-adds out of registers. Noise
 * only ever makes a slice slower: take the best of several. team NULL: the calling thread; else the
 * caller leads `team` inside eng_team_begin/_end. precision is not AUTO. cpu_bits: which
 * instructions may be used. ret_name (may be NULL): of the instruction, e.g. "avx512 vpdpbusd". */
double eng_peak_measure(enum eng_precision precision, uint32_t cpu_bits, struct eng_team *team,
                        double seconds, const char **ret_name);

/* Whether bf16 or fp32x multiplies faster than fp32 does here, measured in a few slices of a
 * millisecond each in turns: AVX512-BF16 has half the rate of FMAs on processors that have AMX.
 * ret_ops, ret_fp32_ops (may be NULL): best operations a second of a thread, of either. */
int eng_peak_pays(enum eng_precision precision, uint32_t cpu_bits, double *ret_ops,
                  double *ret_fp32_ops);

#endif
