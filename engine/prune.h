/* Block-sparse pruning of a float model's pointwise layers, by pictures and without training.
 *
 * What goes are blocks of 16 outputs x 1 input channel, the form that the engine multiplies without
 * its zeroes (kernel.h). Per panel of 16 outputs, one input after the other: the one whose loss
 * costs the layer's outputs least, while the weights that stay make up for it (optimal brain
 * surgeon: Hassibi and Stork 1993; by layers: Dong et al. 2017). How much of which layer goes is
 * chosen over all of them together: least squared error, relative to each layer's own outputs, a
 * multiply-add. All panels of a layer keep equally many inputs, so that threads share them evenly.
 * Layers are then solved in the order of the network, each for the outputs that it had in the whole
 * network from the inputs that it has in the pruned one, so that errors do not add up. A layer
 * whose inputs are more than the pixels that were seen (a classifier on one pixel) stays as it is.
 *
 * The caller decodes each picture with _info()'s preprocess into _input(slot), feeds, then takes
 * all steps, then saves. One thread at a time, the team apart. Errors: as eng_model_load(),
 * -EINVAL (no float model; nothing to prune), ENG_E_DATA (no pictures). */
#ifndef ENG_PRUNE_H
#define ENG_PRUNE_H

#include "engine/compress.h"
#include "engine/model.h"
#include "engine/team.h"

struct eng_pruner;

enum { ENG_PRUNE_PICTURES = 256 }; /* that are looked at; kept in memory */

/* `share` of the multiply-adds of those layers is to go, 0 .. 0.9; `dir` is the version folder of a
 * float model; up to `slots` pictures are fed at once. */
int eng_pruner_create(struct eng_pruner **ret, const char *dir, double share, int slots, char *err,
                      size_t errlen);
void eng_pruner_destroy(struct eng_pruner *p);
const struct eng_model_info *eng_pruner_info(const struct eng_pruner *p);
void *eng_pruner_input(struct eng_pruner *p, int slot);
/* Pictures 0 .. n-1 of the input slots; beyond ENG_PRUNE_PICTURES they change nothing. team as in
 * eng_context_run(). */
int eng_pruner_feed(struct eng_pruner *p, int n, struct eng_team *team);
/* Seconds of work in all, so it comes in steps 0 .. _steps() - 1, in this order. */
int eng_pruner_steps(const struct eng_pruner *p);
int eng_pruner_step(struct eng_pruner *p, int step, struct eng_team *team, char *err,
                    size_t errlen);
/* A compressed ONNX file, model.json and labels.txt into `to`, which exists. */
int eng_pruner_save(struct eng_compress_sizes *ret, const struct eng_pruner *p, const char *to,
                    char *err, size_t errlen);

/* After the last step. */
struct eng_pruned_layer {
    const char *name;
    int inputs, outputs, kept; /* kept: inputs of a panel */
    double mult_adds;          /* of the dense layer */
    double error;              /* squared, of its outputs by their variance */
};
int eng_pruner_layers(const struct eng_pruner *p);
void eng_pruner_layer(const struct eng_pruner *p, int index, struct eng_pruned_layer *ret);

#endif
