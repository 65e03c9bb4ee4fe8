/* Raw heads of face detectors to boxes and points, and the suppression of one class. Sums and
 * products are in fp32, in the order in which the networks' own post-processing has them. */
#include "engine/postprocess.h"

#include <math.h>
#include <string.h>

enum { MAX_PRIORS = 1 << 20, BLAZE_SIDE = 128 };

static float unit(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

int eng_prior_count(const struct eng_prior_map *maps, int n)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        if (maps[i].width < 1 || maps[i].height < 1 || maps[i].n < 1 || maps[i].n > 4)
            return -1;
        if (maps[i].width > MAX_PRIORS / maps[i].height)
            return -1;
        sum += (int64_t)maps[i].width * maps[i].height * maps[i].n;
        if (sum > MAX_PRIORS)
            return -1;
    }
    return (int)sum;
}

void eng_priors(const struct eng_prior_map *maps, int n, int width, int height, float (*ret)[4])
{
    for (const struct eng_prior_map *m = maps; m < maps + n; m++)
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++)
                for (int k = 0; k < m->n; k++, ret++) {
                    (*ret)[0] = unit((float)(((double)x + 0.5) / m->width));
                    (*ret)[1] = unit((float)(((double)y + 0.5) / m->height));
                    (*ret)[2] = unit((float)((double)m->side[k] / width));
                    (*ret)[3] = unit((float)((double)m->side[k] / height));
                }
}

void eng_prior_boxes(const float (*locations)[4], const float (*priors)[4], int n, float (*ret)[4])
{
    for (int i = 0; i < n; i++)
        for (int axis = 0; axis < 2; axis++) {
            float size = priors[i][2 + axis];
            float centre = locations[i][axis] * 0.1f * size + priors[i][axis];
            float half = expf(locations[i][2 + axis] * 0.2f) * size / 2;
            ret[i][axis] = centre - half;
            ret[i][2 + axis] = centre + half;
        }
}

void eng_blaze_anchors(float ret[ENG_BLAZE_ANCHORS][2])
{
    static const int sides[2] = {16, 8}, repeats[2] = {2, 6};
    int i = 0;
    for (int layer = 0; layer < 2; layer++)
        for (int y = 0; y < sides[layer]; y++)
            for (int x = 0; x < sides[layer]; x++)
                for (int k = 0; k < repeats[layer]; k++, i++) {
                    ret[i][0] = ((float)x + 0.5f) / (float)sides[layer];
                    ret[i][1] = ((float)y + 0.5f) / (float)sides[layer];
                }
}

void eng_blaze_decode(const float values[ENG_BLAZE_VALUES], const float anchor[2], float ret_box[4],
                      float ret_points[ENG_BLAZE_POINTS][2])
{
    for (int axis = 0; axis < 2; axis++) {
        float centre = values[axis] / BLAZE_SIDE + anchor[axis];
        float half = values[2 + axis] / BLAZE_SIDE / 2;
        ret_box[axis] = centre - half;
        ret_box[2 + axis] = centre + half;
        for (int k = 0; k < ENG_BLAZE_POINTS; k++)
            ret_points[k][axis] = values[4 + 2 * k + axis] / BLAZE_SIDE + anchor[axis];
    }
}

float eng_blaze_score(float logit)
{
    if (logit != logit)
        return 0;
    logit = logit < -100 ? -100 : logit > 100 ? 100 : logit;
    return 1.0f / (1.0f + expf(-logit));
}

/* ---- suppression ---- */

struct scored {
    float score;
    int32_t box;
};

size_t eng_keep_scratch(int n)
{
    return (size_t)n * sizeof(struct scored);
}

static int is_better(const struct scored *a, const struct scored *b)
{
    return a->score > b->score || (a->score == b->score && a->box < b->box);
}

static void sink(struct scored *heap, int n, int at)
{
    struct scored it = heap[at];
    for (int child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && is_better(&heap[child + 1], &heap[child]);
        if (!is_better(&heap[child], &it))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = it;
}

static int overlaps(const float a[4], const float b[4], const struct eng_keep_options *o)
{
    if (o->padding == 0)
        return eng_box_overlap(a, b) > o->iou_threshold;
    float width = fmaxf(fminf(a[2], b[2]) - fmaxf(a[0], b[0]), 0);
    float height = fmaxf(fminf(a[3], b[3]) - fmaxf(a[1], b[1]), 0);
    float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    float both = width * height;
    return both / (area_a + area_b - both + o->padding) > o->iou_threshold;
}

int eng_keep(const struct eng_keep_options *o, const float (*boxes)[4], const float *scores, int n,
             void *scratch, int *ret)
{
    struct scored *heap = scratch;
    int left = 0, kept = 0;
    for (int i = 0; i < n; i++)
        if (scores[i] >= o->score_threshold)
            heap[left++] = (struct scored){scores[i], i};
    for (int i = left / 2 - 1; i >= 0; i--)
        sink(heap, left, i);
    for (int seen = 0; left > 0 && seen < o->candidates && kept < o->most; seen++) {
        int box = heap[0].box, hidden = 0;
        heap[0] = heap[--left];
        if (left > 0)
            sink(heap, left, 0);
        for (int k = 0; k < kept && !hidden; k++)
            hidden = overlaps(boxes[ret[k]], boxes[box], o);
        if (!hidden)
            ret[kept++] = box;
    }
    return kept;
}
