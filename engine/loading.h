/* A model while it is made: files -> parts -> graph -> plan, and what is known of it. Internal to
 * engine/: a model that is done is only read. */
#ifndef ENG_LOADING_H
#define ENG_LOADING_H

#include <errno.h>
#include <stdatomic.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"
#include "engine/graph/graph.h"
#include "engine/importers/manifest.h"
#include "engine/model.h"

struct eng_sha256;

struct eng_model {
    atomic_int refs;
    struct eng_graph *g;
    struct eng_plan *plan;
    struct eng_model_info info;
    struct eng_labels labels;
    struct eng_golden golden;
    int label_offset; /* line of class 0 */
    int n_files;
    struct eng_file files[ENG_MAX_PARTS]; /* while the graph points into them */
};

struct eng_loading {
    struct eng_model *m;
    struct eng_model_options opts;
    const char *dir;
    struct eng_manifest manifest;
    const char *format;
    char *err;
    size_t errlen;
};

/* -ENOMEM, with its sentence. */
static inline int eng_no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
}

/* ---- parts.c ---- */

/* Reads the manifest's files into l->m->files, adds their bytes to the sum, and makes l->m->g of
 * them: checked, with its task and its size. Errors as eng_model_load() has them. */
int eng_parts_load(struct eng_loading *l, struct eng_sha256 *sum);

/* ---- describe.c ---- */

/* A copy of s (NULL: "") that lives as long as the model; NULL: out of memory. */
const char *eng_model_keep(struct eng_model *m, const char *s);
/* Sizes, costs and the usual preprocessing, of m->g. ENG_E_UNSUPPORTED: no input of a picture. */
int eng_describe_graph(struct eng_model *m, char *err, size_t errlen);
/* What the image door makes; of m->plan. */
void eng_describe_picture(struct eng_model *m);
/* Name, family, labels, golden answers, scores: what folder and manifest say, checked against the
 * graph. ENG_E_DATA, -ENOENT, -ENOMEM, ... */
int eng_describe_files(struct eng_loading *l);

#endif
