/* Top-k by insertion into a sorted list: k is small, and most values fail the first comparison. */
#include "engine/base/topk.h"

#include <math.h>

static float rank_of(const float *logits, int i)
{
    return isnan(logits[i]) ? -INFINITY : logits[i];
}

int eng_topk(const float *logits, const float *scores, int n, int first, int k,
             struct eng_prediction *ret)
{
    int have = 0;
    for (int i = first; i < n; i++) {
        float v = rank_of(logits, i);
        int at = have;
        while (at > 0 && v > rank_of(logits, ret[at - 1].class_number + first))
            at--;
        if (at >= k)
            continue;
        have = have < k ? have + 1 : k;
        for (int j = have - 1; j > at; j--)
            ret[j] = ret[j - 1];
        ret[at] = (struct eng_prediction){.class_number = i - first, .score = scores[i]};
    }
    return have;
}
