/* What an ONNX file is put together from: names, initialisers, attributes, nodes. */
#include "engine/optimize/onnx_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

int eng_ow_fail(const struct eng_ow *w, const struct eng_node *n, const char *what)
{
    return eng_fail(w->err, w->errlen, ENG_E_UNSUPPORTED, "layer %d (%s %.80s): %s",
                    (int)(n - w->g->nodes), eng_op_name(n->op), n->name, what);
}

const struct eng_tensor *eng_ow_tensor(const struct eng_ow *w, int index)
{
    return &w->g->tensors[index];
}

/* "conv1/relu:17", unique by its number; suffix tells stages of one tensor apart. */
void eng_ow_name_of(const struct eng_ow *w, int index, const char *suffix, char ret[ENG_OW_NAME])
{
    snprintf(ret, ENG_OW_NAME, "%.64s:%d%s", eng_ow_tensor(w, index)->name, index, suffix);
}

void eng_ow_initialiser(struct eng_ow *w, const char *name, int type, const int64_t *dim, int rank,
                        const void *data, size_t bytes)
{
    struct eng_pb t = {0};
    for (int i = 0; i < rank; i++)
        eng_pb_int(&t, 1, dim[i]);
    eng_pb_int(&t, 2, type);
    eng_pb_string(&t, 8, name);
    eng_pb_bytes(&t, 9, data, bytes);
    eng_pb_message(&w->graph, 5, &t);
}

int eng_ow_type(enum eng_type t)
{
    return t == ENG_U8    ? ENG_OW_UINT8
           : t == ENG_I8  ? ENG_OW_INT8
           : t == ENG_I32 ? ENG_OW_INT32
                          : ENG_OW_FLOAT;
}

/* Int8 weights are stored as uint8 around 128: ONNX Runtime multiplies uint8 by int8 with sums of
 * pairs that saturate at 16 bits where the processor has AVX2 or AVX-512 but no VNNI. */
int eng_ow_offset(const struct eng_tensor *t)
{
    return t->type == ENG_I8 && t->data ? 128 : 0;
}

/* NAME.scale and NAME.zero; the zero point of an int32 is left out, as it must be 0. */
void eng_ow_parameters(struct eng_ow *w, const char *name, const struct eng_tensor *t)
{
    char part[ENG_OW_NAME + 8];
    int64_t n = t->quant.n;
    int per_axis = n > 1;
    uint8_t *zero = calloc((size_t)n, 1);
    snprintf(part, sizeof(part), "%s.scale", name);
    eng_ow_initialiser(w, part, ENG_OW_FLOAT, &n, per_axis, t->quant.scale,
                       (size_t)n * sizeof(float));
    if (!zero)
        w->graph.failed = 1;
    for (int64_t i = 0; zero && i < n; i++)
        zero[i] = (uint8_t)(t->quant.zero_point[i] + eng_ow_offset(t));
    snprintf(part, sizeof(part), "%s.zero", name);
    if (t->type != ENG_I32 && zero)
        eng_ow_initialiser(w, part, eng_ow_offset(t) ? ENG_OW_UINT8 : eng_ow_type(t->type), &n,
                           per_axis, zero, (size_t)n);
    free(zero);
}

static void attribute(struct eng_ow *w, const char *name, int type, struct eng_pb *a)
{
    eng_pb_string(a, 1, name);
    eng_pb_int(a, 20, type);
    eng_pb_message(&w->node, 5, a);
}

void eng_ow_attribute_int(struct eng_ow *w, const char *name, int64_t v)
{
    struct eng_pb a = {0};
    eng_pb_int(&a, 3, v);
    attribute(w, name, 2, &a);
}

void eng_ow_attribute_float(struct eng_ow *w, const char *name, float v)
{
    struct eng_pb a = {0};
    eng_pb_float(&a, 2, v);
    attribute(w, name, 1, &a);
}

void eng_ow_attribute_ints(struct eng_ow *w, const char *name, const int *v, int n)
{
    struct eng_pb a = {0};
    for (int i = 0; i < n; i++)
        eng_pb_int(&a, 8, v[i]);
    attribute(w, name, 7, &a);
}

void eng_ow_input(struct eng_ow *w, const char *name)
{
    eng_pb_string(&w->node, 1, name);
}

/* Inputs and attributes were given; the node goes into the graph. */
void eng_ow_emit(struct eng_ow *w, const char *type, const char *output)
{
    eng_pb_string(&w->node, 2, output);
    eng_pb_string(&w->node, 3, output);
    eng_pb_string(&w->node, 4, type);
    eng_pb_message(&w->graph, 1, &w->node);
}

/* NAME.scale and NAME.zero as inputs. */
static void parameter_inputs(struct eng_ow *w, const char *name, int zero)
{
    char part[ENG_OW_NAME + 8];
    snprintf(part, sizeof(part), "%s.scale", name);
    eng_ow_input(w, part);
    snprintf(part, sizeof(part), "%s.zero", name);
    if (zero)
        eng_ow_input(w, part);
}

void eng_ow_quantise(struct eng_ow *w, const char *from, const char *name, const char *made)
{
    eng_ow_input(w, from);
    parameter_inputs(w, name, 1);
    eng_ow_emit(w, "QuantizeLinear", made);
}

void eng_ow_dequantise(struct eng_ow *w, const char *stored, const char *name,
                       const struct eng_tensor *t, const char *made)
{
    eng_ow_input(w, stored);
    parameter_inputs(w, name, t->type != ENG_I32);
    if (t->quant.n > 1)
        eng_ow_attribute_int(w, "axis", 0);
    eng_ow_emit(w, "DequantizeLinear", made);
}
