/* Reference operators: plain C, NHWC, the file's own types, one image. They define what is right;
 * the fast plan equals them in every bit for quantised types. Internal to engine/. */
#ifndef ENG_KERNELS_REF_REF_H
#define ENG_KERNELS_REF_REF_H

#include "engine/graph/quant.h"

/* One node to run. in[i] is the data of node input i (a constant's own data for constants, NULL for
 * an absent one), out the dense output. No function allocates or fails. */
struct eng_ref_call {
    const struct eng_graph *g;
    const struct eng_node *n;
    const void *const *in;
    void *out;
    void *scratch; /* eng_ref_scratch() bytes, aligned to 8 */
};

/* 0 if eng_ref_run() can run the node; ENG_E_UNSUPPORTED / ENG_E_DATA with a sentence if not. */
int eng_ref_supports(const struct eng_graph *g, const struct eng_node *n, char *err, size_t errlen);
void eng_ref_run(const struct eng_ref_call *c);
/* Bytes that the node needs for a run, besides its output. */
size_t eng_ref_scratch(const struct eng_graph *g, const struct eng_node *n);
/* 1: on tables, or on what only moves in rows, where the strict operator is the fast one, too. */
int eng_ref_is_plain(const struct eng_graph *g, const struct eng_node *n);

/* Input i of the call's node, and its output. */
static inline const struct eng_tensor *eng_ref_in(const struct eng_ref_call *c, int i)
{
    return &c->g->tensors[c->n->in[i]];
}
static inline const struct eng_tensor *eng_ref_out(const struct eng_ref_call *c)
{
    return &c->g->tensors[c->n->out];
}
/* Quantum i of u8 or i8 data. */
static inline int32_t eng_ref_q(enum eng_type type, const void *data, size_t i)
{
    return type == ENG_I8 ? ((const int8_t *)data)[i] : ((const uint8_t *)data)[i];
}
static inline void eng_ref_put_q(enum eng_type type, void *data, size_t i, int32_t q)
{
    if (type == ENG_I8)
        ((int8_t *)data)[i] = (int8_t)q;
    else
        ((uint8_t *)data)[i] = (uint8_t)q;
}
/* Real value of element i (per-tensor scale), and back: rint(v / scale), half to even, clamped. */
float eng_ref_real(const struct eng_tensor *t, const void *data, size_t i);
void eng_ref_put_real(const struct eng_tensor *t, void *data, size_t i, float v);
/* As eng_ref_put_real, with the node's clamp. */
void eng_ref_put_clamped(const struct eng_ref_call *c, size_t i, float v);

/* One for each operator of ops.def. */
#define OP(id, name, kind, least, most, shape, arith, reference, ...)                              \
    void reference(const struct eng_ref_call *c);
#include "engine/graph/ops.def"

/* RESIZE: the two input rows or columns that output number `o` of `out` lies between, and how much
 * of the second. Of quanta the weight is in steps of 2^-11, half to even; one that is rounded to 1
 * stays with its two neighbours, so that their difference is added in full. */
enum { ENG_REF_WEIGHT_BITS = 11 };
struct eng_ref_lerp {
    int i0, i1;
    float weight;
    int32_t steps; /* of quanta alone */
};
struct eng_ref_lerp eng_ref_resize_at(const struct eng_node *n, int o, int in, int out);
struct eng_ref_lerp eng_ref_resize_quanta_at(const struct eng_node *n, int o, int in, int out);

/* Quantised softmax in two halves: table[d] = exp of d quanta below the largest, of that scale; and
 * what a probability over the output's scale is in quanta of the output. */
void eng_ref_softmax_table(float scale, float beta, float table[256]);
uint8_t eng_ref_softmax_round(float p, enum eng_type type, const struct eng_quant_range *r);

#endif
