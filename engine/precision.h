/* Which arithmetic a model runs in: what was asked for, what its manifest wishes, what its file
 * holds, and what the processor can do. Internal to engine/. */
#ifndef ENG_PRECISION_H
#define ENG_PRECISION_H

#include "engine/model.h"

const char *eng_precision_name(enum eng_precision p); /* "" for AUTO */
/* The model's file is fp32: bf16, fp32x. */
int eng_precision_of_fp32(enum eng_precision p);

/* Puts a manifest's wish in the place of AUTO: fp32 where bf16 or fp32x would be slower here. */
void eng_precision_wish(struct eng_model_options *opts, enum eng_precision wish);

/* Whether a model whose file is `file` can run as asked for. ENG_E_UNSUPPORTED. */
int eng_precision_check(const struct eng_model_options *opts, const char *file, uint32_t cpu_bits,
                        char *err, size_t errlen);

#endif
