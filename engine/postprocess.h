/* From the numbers of a network's heads to answers: boxes, points, maps. Pure functions: they
 * neither allocate nor fail on any values, NaN among them; any thread may call them. */
#ifndef ENG_POSTPROCESS_H
#define ENG_POSTPROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

/* Numbers as a tensor has them: ENG_F32, or quanta of ENG_U8 or ENG_I8, real = scale * (q -
 * zero_point).
 */
struct eng_values {
    const void *data;
    enum eng_type type;
    float scale;
    int32_t zero_point;
};

/* ---- SSD: encodings and anchors to boxes, and which of them are kept ---- */

/* The options of TFLite_Detection_PostProcess, which is where all of this comes from:
 * tensorflow/lite/kernels/detection_postprocess.cc. */
struct eng_detect_options {
    float y_scale, x_scale, h_scale, w_scale; /* encodings are divided by these; positive */
    int classes;                              /* without the background */
    int max_detections;
    int classes_per_detection; /* of the fast way: rows that a kept box makes, at most */
    int detections_per_class;  /* of the regular way */
    float score_threshold;     /* a score of it passes */
    float iou_threshold;       /* an overlap above it removes */
    int regular;               /* each class alone; else all classes of a box at once (fast) */
};

enum { ENG_DETECT_MAX_ROWS = 1 << 14 };

/* NULL, or a sentence: what makes the options unfit for n boxes with `columns` scores each. Bounds
 * the work: boxes x kept boxes <= 2^28. */
const char *eng_detect_wrong(const struct eng_detect_options *o, size_t n, int columns);
/* Rows of the answer; the options are right. */
int eng_detect_rows(const struct eng_detect_options *o);
/* Rows that one kept box makes. */
int eng_detect_rows_of_box(const struct eng_detect_options *o);

/* boxes, anchors: [n][4], y centre, x centre, height, width. scores: [n][columns]; the first
 * columns - classes of a row are the background. */
struct eng_detect_heads {
    struct eng_values boxes, scores, anchors;
    int n, columns;
};

/* eng_detect_rows() each, best first; behind the counted ones all is 0. The corners are y0, x0, y1,
 * x1 in units of the picture, not clipped. A class is counted without the background. */
struct eng_detections {
    float (*box)[4];
    float *classes, *scores;
    int count; /* boxes that were kept; the rows of each stand together */
};

/* Bytes of scratch, aligned to 8, for n boxes. */
size_t eng_detect_scratch(const struct eng_detect_options *o, size_t n);
/* Equal scores: the lower box first, of one box the lower class first, of several classes (regular)
 * the lower class first. NaN passes no threshold. */
void eng_detect(const struct eng_detect_options *o, const struct eng_detect_heads *h, void *scratch,
                struct eng_detections *ret);

/* Intersection over union of two boxes of y0, x0, y1, x1, or of x first, in fp32; 0 if an area is
 * not above 0. */
float eng_box_overlap(const float a[4], const float b[4]);

/* ---- faces: raw locations, priors and anchors ---- */

/* Boxes of one map of features: its cells row by row, in each the square boxes of `side` pixels of
 * the picture. */
struct eng_prior_map {
    int width, height;
    int n; /* of side */
    float side[4];
};

/* How many boxes n maps have; -1: some size is not positive, or they are more than 2^20. */
int eng_prior_count(const struct eng_prior_map *maps, int n);
/* x centre, y centre, width, height of each, in units of a picture of width x height pixels, all
 * held within 0 .. 1: Ultra-Light-Fast-Generic-Face-Detector, vision/utils/box_utils.py,
 * generate_priors. */
void eng_priors(const struct eng_prior_map *maps, int n, int width, int height, float (*ret)[4]);
/* Corners x0, y0, x1, y1 of raw locations, which are centres in tenths and logarithms of sizes in
 * fifths of the priors'; the same file, convert_locations_to_boxes. */
void eng_prior_boxes(const float (*locations)[4], const float (*priors)[4], int n, float (*ret)[4]);

/* BlazeFace short range (MediaPipe, face_detection_short_range.pbtxt): 16 x 16 cells with 2 anchors
 * each, then 8 x 8 with 6, all of size 1; x, y. */
enum { ENG_BLAZE_ANCHORS = 896, ENG_BLAZE_VALUES = 16, ENG_BLAZE_POINTS = 6 };
void eng_blaze_anchors(float ret[ENG_BLAZE_ANCHORS][2]);
/* Of one anchor's values: the corners x0, y0, x1, y1, and the points x, y: right eye, left eye,
 * nose tip, mouth, right ear, left ear, all in units of the picture of 128 pixels. */
void eng_blaze_decode(const float values[ENG_BLAZE_VALUES], const float anchor[2], float ret_box[4],
                      float ret_points[ENG_BLAZE_POINTS][2]);
/* Sigmoid of a logit held within -100 .. 100; of NaN: 0. */
float eng_blaze_score(float logit);

/* Greedy, of one class: the numbers of those of the n boxes that are kept, best first, at most
 * `most`. Only the `candidates` best with a score of at least the threshold take part. `padding` is
 * added to each union: 0, or 1e-5 as some implementations have it. Equal scores: the lower number
 * first. scratch: eng_keep_scratch(n) bytes, aligned to 8. */
struct eng_keep_options {
    float score_threshold, iou_threshold, padding;
    int candidates, most;
};
size_t eng_keep_scratch(int n);
int eng_keep(const struct eng_keep_options *o, const float (*boxes)[4], const float *scores, int n,
             void *scratch, int *ret);

/* ---- maps of classes ---- */

/* The class of each of n pixels with `classes` logits each, the lowest of equals; classes <= 256.
 */
void eng_label_map(const float *logits, size_t n, int classes, uint8_t *ret);
/* Runs of equal labels in the order of the pixels, label and length in turn, up to `most` numbers;
 * how many numbers there would be. */
size_t eng_label_runs(const uint8_t *labels, size_t n, uint32_t *ret, size_t most);

#endif
