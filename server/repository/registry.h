/* The models that are served: read from a repository folder (`NAME/VERSION/`), of each name the
 * versions that its versions.conf says, or the highest. Standard versions whose manifests share a
 * family form a ladder, served under the family's name.
 *
 * Immutable once made, but for what is marked as the loop's; a change makes a new one that shares
 * the models whose files did not change. */
#ifndef SRV_REGISTRY_H
#define SRV_REGISTRY_H

#include "server/repository/family.h"
#include "server/repository/versions.h"

/* What a new registry is made for. */
enum srv_change {
    SRV_CHANGE_ALL,    /* the whole repository is looked through */
    SRV_CHANGE_LOAD,   /* one name is, even if it had been unloaded; the others stay as they are */
    SRV_CHANGE_UNLOAD, /* one name goes, and stays away until it is loaded again */
};

struct srv_registry_options {
    const char *dir;
    const char *default_model; /* family or model; "" = the old registry's, or the first */
    int default_anew;          /* the old registry's does not count */
    const char *single; /* dir is the folder of this model alone; NULL or "" = a repository */
    const char *only;   /* if a folder has this name, no other is read; NULL or "" = all */
    uint32_t cpu_bits;
    size_t max_model_file;  /* bytes; 0: 1 GiB */
    int max_batch, workers; /* of the run contexts */
    enum srv_change change;
    const char *name; /* of the model that is loaded or unloaded */
};

/* A version of the repository that could not be loaded, and why. Where one of that version is
 * served nevertheless, it is the one from before. */
struct srv_model_failure {
    char *name, *version, *error; /* version "": the name as a whole */
};

struct srv_label {
    char name[SRV_LABEL_MAX];
    struct srv_model *model; /* one of the service's */
    double share, compare;   /* as of srv_label_rule */

    /* the loop's */
    double share_due, compare_due;
    uint64_t requests;            /* that it got by its share or its name */
    uint64_t compared, disagreed; /* images that the standard version was asked for, too */
    uint64_t uncompared;          /* there was no time for it */
};

/* All that is served under one name. */
struct srv_service {
    const char *name;           /* of its models */
    int first, n;               /* of the registry's models, highest version first */
    struct srv_model *standard; /* answers where no version is named */
    struct srv_label labels[SRV_LABELS_MAX];
    int n_labels;
};

struct srv_registry {
    struct srv_model **models; /* by name, then version, highest first; a reference of each */
    int n;
    struct srv_service *services; /* by name */
    int n_services;
    struct srv_family **families; /* a reference of each */
    int n_families;
    struct srv_model_failure *failures;
    int n_failures;
    char **unloaded; /* names that were unloaded */
    int n_unloaded;
    char *default_name; /* family or model that answers where none is named: who asks for it means
                           the same model until the configuration changes, or none */
    struct srv_model *fallback; /* of that name, one of models; NULL: it is not served now */
    const char *fallback_name;  /* its family, or its name if it has none; "" for NULL */
    struct srv_family *fallback_family; /* NULL: default_model names a single model */
};

/* Reads, warms (runs of batch 1 and more), verifies, orders. `old` (may be NULL unless the change
 * is of one name) must live until this returns. Slow: not for the loop's thread once it serves.
 * What cannot be loaded is a failure of the new registry, where the old one's goes on. Fails if not
 * one model can be served, unless that is what an unload is for. */
int srv_registry_load(struct srv_registry **ret, const struct srv_registry_options *options,
                      const struct srv_registry *old, char *err, size_t errlen);
void srv_registry_destroy(struct srv_registry *r);

/* What a client means. */
struct srv_choice {
    struct srv_model *model;
    const char *called;        /* by answers; lives as long as the model */
    struct srv_family *family; /* NULL: a single model is meant */
    struct srv_service *service;
    struct srv_label *label; /* NULL: none was named, and none has a share in it */
    int pinned;              /* a version was named */
};

/* By model name, by family (its best variant), or by family and variant, as in
 * "mobilenet_v1_0.5_160"; "" = the default. version: a number, a label, or "" = the standard one.
 * 0; -ENOENT: there is no such name; -ESRCH: it has no such version. */
int srv_registry_choose(const struct srv_registry *r, const char *name, const char *version,
                        struct srv_choice *ret);
/* A request that names no version goes to a label, as often as that one's share says. Loop. */
void srv_registry_share(struct srv_choice *c);
struct srv_family *srv_registry_family(const struct srv_registry *r,
                                       const char *name); /* or NULL */
struct srv_service *srv_registry_service(const struct srv_registry *r, const char *name);
struct srv_label *srv_registry_label(const struct srv_registry *r, const char *name,
                                     const char *label); /* of a model; NULL: there is none */
/* Why this version (NULL: any) of a name cannot be loaded; NULL: nothing is known. */
const struct srv_model_failure *srv_registry_failure(const struct srv_registry *r, const char *name,
                                                     const char *version);

/* The standard version by name, family or variant; "" = the default. ret_name is what answers call
 * it. NULL if there is none. */
struct srv_model *srv_registry_find(const struct srv_registry *r, const char *name,
                                    const char **ret_name);

/* All that a client may ask for, for people: "a, b, c", families first; cut short where ret ends.
 */
void srv_registry_names(const struct srv_registry *r, char *ret, size_t retlen);

/* After a change: the counts of labels go on. Loop. */
void srv_registry_inherit(struct srv_registry *next, const struct srv_registry *old);

/* The folder that an empty `models` option stands for. */
const char *srv_models_dir(const char *option);

#endif
