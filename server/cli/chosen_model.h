/* The model that a command line means: a name or a family of the repository, a version folder, or a
 * MobileNet built from (alpha, rho, classes, form). */
#ifndef SRV_CHOSEN_MODEL_H
#define SRV_CHOSEN_MODEL_H

#include "config/config.h"
#include "engine/model.h"

/* One positional argument, else --model, else --models (its first), else the builder. A precision
 * of "auto" is the file's own, int8 for the builder. A reference to the model is the caller's. */
int srv_chosen_model(struct eng_model **ret, const struct cfg *cfg, char *err, size_t errlen);

/* The version folder of the model that is named, which is there: an argument or --model, a path if
 * it has a '/'. */
int srv_chosen_model_dir(char *ret, size_t len, const struct cfg *cfg, char *err, size_t errlen);

/* The builder's alone, whatever model is named. */
int srv_chosen_model_built(struct eng_model **ret, const struct cfg *cfg, char *err, size_t errlen);

/* What the CPU has and option `isa` allows. */
uint32_t srv_allowed_cpu(const struct cfg *cfg);

/* Of "auto", "int8", ...: the names of option `precision`. */
enum eng_precision srv_precision(const char *name);

#endif
