/* A run context: the arena that one run of a model needs, for up to max_batch images.
 *
 * Belongs to one caller at a time. A run allocates nothing and takes no lock (the team's barrier
 * apart). Holds a reference to its model. */
#ifndef ENG_CONTEXT_H
#define ENG_CONTEXT_H

#include "engine/model.h"
#include "engine/team.h"

struct eng_context;

/* max_members: the largest team that will ever run it (scratch memory is per member). */
int eng_context_create(struct eng_context **ret, struct eng_model *model_ref, int max_batch,
                       int max_members, char *err, size_t errlen);
void eng_context_destroy(struct eng_context *c);
size_t eng_context_bytes(const struct eng_context *c); /* arena + scratch */

/* Where image `slot` goes before a run: preprocess.height x width x 3, NHWC, of
 * preprocess.type (u8, i8 or f32). Valid, writable, until the context is destroyed. Asking says
 * that the slot holds this from now on, until eng_context_picture() says otherwise. */
void *eng_context_input(struct eng_context *c, int slot);
/* The same for what info->picture makes of pixels: of a network that quantises its float input
 * first, the quanta, which that step would make of it bit for bit; it is left out of the run. */
void *eng_context_picture(struct eng_context *c, int slot);
/* Slot `to` holds what `from` holds, of either kind. */
void eng_context_copy(struct eng_context *c, int to, int from);

/* Runs images 0 .. batch-1. team NULL: on the calling thread alone; else the caller leads `team`
 * inside eng_team_begin/_end. Results never depend on the team, on the batch or on the slot. */
int eng_context_run(struct eng_context *c, int batch, struct eng_team *team);

/* Results of the last run, of the main output and its length; float views are computed on first
 * use. logits: dequantised. probabilities: the model's activation of the logits, in float; a
 * softmax is over all outputs. */
const float *eng_context_logits(struct eng_context *c, int slot);
const float *eng_context_probabilities(struct eng_context *c, int slot);
const float *eng_context_embedding(struct eng_context *c,
                                   int slot); /* NULL if the model has none */

/* Output `output` of the last run, 0 .. eng_model_info()->n_outputs - 1, in the form that
 * eng_model_info()->output[output] describes; valid until the next run. NULL: no such output, or
 * the slot was not run. */
const void *eng_context_output(const struct eng_context *c, int slot, int output);
/* The same as real numbers, into output[].elements floats. -ERANGE where that is NULL. */
int eng_context_output_floats(const struct eng_context *c, int slot, int output, float *ret);

/* The k best classes, by descending logit, ties to the lower index; background outputs (index <
 * class_offset) never rank. Returns how many were written (k capped at the class count). */
struct eng_prediction {
    int class_number; /* output index - class_offset */
    float score;      /* as in probabilities, not renormalised */
};
int eng_context_topk(struct eng_context *c, int slot, int k, struct eng_prediction *ret);
/* The same of any row: the k largest of values[first .. n-1], largest first, ties to the lower
 * index, NaN behind everything. class_number counts from `first`, score is that of `scores`.
 * Returns how many: min(k, n - first), at least 0. O(n log k), without memory of its own. */
int eng_topk(const float *values, const float *scores, int n, int first, int k,
             struct eng_prediction *ret);

/* Where the time of the last run went, by plan step, in nanoseconds; off until enabled. */
void eng_context_profile(struct eng_context *c, int enable);
int eng_context_step_ns(const struct eng_context *c, int step, uint64_t *ret_ns); /* -ERANGE */

#endif
