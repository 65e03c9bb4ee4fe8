/* What the parts of the quantiser share. Internal to quantize*.c. */
#ifndef ENG_OPTIMIZE_QUANTIZE_PARTS_H
#define ENG_OPTIMIZE_QUANTIZE_PARTS_H

#include "engine/graph/graph.h"
#include "engine/quantize.h"

enum { ENG_QSTAT_BINS = 4096 };

/* Values of one float tensor over the pictures. */
struct eng_qstat {
    int channels;
    float min, max;
    float *peak;   /* [channels]: largest |v| */
    double *sum;   /* [channels] */
    double pixels; /* per channel */
    double reach;  /* bins span -reach .. reach, a power of 2; 0: empty */
    double bins[ENG_QSTAT_BINS];
};
int eng_qstat_init(struct eng_qstat *s, int channels); /* -ENOMEM */
void eng_qstat_finish(struct eng_qstat *s);
void eng_qstat_peaks(struct eng_qstat *s, const float *v, size_t n);
void eng_qstat_add(struct eng_qstat *s, const float *v, size_t n); /* all but the peaks */
/* The range to quantise to; contains 0. */
void eng_qstat_range(const struct eng_qstat *s, const struct eng_quantize_options *o, float *ret_lo,
                     float *ret_hi);

/* Scales channels between pairs of layers; how many pairs, or -ENOMEM. g's weights are replaced.
 * stats: by tensor, with peaks. */
int eng_quantize_equalise(struct eng_graph *g, const struct eng_qstat *stats);

/* How pixels become the input of the quantised network: x + shift, where the pixels' grid would
 * else fall between two quanta (mean 127.5). */
struct eng_quantize_input {
    float shift, scale;
    int32_t zero_point;
};
void eng_quantize_input_init(struct eng_quantize_input *in, const struct eng_preprocess *p);

struct eng_quantize_job {
    const struct eng_graph *g;     /* float, folded, equalised */
    const struct eng_qstat *stats; /* by tensor of g */
    const struct eng_quantize_options *opts;
    struct eng_quantize_input input;
    char *err;
    size_t errlen;
};
/* A checked graph in u8 and i8; ret_map: tensor of g -> tensor that quantises it, or -1. */
int eng_quantize_graph(struct eng_graph **ret, int *ret_map, const struct eng_quantize_job *job);

/* The ONNX file (opset 13) of a quantised graph, or of a folded float one; free() *ret. */
int eng_onnx_write(void **ret, size_t *ret_len, const struct eng_graph *g, char *err,
                   size_t errlen);

/* For saving. */
const struct eng_graph *eng_quantizer_graph(const struct eng_quantizer *q);
const struct eng_model *eng_quantizer_model(const struct eng_quantizer *q);
float eng_quantizer_shift(const struct eng_quantizer *q);

#endif
