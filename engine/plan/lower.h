/* From graph nodes to steps: what plan.c and the lower_*.c files share. Internal to them. */
#ifndef ENG_PLAN_LOWER_H
#define ENG_PLAN_LOWER_H

#include "engine/plan/steps.h"

struct eng_lower {
    struct eng_plan *p;
    const struct eng_graph *g;
    int *uses;   /* of each tensor: nodes that read it, plus one for logits, output, embedding */
    int *reader; /* last node that reads each tensor, -1: none */
    /* A tensor whose bytes are another's: alias_u8 in PIXELS and C16 (quantised i8 <-> u8),
     * alias_bytes in FILE and PIXELS (reshape). -1: none. */
    int *alias_u8, *alias_bytes;
    char *done; /* nodes that an earlier step runs */
    char *err;
    size_t errlen;
};

/* Fills the plan's values and steps. */
int eng_lower(struct eng_plan *p, const struct eng_plan_options *opts, char *err, size_t errlen);

/* All below: >= 0, or a failure with its sentence. */

/* The value of a computed tensor in a representation; conversion steps are added as needed. */
int eng_lower_need(struct eng_lower *l, int tensor, enum eng_rep rep);
/* A new value for a tensor that the next step writes. */
int eng_lower_make(struct eng_lower *l, int tensor, enum eng_rep rep);
/* A new C16 value of no tensor. */
int eng_lower_make_c16(struct eng_lower *l, enum eng_type type, int h, int w, int c);
/* Type of the elements of a tensor's C16 form. */
enum eng_type eng_lower_c16_type(const struct eng_lower *l, const struct eng_tensor *t);
/* Appends a step; `in` is copied. */
int eng_lower_step(struct eng_lower *l, const struct eng_step *s, const int *in, int n_in);
/* Memory of the plan; NULL after saying so. */
void *eng_lower_alloc(struct eng_lower *l, size_t bytes);
int eng_lower_no_memory(struct eng_lower *l);

/* 1 if the tensor has a C16 form: u8, i8 (one scale) or f32, an image [1,H,W,C] or a vector. */
int eng_lower_geometry(const struct eng_tensor *t, int *h, int *w, int *c);
/* Input i of a node, NULL if absent. */
const struct eng_tensor *eng_lower_in(const struct eng_lower *l, const struct eng_node *n, int i);

/* Appends a step of one node whose first n_in inputs and output are blocks. 1, or a failure. */
int eng_lower_c16_step(struct eng_lower *l, int i, const struct eng_driver *driver,
                       const void *params, const char *kernel, int n_in);

/* Each lowers node `i` if it is of its kind: 1 = done, 0 = not for me. */
int eng_lower_conv3(struct eng_lower *l, int i);
int eng_lower_gemm(struct eng_lower *l, int i);
int eng_lower_depthwise(struct eng_lower *l, int i);
int eng_lower_pool(struct eng_lower *l, int i);
int eng_lower_add(struct eng_lower *l, int i);
int eng_lower_lut(struct eng_lower *l, int i);
int eng_lower_flat(struct eng_lower *l, int i);
int eng_lower_join(struct eng_lower *l, int i);
int eng_lower_softmax(struct eng_lower *l, int i);
/* lower_maps.c */
int eng_lower_window(struct eng_lower *l, int i);
int eng_lower_activation(struct eng_lower *l, int i);
int eng_lower_channels(struct eng_lower *l, int i);
int eng_lower_product(struct eng_lower *l, int i);
int eng_lower_dwk(struct eng_lower *l, int i);
int eng_lower_concat(struct eng_lower *l, int i);
int eng_lower_pad(struct eng_lower *l, int i);
int eng_lower_argmax(struct eng_lower *l, int i); /* drive_argmax.c */
int eng_lower_gather(struct eng_lower *l, int i);
int eng_lower_resize(struct eng_lower *l, int i);
/* lower_dwk_u8.c */
int eng_lower_dwk_u8(struct eng_lower *l, int i);
int eng_lower_alias(struct eng_lower *l, int i);

/* ---- pack.c ---- */
/* 128 for i8, 0 for u8: what turns quanta of the type into u8 ones. */
int eng_pack_shift(enum eng_type type);
/* Packs a convolution of any kernel, no groups, as a pointwise over k = taps * in_blocks * 16 (one
 * tap: k = channels). `taps_c` channels a tap. 1 = done, 0 = these weights have no such form. */
int eng_pack_gemm(struct eng_lower *l, const struct eng_node *n, int taps, int taps_c,
                  struct eng_pw *ret);
int eng_pack_dw(struct eng_lower *l, const struct eng_node *n, struct eng_dw *ret);
/* Any window. Sets zx and rq of *ret, too. */
int eng_pack_dwk_u8(struct eng_lower *l, const struct eng_node *n,
                    const struct eng_dwk_u8_kernel *kernel, const char **ret_packed,
                    struct eng_dwk_u8_args *ret);
int eng_pack_conv3(struct eng_lower *l, const struct eng_node *n, struct eng_conv3_params *ret);

#endif
