/* Channel blocks as floats, for drivers that know no bf16: a block of a bf16 value is widened into
 * the member's scratch, and narrowed back when it is done. Blocks of floats stay where they are.
 * Internal to the planner. */
#ifndef ENG_PLAN_FLOATS_H
#define ENG_PLAN_FLOATS_H

#include "engine/plan/steps.h"

/* Scratch that a block of so many pixels takes. */
size_t eng_floats_bytes(int pixels);

/* Block b of a value of an image. *scratch moves on by what is taken of it. */
const float *eng_floats_in(const struct eng_call *c, int value, int image, int b, char **scratch);
/* Where a block goes that is made anew; the second puts it in its place. */
float *eng_floats_out(const struct eng_call *c, int value, int image, int b, char **scratch);
void eng_floats_done(const struct eng_call *c, int value, int image, int b, const float *made);

#endif
