/* Writes what a version folder holds beside the model: for tools that make models. Internal to
 * engine/. 0, or a negative errno with a sentence that names the file. */
#ifndef ENG_OPTIMIZE_FOLDER_H
#define ENG_OPTIMIZE_FOLDER_H

#include <jansson.h>

#include "engine/model.h"

int eng_folder_write(const char *dir, const char *name, const void *bytes, size_t len, char *err,
                     size_t errlen);

struct eng_folder_manifest {
    const char *format, *file, *source;
    int class_offset;
    const struct eng_preprocess *preprocess;
    const struct eng_model_info *like; /* family, variant, licence, task, activation,
                                        * shown_outputs */
};
int eng_folder_manifest(const char *dir, const struct eng_folder_manifest *m, char *err,
                        size_t errlen);
/* The manifest's "input"; a reference is the caller's, NULL: no memory. */
json_t *eng_folder_input(const struct eng_preprocess *p);
/* labels.txt with the model's classes; nothing if it has no labels. */
int eng_folder_labels(const char *dir, const struct eng_model *m, char *err, size_t errlen);

#endif
