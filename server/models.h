/* The models that are served: read from a repository folder (`NAME/VERSION/`), the highest version
 * of each name. Models whose manifests share a family form a ladder, served under the family's
 * name.
 *
 * Immutable once made; a reload makes a new one that shares the models whose files did not change.
 */
#ifndef SRV_MODELS_H
#define SRV_MODELS_H

#include "server/family.h"

struct srv_registry_options {
    const char *dir;
    const char *default_model; /* family or model; "" = the first */
    const char *only;          /* if a folder has this name, no other is read; NULL or "" = all */
    uint32_t cpu_bits;
    int max_batch, workers; /* of the run contexts */
};

/* A model of the repository that could not be loaded, and why. */
struct srv_model_failure {
    char *name, *version, *error;
};

struct srv_registry {
    struct srv_model **models; /* by name; holds a reference of each */
    int n;
    struct srv_family **families; /* a reference of each */
    int n_families;
    struct srv_model_failure *failures;
    int n_failures;
    struct srv_model *fallback;         /* one of models: answers where none is named */
    const char *fallback_name;          /* its family, or its name if it has none */
    struct srv_family *fallback_family; /* NULL: default_model names a single model */
};

/* Reads, warms (one run of batch 1), orders. `old` (may be NULL) must live until this returns.
 * Slow: not for the loop's thread once it serves. Fails if not one model can be served. */
int srv_registry_load(struct srv_registry **ret, const struct srv_registry_options *options,
                      const struct srv_registry *old, char *err, size_t errlen);
void srv_registry_destroy(struct srv_registry *r);

/* By model name, else by family (its most expensive variant); "" = the default. ret_name is what
 * answers call it. NULL if there is none. */
struct srv_model *srv_registry_find(const struct srv_registry *r, const char *name,
                                    const char **ret_name);
/* The same, where *ret_family is the family if one is meant and not a single model of it; a model
 * is also found by family and variant, as in "mobilenet_v1_0.5_160". */
struct srv_model *srv_registry_pick(const struct srv_registry *r, const char *name,
                                    const char **ret_name, struct srv_family **ret_family);

/* The folder that an empty `models` option stands for. */
const char *srv_models_dir(const char *option);

#endif
