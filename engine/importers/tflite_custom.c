/* TFLite's custom operators, which have a name and options of their own form. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/importers/flexbuffer.h"
#include "engine/postprocess.h"

/* An option of the map, `*ret` where it is not there. */
static int option(const struct eng_tfl_build *b, const char *key, double *ret)
{
    const struct eng_fb_vector *v = &b->op->custom;
    int rc = v->n ? eng_flex_number(b->f->fb.bytes + v->at, v->n, key, ret) : 0;
    if (rc < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "its options are not a map of numbers");
    return 0;
}

/* Any number that is none of an int becomes one that is out of range. */
static int whole(double v)
{
    return v >= -1 && v <= 1 << 30 ? (int)v : -1;
}

static int detect_options(const struct eng_tfl_build *b, struct eng_detect_options *o)
{
    double v[11] = {0, 0, 0, 0, 0, 0, 1, 100, 0, 0, 0};
    static const char *const keys[11] = {"y_scale",
                                         "x_scale",
                                         "h_scale",
                                         "w_scale",
                                         "num_classes",
                                         "max_detections",
                                         "max_classes_per_detection",
                                         "detections_per_class",
                                         "nms_score_threshold",
                                         "nms_iou_threshold",
                                         "use_regular_nms"};
    for (int i = 0; i < 11; i++) {
        int rc = option(b, keys[i], &v[i]);
        if (rc < 0)
            return rc;
    }
    *o = (struct eng_detect_options){.y_scale = (float)v[0],
                                     .x_scale = (float)v[1],
                                     .h_scale = (float)v[2],
                                     .w_scale = (float)v[3],
                                     .classes = whole(v[4]),
                                     .max_detections = whole(v[5]),
                                     .classes_per_detection = whole(v[6]),
                                     .detections_per_class = whole(v[7]),
                                     .score_threshold = (float)v[8],
                                     .iou_threshold = (float)v[9],
                                     .regular = v[10] != 0};
    return 0;
}

/* A part of the answer, which stands in one row, as an output of the file. */
static int add_part(const struct eng_tfl_build *b, int from, int out, int begin, int n, int rank,
                    const int32_t *dim)
{
    struct eng_tfl_build part = {.f = b->f, .op = b->op};
    part.n.lo = -INFINITY;
    part.n.hi = INFINITY;
    part.n.op = ENG_OP_SLICE;
    part.n.n_in = 1;
    part.in[0] = from;
    part.n.begin[1] = begin;
    part.n.step[0] = part.n.step[1] = 1;
    part.n.count[0] = 1;
    part.n.count[1] = n;
    part.n.name = b->n.name;
    struct eng_tensor t = {.name = b->n.name, .type = ENG_F32, .rank = 2, .dim = {1, n}};
    int rc = part.n.out = eng_graph_add_tensor(b->f->g, &t);
    if (rc < 0 || (rc = eng_tfl_finish(&part)) < 0)
        return rc == ENG_E_LIMIT ? eng_tfl_fail(b, rc, "the graph has too many tensors") : rc;
    part.in[0] = part.n.out;
    part.n.op = ENG_OP_RESHAPE;
    if ((rc = eng_tfl_output(&part, b->op->out[out])) < 0)
        return rc;
    struct eng_tensor *y = eng_tfl_at(b, part.n.out);
    if (y->rank == 0) { /* the converter leaves it open */
        y->rank = rank;
        memcpy(y->dim, dim, (size_t)rank * sizeof(*dim));
    }
    return eng_tfl_finish(&part);
}

static int add_detections(struct eng_tfl_build *b)
{
    struct eng_detect_options *o = eng_graph_alloc(b->f->g, 1, sizeof(*o));
    int rc = o ? eng_tfl_begin(b, ENG_OP_DETECTIONS, 3) : eng_tfl_no_memory(b->f);
    if (rc < 0 || (rc = detect_options(b, o)) < 0)
        return rc;
    if (b->op->n_out != 4 || b->in[1] < 0 || b->in[2] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it does not have three inputs and four outputs");
    const struct eng_tensor *scores = eng_tfl_at(b, b->in[1]), *boxes = eng_tfl_at(b, b->in[0]);
    const char *wrong = scores->rank < 1 ? "its scores have no columns"
                                         : eng_detect_wrong(o, eng_tensor_elements(boxes) / 4,
                                                            scores->dim[scores->rank - 1]);
    if (wrong)
        return eng_tfl_fail(b, ENG_E_DATA, wrong);
    b->n.detect = o;
    int rows = eng_detect_rows(o);
    struct eng_tensor t = {.name = b->n.name, .type = ENG_F32, .rank = 2, .dim = {1, 6 * rows + 1}};
    if ((b->n.out = eng_graph_add_tensor(b->f->g, &t)) < 0)
        return eng_tfl_fail(b, b->n.out, "the graph has too many tensors");
    int all = b->n.out;
    if ((rc = eng_tfl_finish(b)) < 0 ||
        (rc = add_part(b, all, 0, 0, 4 * rows, 3, (int32_t[]){1, rows, 4})) < 0 ||
        (rc = add_part(b, all, 1, 4 * rows, rows, 2, (int32_t[]){1, rows})) < 0 ||
        (rc = add_part(b, all, 2, 5 * rows, rows, 2, (int32_t[]){1, rows})) < 0)
        return rc;
    return add_part(b, all, 3, 6 * rows, 1, 1, (int32_t[]){1});
}

int eng_tfl_custom(struct eng_tfl_build *b)
{
    static const struct {
        const char *name;
        int (*add)(struct eng_tfl_build *);
    } table[] = {
        {"TFLite_Detection_PostProcess", add_detections},
        {"Convolution2DTransposeBias", eng_tfl_transpose_conv_bias},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strlen(table[i].name) == b->op->name_len &&
            memcmp(table[i].name, b->op->name, b->op->name_len) == 0)
            return table[i].add(b);
    return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "the custom operator is not supported");
}
