/* The tensors that a model answers, by name: what each task gives of it, the outputs of its files
 * among them. The first dimension of every answer is the batch. */
#ifndef SRV_OUTPUTS_H
#define SRV_OUTPUTS_H

#include "server/handlers/tasks/task.h"

/* How many are meant where none is named: */
enum srv_outputs_shown {
    SRV_OUTPUTS_USUAL, /* those of the task that the model is for */
    SRV_OUTPUTS_SHOWN, /* what the metadata list: the same, or all if the manifest says so */
    SRV_OUTPUTS_ALL,
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
