/* The manifest of a version folder (`model.json`) and its labels. Internal to engine/.
 *
 * {"format": "tflite", "files": ["a.tflite", "b.tflite"], "labels": "labels.txt",
 *  "class_offset": 1, "family": "mobilenet_v1", "variant": "1.0_224", "licence": "Apache-2.0",
 *  "source": "where it comes from",
 *  "input": {"height": 224, "width": 224, "channels": "rgb|bgr",
 *            "resize": "short_side|squash|central_crop|letterbox",
 *            "filter": "bilinear|bicubic|nearest|area|tf_bilinear",
 *            "mean": number or [3], "scale": number or [3]}}
 *
 * `task`: "classification|embedding|tensors" (engine/tasks.def), of the files; `activation`:
 * "softmax|sigmoid|none", what makes scores of what stands before a final softmax or sigmoid, or of
 * the output; `output`: which of several outputs the scores, or the embedding, are;
 * `shown_outputs`: "usual|all", what the metadata of protocols that name tensors list.
 *
 * `precision`: "fp32|bf16|fp32x", which arithmetic an fp32 model may run in: taken where the
 * processor is faster in it than in fp32.
 *
 * `golden`: {"image": "cat.jpg", "classes": [281, 282], "scores": [0.7, 0.1], "tolerance": 0.02}.
 *
 * `head`: ["head.json", "head.bin"], a TF.js layers model that takes the place of everything behind
 * the embedding (what `teach` makes).
 *
 * `files` are parts, joined in order; of a TF.js model its JSON, then its shards. A model.json that
 * is a TF.js model itself (it has modelTopology) stands for a manifest that names it and its
 * shards. Everything has a default but, where the folder holds more
 * than one candidate, `files`. Unknown keys are errors: a misspelt one would be a wrong answer.
 * Paths must not leave the folder. */
#ifndef ENG_IMPORTERS_MANIFEST_H
#define ENG_IMPORTERS_MANIFEST_H

#include "engine/model.h"

enum { ENG_MAX_PARTS = 64 }; /* a TF.js model of 250 MB in shards of 4 MB */

struct eng_manifest {
    char *format; /* NULL: by the file's first bytes */
    int n_files;
    char *files[ENG_MAX_PARTS]; /* relative to the folder */
    int n_head;                 /* a TF.js model that reads the embedding, in place of what did */
    char *head[2];
    char *labels;                              /* NULL: labels.txt if it exists */
    int class_offset;                          /* -1: 1 for 1001 outputs, else 0 */
    int activation;                            /* enum eng_activation; -1: not stated */
    char *output;                              /* NULL: the main one */
    enum eng_precision precision;              /* AUTO: not stated */
    enum eng_task task;                        /* of the files */
    int shows_all;                             /* shown_outputs "all" */
    char *family, *variant, *licence, *source; /* NULL: not stated */
    int height, width;                         /* 0: the graph's */
    int bgr;
    enum eng_resize resize;
    enum eng_filter filter;
    int has_mean, has_scale;
    float mean[3], scale[3];
    struct eng_golden golden; /* n 0: none */
};

/* Reads dir/model.json, or finds the one model file of a folder without. */
int eng_manifest_load(struct eng_manifest *ret, const char *dir, char *err, size_t errlen);
/* The same from text, for tests. */
int eng_manifest_parse(struct eng_manifest *ret, const char *text, size_t len, char *err,
                       size_t errlen);
void eng_manifest_finish(struct eng_manifest *m);

/* Lines of a label file: without line ends, trailing empty lines dropped, bytes that are no UTF-8
 * become '?'. Owned by the struct. */
struct eng_labels {
    int n;
    char **line;
    char *text;
};
int eng_labels_load(struct eng_labels *ret, const char *path, char *err, size_t errlen);
void eng_labels_finish(struct eng_labels *l);

#endif
