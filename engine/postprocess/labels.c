/* Logits of a segmentation to labels, and labels to runs. */
#include "engine/postprocess.h"

void eng_label_map(const float *logits, size_t n, int classes, uint8_t *ret)
{
    for (size_t i = 0; i < n; i++, logits += classes) {
        int best = 0;
        for (int k = 1; k < classes; k++)
            best = logits[k] > logits[best] ? k : best;
        ret[i] = (uint8_t)best;
    }
}

size_t eng_label_runs(const uint8_t *labels, size_t n, uint32_t *ret, size_t most)
{
    size_t numbers = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && labels[end] == labels[i] && end - i < UINT32_MAX)
            end++;
        if (numbers + 2 <= most) {
            ret[numbers] = labels[i];
            ret[numbers + 1] = (uint32_t)(end - i);
        }
        numbers += 2;
        i = end;
    }
    return numbers;
}
