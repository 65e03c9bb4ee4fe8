/* The tensors that a model answers, by name: what is made of its scores (`logits`, `probabilities`,
 * `classification`, `embedding`), and the outputs of its files as they are, under their own names.
 * Where a file uses one of the four names and the model has ours, ours is meant.
 *
 * The first dimension of every answer is the batch; a leading dimension of 1 in the file is taken
 * for it. */
#ifndef SRV_OUTPUTS_H
#define SRV_OUTPUTS_H

#include "protocol/infer.h"
#include "server/repository/model.h"

struct srv_output {
    const char *name; /* lives as long as the model */
    enum proto_datatype datatype;
    int n_dims; /* of one image, without the batch */
    int64_t shape[PROTO_DIMS_MAX];
    size_t elements;
    int row;    /* what it is made of: enum srv_row, or SRV_ROW_OUTPUT + i */
    int ranked; /* strings of the best classes (shape[0] of them if no number is given) */
    int first;  /* `ranked`: indices below it never rank */
    int scores; /* an element is the score of a class: its label is known */
};

/* How many outputs are meant where none is named: */
enum srv_outputs_shown {
    SRV_OUTPUTS_USUAL, /* probabilities of a classifier, the embedding of a network that makes one,
                          all of the files' of several that are neither, else the logits */
    SRV_OUTPUTS_SHOWN, /* what the metadata list: the same, or all if the manifest says so */
    SRV_OUTPUTS_ALL,   /* ours, then the files' where there are several */
};
/* Output `index` of those; 0 behind the last. */
int srv_outputs_at(const struct srv_model *m, enum srv_outputs_shown shown, int index,
                   struct srv_output *ret);

enum { SRV_OUTPUTS_LIST = 4096 }; /* room for a list of names */

/* Any that the model has. -ENOENT. */
int srv_outputs_find(const struct srv_model *m, struct proto_span name, struct srv_output *ret);

/* What a list as of a query means: "all", or names with commas between; NULL: SRV_OUTPUTS_SHOWN.
 * How many, into ret[PROTO_OUTPUTS_MAX]; -EINVAL with a sentence: the model has none of that name,
 * or it is there twice. called: what the client calls the model. */
int srv_outputs_choose(const struct srv_model *m, const char *called, const char *list,
                       struct srv_output *ret, char *err, size_t errlen);
/* The sentence, in Triton's words. */
void srv_outputs_unknown(struct proto_span name, const char *called, char *err, size_t errlen);

/* As metadata have it: the batch is -1. */
struct proto_tensor srv_outputs_described(const struct srv_output *o);

#endif
