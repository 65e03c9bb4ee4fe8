/* Top-k by a heap of the k best so far, whose root is the worst of them: most values fail one
 * comparison with it, and where none does, each costs log k. The heap lies in the caller's array
 * and is sorted there at the end, so nothing is allocated, whatever k a client asks for. */
#include <math.h>

#include "engine/context.h"

/* Ranks a before b: values in falling order, NaN last, ties to the lower index. */
static int before(const float *values, int a, int b)
{
    float x = values[a], y = values[b];
    if (x > y)
        return 1;
    if (x < y || isnan(x) != isnan(y))
        return isnan(y) && !isnan(x);
    return a < b;
}

/* `values` counts from the first candidate, as class numbers do. */
static void sink(const float *values, struct eng_prediction *heap, int n, int at)
{
    struct eng_prediction moved = heap[at];
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(values, heap[child].class_number, heap[child + 1].class_number))
            child++;
        if (before(values, heap[child].class_number, moved.class_number))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

int eng_topk(const float *values, const float *scores, int n, int first, int k,
             struct eng_prediction *ret)
{
    int candidates = n - first, have = k < candidates ? k : candidates;
    if (have < 1)
        return 0;
    values += first;
    scores += first;
    for (int i = 0; i < have; i++)
        ret[i] = (struct eng_prediction){.class_number = i, .score = scores[i]};
    for (int i = have / 2 - 1; i >= 0; i--)
        sink(values, ret, have, i);
    for (int i = have; i < candidates; i++)
        if (before(values, i, ret[0].class_number)) {
            ret[0] = (struct eng_prediction){.class_number = i, .score = scores[i]};
            sink(values, ret, have, 0);
        }
    for (int end = have - 1; end > 0; end--) {
        struct eng_prediction worst = ret[0];
        ret[0] = ret[end];
        ret[end] = worst;
        sink(values, ret, end, 0);
    }
    return have;
}
