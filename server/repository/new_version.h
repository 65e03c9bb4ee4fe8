/* The folder of a model that a tool makes: filled out of sight, then made visible by one rename. */
#ifndef SRV_NEW_VERSION_H
#define SRV_NEW_VERSION_H

#include "engine/engine.h"

struct srv_new_version {
    char dir[4096];  /* OUT: NAME of the model is its last component */
    char made[4096]; /* where the files go: OUT/.new */
    char last[4096]; /* what it becomes: OUT/1, or another version */
};

/* `output` as the option says; empty: ./NAME + suffix, where NAME is that of the version folder
 * `from`. Makes the folders. -EEXIST if there is a version 1. */
int srv_new_version_begin(struct srv_new_version *m, const char *output, const char *from,
                          const char *suffix, char *err, size_t errlen);
/* A further version of the model NAME of a repository, or its first. */
int srv_new_version_next(struct srv_new_version *m, const char *repository, const char *name,
                         char *err, size_t errlen);
int srv_new_version_commit(struct srv_new_version *m, char *err, size_t errlen);
void srv_new_version_abandon(
    struct srv_new_version *m); /* also after a commit: then nothing happens */

/* "NAME" of "…/NAME/VERSION". */
void srv_model_name_of(const char *version_dir, char *ret, size_t len);

#endif
