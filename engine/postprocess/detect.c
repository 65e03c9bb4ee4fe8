/* SSD heads to detections, as TFLite_Detection_PostProcess does it, to the bit.
 *
 * Only what is asked for is computed: candidates wait in a heap and are decoded when it is their
 * turn. That gives what sorting and decoding all of them would. */
#include "engine/postprocess.h"

#include <math.h>
#include <string.h>

struct candidate {
    float score;
    int32_t box;
};

/* A kept box of the regular way, which competes with those of other classes. */
struct kept {
    float score;
    int32_t box, class;
};

static const size_t MAX_PAIRS = (size_t)1 << 28;

static int is_positive(float v)
{
    return isfinite(v) && v > 0;
}

const char *eng_detect_wrong(const struct eng_detect_options *o, size_t n, int columns)
{
    if (!is_positive(o->y_scale) || !is_positive(o->x_scale) || !is_positive(o->h_scale) ||
        !is_positive(o->w_scale))
        return "a scale of its boxes is no positive number";
    if (o->classes < 1 || o->classes > columns)
        return "it has more classes than its scores have columns, or none";
    if (o->max_detections < 1 || o->max_detections > ENG_DETECT_MAX_ROWS ||
        o->classes_per_detection < 1 || o->detections_per_class < 1)
        return "its number of detections is out of range";
    if (!isfinite(o->score_threshold) || !isfinite(o->iou_threshold))
        return "a threshold is no number";
    if (!o->regular && o->classes_per_detection > ENG_DETECT_MAX_ROWS / o->max_detections)
        return "its number of detections is out of range";
    size_t kept = (size_t)o->max_detections;
    if (o->regular)
        kept = (size_t)o->detections_per_class * (size_t)o->classes;
    if (n < 1 || n > MAX_PAIRS / kept)
        return "it has too many boxes for so many detections";
    return NULL;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

int eng_detect_rows_of_box(const struct eng_detect_options *o)
{
    return o->regular ? 1 : smaller(o->classes_per_detection, o->classes);
}

int eng_detect_rows(const struct eng_detect_options *o)
{
    return o->max_detections * (o->regular ? 1 : o->classes_per_detection);
}

/* Boxes that are kept at one time, with their corners. */
static size_t most_kept(const struct eng_detect_options *o, size_t n)
{
    size_t kept = (size_t)(o->regular ? o->detections_per_class : o->max_detections);
    return kept < n ? kept : n;
}

size_t eng_detect_scratch(const struct eng_detect_options *o, size_t n)
{
    return n * sizeof(struct candidate) + most_kept(o, n) * (4 * sizeof(float)) +
           ((size_t)o->max_detections + 1) * sizeof(struct kept);
}

/* ---- values ---- */

static float real(const struct eng_values *v, size_t i)
{
    switch (v->type) {
    case ENG_U8:
        return (float)(((const uint8_t *)v->data)[i] - v->zero_point) * v->scale;
    case ENG_I8:
        return (float)(((const int8_t *)v->data)[i] - v->zero_point) * v->scale;
    default:
        return ((const float *)v->data)[i];
    }
}

/* Each sum and product in double, rounded once to fp32, as TFLite writes them. */
static void decode(const struct eng_detect_options *o, const struct eng_detect_heads *h, int32_t i,
                   float ret[4])
{
    size_t at = (size_t)i * 4;
    float y = real(&h->boxes, at), x = real(&h->boxes, at + 1);
    float height = real(&h->boxes, at + 2), width = real(&h->boxes, at + 3);
    double ya = real(&h->anchors, at), xa = real(&h->anchors, at + 1);
    double ha = real(&h->anchors, at + 2), wa = real(&h->anchors, at + 3);
    float yc = (float)((double)y / (double)o->y_scale * ha + ya);
    float xc = (float)((double)x / (double)o->x_scale * wa + xa);
    float half_h = (float)(0.5 * exp((double)height / (double)o->h_scale) * ha);
    float half_w = (float)(0.5 * exp((double)width / (double)o->w_scale) * wa);
    ret[0] = yc - half_h;
    ret[1] = xc - half_w;
    ret[2] = yc + half_h;
    ret[3] = xc + half_w;
}

float eng_box_overlap(const float a[4], const float b[4])
{
    float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    if (area_a <= 0 || area_b <= 0)
        return 0;
    float top = fmaxf(a[0], b[0]), left = fmaxf(a[1], b[1]);
    float bottom = fminf(a[2], b[2]), right = fminf(a[3], b[3]);
    float inside = fmaxf(bottom - top, 0) * fmaxf(right - left, 0);
    return inside / (area_a + area_b - inside);
}

/* ---- a heap, the best at the top ---- */

static int is_before(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->box < b->box);
}

static void sink(struct candidate *heap, int n, int at)
{
    struct candidate it = heap[at];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (!is_before(&heap[child], &it))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = it;
}

static void order(struct candidate *heap, int n)
{
    for (int i = n / 2 - 1; i >= 0; i--)
        sink(heap, n, i);
}

static struct candidate take(struct candidate *heap, int *n)
{
    struct candidate best = heap[0];
    heap[0] = heap[--*n];
    if (*n > 0)
        sink(heap, *n, 0);
    return best;
}

/* Greedy: keeps up to `most` of the n candidates, best first, whose boxes do not overlap those kept
 * before; returns how many. */
static int suppress(const struct eng_detect_options *o, const struct eng_detect_heads *h,
                    struct candidate *heap, int n, int most, float (*corners)[4],
                    void (*keep)(void *, struct candidate, const float *), void *arg)
{
    int kept = 0;
    order(heap, n);
    while (n > 0 && kept < most) {
        struct candidate c = take(heap, &n);
        int overlaps = 0;
        decode(o, h, c.box, corners[kept]);
        for (int k = 0; k < kept && !overlaps; k++)
            overlaps = eng_box_overlap(corners[k], corners[kept]) > o->iou_threshold;
        if (!overlaps)
            keep(arg, c, corners[kept++]);
    }
    return kept;
}

/* ---- fast: all classes of a box at once ---- */

struct fast {
    const struct eng_detect_options *o;
    const struct eng_detect_heads *h;
    struct eng_detections *ret;
    int row;
};

static inline void raise(uint8_t *lane, const uint8_t *q, int n)
{
    for (int k = 0; k < n; k++)
        lane[k] = q[k] > lane[k] ? q[k] : lane[k];
}

/* The largest of n bytes; 16 side by side, for the vector units. The last 16 may be seen twice. */
static int largest_u8(const uint8_t *q, int n)
{
    uint8_t lane[16] = {0};
    int i = 0;
    if (n < 16)
        raise(lane, q, n);
    for (; i + 16 <= n; i += 16)
        raise(lane, q + i, 16);
    if (i < n && n > 16)
        raise(lane, q + n - 16, 16);
    raise(lane, lane + 8, 8);
    raise(lane, lane + 4, 4);
    raise(lane, lane + 2, 2);
    return lane[0] > lane[1] ? lane[0] : lane[1];
}

static float best_score(const struct eng_detect_options *o, const struct eng_detect_heads *h, int i)
{
    size_t at = (size_t)i * (size_t)h->columns + (size_t)(h->columns - o->classes);
    if (h->scores.type == ENG_U8) {
        int q = largest_u8((const uint8_t *)h->scores.data + at, o->classes);
        return (float)(q - h->scores.zero_point) * h->scores.scale;
    }
    float best = -INFINITY;
    for (int k = 0; k < o->classes; k++) {
        float v = real(&h->scores, at + (size_t)k);
        best = v > best ? v : best;
    }
    return best;
}

/* The best classes of a kept box, a row each. */
static void keep_fast(void *arg, struct candidate c, const float *corners)
{
    struct fast *f = arg;
    const struct eng_detect_options *o = f->o;
    size_t at = (size_t)c.box * (size_t)f->h->columns + (size_t)(f->h->columns - o->classes);
    float before = INFINITY;
    int last = -1;
    for (int k = 0; k < eng_detect_rows_of_box(o); k++) {
        float best = -INFINITY;
        int class = -1;
        for (int i = 0; i < o->classes; i++) {
            float v = real(&f->h->scores, at + (size_t)i);
            int is_next = v < before || (v == before && i > last);
            if (is_next && (class < 0 || v > best)) {
                best = v;
                class = i;
            }
        }
        if (class < 0)
            break;
        memcpy(f->ret->box[f->row], corners, sizeof(f->ret->box[0]));
        f->ret->classes[f->row] = (float)class;
        f->ret->scores[f->row++] = best;
        before = best;
        last = class;
    }
}

static void detect_fast(const struct eng_detect_options *o, const struct eng_detect_heads *h,
                        struct candidate *heap, float (*corners)[4], struct eng_detections *ret)
{
    struct fast f = {.o = o, .h = h, .ret = ret};
    int n = 0;
    for (int i = 0; i < h->n; i++) {
        float score = best_score(o, h, i);
        if (score >= o->score_threshold)
            heap[n++] = (struct candidate){score, i};
    }
    ret->count = suppress(o, h, heap, n, smaller(o->max_detections, h->n), corners, keep_fast, &f);
}

/* ---- regular: each class alone ---- */

struct regular {
    struct kept *best; /* of all classes so far, one place more than are kept */
    int n, most, class;
};

/* Behind all that are as good. */
static void keep_regular(void *arg, struct candidate c, const float *corners)
{
    struct regular *r = arg;
    (void)corners;
    if (r->n == r->most && !(c.score > r->best[r->n - 1].score))
        return;
    int at = r->n < r->most ? r->n++ : r->n - 1;
    for (; at > 0 && c.score > r->best[at - 1].score; at--)
        r->best[at] = r->best[at - 1];
    r->best[at] = (struct kept){c.score, c.box, r->class};
}

static void detect_regular(const struct eng_detect_options *o, const struct eng_detect_heads *h,
                           struct candidate *heap, float (*corners)[4], struct kept *best,
                           struct eng_detections *ret)
{
    struct regular r = {.best = best, .most = o->max_detections};
    int background = h->columns - o->classes;
    for (r.class = 0; r.class < o->classes; r.class ++) {
        int n = 0;
        for (int i = 0; i < h->n; i++) {
            size_t at = (size_t)i * (size_t)h->columns + (size_t)(background + r.class);
            float score = real(&h->scores, at);
            if (score >= o->score_threshold)
                heap[n++] = (struct candidate){score, i};
        }
        suppress(o, h, heap, n, smaller(o->detections_per_class, h->n), corners, keep_regular, &r);
    }
    for (int i = 0; i < r.n; i++) {
        decode(o, h, best[i].box, ret->box[i]);
        ret->classes[i] = (float)best[i].class;
        ret->scores[i] = best[i].score;
    }
    ret->count = r.n;
}

void eng_detect(const struct eng_detect_options *o, const struct eng_detect_heads *h, void *scratch,
                struct eng_detections *ret)
{
    size_t rows = (size_t)eng_detect_rows(o);
    struct candidate *heap = scratch;
    float(*corners)[4] = (float(*)[4])(void *)(heap + h->n);
    struct kept *best = (struct kept *)(void *)(corners + most_kept(o, (size_t)h->n));
    memset(ret->box, 0, rows * sizeof(*ret->box));
    memset(ret->classes, 0, rows * sizeof(*ret->classes));
    memset(ret->scores, 0, rows * sizeof(*ret->scores));
    if (o->regular)
        detect_regular(o, h, heap, corners, best, ret);
    else
        detect_fast(o, h, heap, corners, ret);
}
