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

/* Intersection over union of two boxes of y0, x0, y1, x1, in fp32; 0 if an area is not above 0. */
float eng_box_overlap(const float a[4], const float b[4]);

#endif
