/* A model: a version folder of a repository (`NAME/VERSION/`: files, labels, `model.json`), or a
 * MobileNet built from (alpha, rho, classes, form) with seeded weights.
 *
 * Loaded once (import -> fold -> plan -> pack), then immutable and reference-counted; any thread
 * may read it. Model files are untrusted: see ENG_E_DATA, ENG_E_LIMIT, ENG_E_UNSUPPORTED. */
#ifndef ENG_MODEL_H
#define ENG_MODEL_H

#include "engine/engine.h"
#include "engine/image.h"

struct eng_model;

enum eng_precision {
    ENG_PRECISION_AUTO,  /* as the file says */
    ENG_PRECISION_INT8,  /* per-channel (builder) */
    ENG_PRECISION_UINT8, /* per-tensor with weight zero points, the 2018 scheme (builder) */
    ENG_PRECISION_FP32,
    ENG_PRECISION_BF16,  /* fp32 weights rounded at load; fast with AMX-BF16, AVX512-BF16, NEON-BF16
                          */
    ENG_PRECISION_FP32X, /* fp32 whose products are made of bf16 parts; fast with AMX-BF16 */
};

enum eng_form {
    ENG_FORM_SEPARABLE, /* the paper's Table 1 */
    ENG_FORM_FULL,      /* full convolutions in place of depthwise + pointwise (Table 4) */
    ENG_FORM_SHALLOW,   /* without the five 14x14x512 layers (Table 5) */
};

/* What the manifest says that the model is for: tasks.def. */
enum eng_task {
#define MODEL_TASK(id, name) ENG_TASK_##id,
#include "engine/tasks.def"
    ENG_TASKS,
};
const char *eng_task_name(enum eng_task task); /* "classification", … */

struct eng_model_options {
    uint32_t cpu_bits;            /* kernels may use these; 0 = eng_cpu_detect() */
    enum eng_precision precision; /* AUTO, or FP32/BF16/FP32X of a float model */
    int reference;              /* 1: strict C kernels, NHWC, one step a node, every tensor kept */
    size_t max_file_bytes;      /* also of a compressed file when it is expanded; 0 = 1 GiB */
    const char *name, *version; /* NULL: the last two components of the folder */
};

/* What the manifest says that the model answers to a picture. */
enum { ENG_GOLDEN_MAX = 16 };
struct eng_golden {
    char image[256]; /* file, relative to the version folder */
    int n;           /* 1..ENG_GOLDEN_MAX, best first */
    int classes[ENG_GOLDEN_MAX];
    float scores[ENG_GOLDEN_MAX]; /* probabilities */
    float tolerance;              /* of each */
};

/* One output of the files, as they have it: its name, its order of dimensions, its type. */
struct eng_output {
    const char *name;
    enum eng_type type; /* fp32, uint8 or int8 */
    int rank;           /* 0..ENG_MAX_OUTPUT_RANK, the batch of 1 included */
    int32_t dim[ENG_MAX_OUTPUT_RANK];
    size_t elements, bytes; /* of one image */
    float scale;            /* real = scale * (value - zero_point); 0: not quantised */
    int32_t zero_point;
};

struct eng_model_info {
    const char *name;                /* folder NAME, or "mobilenet_v1_1.0_224" of the builder */
    const char *version;             /* folder VERSION */
    const char *family;              /* manifest; "" if none */
    const char *variant;             /* manifest, e.g. "1.0_224"; "" if none */
    const char *licence;             /* manifest; "" if none */
    const char *format;              /* "tflite", "onnx", "tfjs", "builtin" */
    const char *precision;           /* "uint8", "int8", "fp32", "bf16", "fp32x" */
    const char *isa;                 /* highest ISA level of the kernels that were chosen */
    int n_outputs;                   /* at least 1 */
    const struct eng_output *output; /* [n_outputs], in the files' order */
    int outputs;                     /* length of the logits: of the main output, see `open` */
    int class_offset; /* output index - class number: 1 where output 0 is a background class */
    int embedding;    /* length of the embedding, 0 if the graph has none */
    enum eng_task task;
    int embeds;              /* the output itself is the embedding */
    int shows_all;           /* every tensor stands in the metadata, not the usual one alone */
    enum eng_activation end; /* what the graph ends in; logits are what goes into it */
    enum eng_activation activation; /* what makes scores of logits */
    const char *activation_from;    /* "graph", "manifest", "default" */
    int open; /* several outputs, none of which the others lead to, and the manifest names none: the
                 model has no scores, and no embedding */
    const char *no_classes; /* why it is no classifier, to stand behind "is no classifier: "; "" if
                               it is one */
    struct eng_preprocess preprocess; /* size, resize, normalisation, element type of the input */
    /* Of what eng_context_picture() takes: preprocess, or, of a network that quantises its float
     * input first, the same with the quanta written straight away. */
    struct eng_preprocess picture;
    uint64_t mult_adds; /* of one image */
    uint64_t parameters;
    size_t weight_bytes;             /* packed, resident */
    const struct eng_golden *golden; /* NULL if the manifest has none */
    const char *digest;              /* sha256 of the files, hex; of the spec for the builder */
};

/* `dir` is the version folder; NAME and VERSION are its last two components. Errors: ENG_E_*,
 * -ENOENT, -ENOMEM, ... with a sentence that names the file and the node. opts may be NULL. */
int eng_model_load(struct eng_model **ret, const char *dir, const struct eng_model_options *opts,
                   char *err, size_t errlen);

struct eng_mobilenet_spec {
    int generation; /* 1, 2 (3: see eng_mobilenet_v3 when it comes) */
    double alpha;   /* width multiplier, 0.05..2; channels rounded as in the paper's releases: V1
                       truncates alpha*channels (at least 8), V2 rounds to multiples of 8 */
    int rho;        /* input side in pixels, 32..1024 */
    int classes;    /* outputs */
    enum eng_form form;
    uint64_t seed;
};
/* opts->precision picks the arithmetic (AUTO = FP32). */
int eng_model_build(struct eng_model **ret, const struct eng_mobilenet_spec *spec,
                    const struct eng_model_options *opts, char *err, size_t errlen);

struct eng_model *eng_model_ref(struct eng_model *m); /* m */
void eng_model_unref(struct eng_model *m);            /* NULL is fine; the last one frees */

const struct eng_model_info *eng_model_info(const struct eng_model *m); /* lives as long as m */
/* Label of class number c (output index - class_offset); "" if it has none. */
const char *eng_model_label(const struct eng_model *m, int c);

/* One layer of the table that `describe` prints; index 0 .. n-1 where n is returned by _layers().
 */
struct eng_layer {
    const char *name;
    const char *kind; /* "conv", "depthwise", "pointwise", "fc", "pool", "softmax", ... */
    int stride;
    int in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w;
    uint64_t mult_adds, parameters;
    const char *kernel; /* kernel that the plan chose for it, e.g. "pw_u8_avx512vnni" */
    int step;           /* index of the plan step that runs it (fused layers share one) */
    double density;     /* share of the mult_adds that is computed: < 1 with block-sparse weights */
};
int eng_model_layers(const struct eng_model *m);
int eng_model_layer(const struct eng_model *m, int index, struct eng_layer *ret); /* -ERANGE */

#endif
