/* The k best of many. Internal to engine/. */
#ifndef ENG_TOPK_H
#define ENG_TOPK_H

#include "engine/context.h"

/* The k largest of logits[first .. n-1], largest first, ties to the lower index; class_number
 * counts from `first`, score is that of `scores`. Returns how many: min(k, n - first), at least 0.
 * A NaN ranks below everything. */
int eng_topk(const float *logits, const float *scores, int n, int first, int k,
             struct eng_prediction *ret);

#endif
