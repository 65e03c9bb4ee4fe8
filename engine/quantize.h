/* Post-training quantisation: a float model and pictures -> int8, as a standard ONNX file of
 * QuantizeLinear / DequantizeLinear pairs.
 *
 * Batch norm is folded; channels are equalised across layers (Nagel et al. 2019, section 4.1, with
 * the range of the activation in place of the first layer's weights, which have a scale a channel
 * here); weights are symmetric int8 per output channel, activations uint8 per tensor; the mean
 * error that rounding the weights causes is taken off the biases (section 4.2).
 *
 * Three passes over the same pictures: ranges of channels, histograms, comparison. The caller
 * decodes each picture with _preprocess() into _input(slot), feeds, and moves on; one thread at a
 * time, the team apart. Errors: as eng_model_load(), and ENG_E_UNSUPPORTED that names the layer. */
#ifndef ENG_QUANTIZE_H
#define ENG_QUANTIZE_H

#include "engine/model.h"
#include "engine/team.h"

enum eng_quantize_method {
    ENG_QUANTIZE_MSE,        /* the range with the least squared error */
    ENG_QUANTIZE_PERCENTILE, /* cuts off `tail` of the values at each end */
    ENG_QUANTIZE_MINMAX,
};

struct eng_quantize_options {
    enum eng_quantize_method method;
    double tail; /* 0 .. 0.1 */
    int equalise, correct_bias;
    uint32_t cpu_bits; /* 0 = eng_cpu_detect() */
};

enum { ENG_QUANTIZE_PASSES = 3 };

struct eng_quantizer;

/* `dir` is the version folder of a float model; up to `slots` pictures are fed at once. */
int eng_quantizer_create(struct eng_quantizer **ret, const char *dir,
                         const struct eng_quantize_options *opts, int slots, char *err,
                         size_t errlen);
void eng_quantizer_destroy(struct eng_quantizer *q);
const struct eng_model_info *
eng_quantizer_info(const struct eng_quantizer *q); /* the float model */
void *eng_quantizer_input(struct eng_quantizer *q, int slot);
/* Pictures 0 .. n-1 of the input slots, in the pass at hand. team as in eng_context_run(). */
int eng_quantizer_feed(struct eng_quantizer *q, int n, struct eng_team *team);
/* Ends a pass; ENG_E_DATA if nothing was fed. */
int eng_quantizer_next(struct eng_quantizer *q, char *err, size_t errlen);
/* After the last pass: model.onnx, model.json and labels.txt into `dir`, which exists. `source`
 * says in the manifest where the model came from. */
int eng_quantizer_save(const struct eng_quantizer *q, const char *dir, const char *source,
                       char *err, size_t errlen);

/* What the comparison found. */
struct eng_quantize_report {
    int images, same_top1;
    int top1_in_top5;   /* float's best class among the quantised model's five */
    double top5_shared; /* classes that the two best fives have in common, mean */
    double logit_sqnr;  /* dB, over all pictures */
    int equalised;      /* pairs of layers */
};
void eng_quantizer_report(const struct eng_quantizer *q, struct eng_quantize_report *ret);

struct eng_quantize_layer {
    const char *name, *kind; /* as struct eng_layer */
    double sqnr;             /* dB of its output, over the first pictures */
};
int eng_quantizer_layers(const struct eng_quantizer *q);
int eng_quantizer_layer(const struct eng_quantizer *q, int index, struct eng_quantize_layer *ret);

#endif
