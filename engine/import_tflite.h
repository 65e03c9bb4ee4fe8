/* What the two halves of the TFLite importer share. Internal to import_tflite*.c. */
#ifndef ENG_IMPORT_TFLITE_H
#define ENG_IMPORT_TFLITE_H

#include "engine/flatbuffer.h"
#include "engine/graph.h"

struct eng_tfl {
    struct eng_fb fb;
    struct eng_graph *g;
    struct eng_fb_vector codes, buffers, tensors; /* of the file */
    int *map;                                     /* file tensor -> graph tensor, -1: not yet */
    char *err;
    size_t errlen;
};

/* One operator of the file. */
struct eng_tfl_op {
    int index; /* in the file */
    int code;  /* tflite::BuiltinOperator */
    int n_in;
    int in[ENG_MAX_INPUTS]; /* file tensors, -1 = absent */
    int out;                /* file tensor */
    struct eng_fb_table options;
};

/* The graph's tensor for a file tensor, read when first asked for; negative: failure. */
int eng_tfl_tensor(struct eng_tfl *f, int file_index);
/* The integers (int32 or int64) of a constant; how many, or a failure. */
int eng_tfl_integers(struct eng_tfl *f, int file_index, int64_t *ret, int max);
/* Turns a constant into float in place (from fp16, or quantised). */
int eng_tfl_to_float(struct eng_tfl *f, struct eng_tensor *t);
/* Adds what the operator becomes: usually one node, sometimes none. */
int eng_tfl_add(struct eng_tfl *f, const struct eng_tfl_op *op);

#endif
