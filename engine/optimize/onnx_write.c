/* A quantised graph as an ONNX file, opset 13: each operator in float, with QuantizeLinear and
 * DequantizeLinear around it (a float graph: without), which runtimes fuse into integer kernels.
 * Images become NCHW, the batch stays open. Field numbers: onnx.proto, IR version 7. */
#include "engine/optimize/onnx_write.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/quant.h"
#include "engine/optimize/quantize_parts.h"

/* What the operator made becomes the tensor's value: through Q and DQ if it is quantised. */
static void publish(struct eng_ow *w, int index, const char *made)
{
    const struct eng_tensor *t = eng_ow_tensor(w, index);
    char name[ENG_OW_NAME], q[ENG_OW_NAME];
    if (t->quant.n == 0) {
        snprintf(w->value[index], ENG_OW_NAME, "%s", made);
        return;
    }
    eng_ow_name_of(w, index, "", name);
    eng_ow_name_of(w, index, ".q", q);
    eng_ow_parameters(w, name, t);
    eng_ow_quantise(w, made, name, q);
    eng_ow_dequantise(w, q, name, t, name);
    snprintf(w->value[index], ENG_OW_NAME, "%s", name);
}

/* The clamp of a layer, unless saturation does it. */
static int clamps(const struct eng_ow *w, const struct eng_node *n)
{
    const struct eng_tensor *y = eng_ow_tensor(w, n->out);
    if (n->op == ENG_OP_UNARY || (n->lo == -INFINITY && n->hi == INFINITY))
        return 0;
    if (y->quant.n == 0)
        return 1;
    struct eng_quant_range r = eng_quant_bounds(y, n->lo, n->hi);
    return r.lo > 0 || r.hi < 255;
}

static int write_node(struct eng_ow *w, const struct eng_node *n)
{
    char made[ENG_OW_NAME], part[ENG_OW_NAME];
    if (n->op == ENG_OP_QUANTIZE) {
        publish(w, n->out, w->value[n->in[0]]);
        return 0;
    }
    if (n->op == ENG_OP_DEQUANTIZE) {
        memcpy(w->value[n->out], w->value[n->in[0]], ENG_OW_NAME);
        return 0;
    }
    eng_ow_name_of(w, n->out, ".f", made);
    eng_ow_name_of(w, n->out, ".open", part);
    int closed = clamps(w, n), rc = eng_ow_operator(w, n, closed ? part : made);
    if (rc == 0 && closed)
        eng_ow_clamp(w, part, n->out, n->lo, n->hi, made);
    if (rc == 0)
        publish(w, n->out, made);
    return rc;
}

/* ---- the file ---- */

/* ValueInfoProto of a float tensor with an open batch. */
static void value_info(struct eng_ow *w, int field, const char *name, const int *dim, int n)
{
    struct eng_pb info = {0}, type = {0}, tensor_type = {0}, shape = {0};
    for (int i = 0; i < n; i++) {
        struct eng_pb d = {0};
        if (i == 0)
            eng_pb_string(&d, 2, "N");
        else
            eng_pb_int(&d, 1, dim[i]);
        eng_pb_message(&shape, 1, &d);
    }
    eng_pb_int(&tensor_type, 1, ENG_OW_FLOAT);
    eng_pb_message(&tensor_type, 2, &shape);
    eng_pb_message(&type, 1, &tensor_type);
    eng_pb_string(&info, 1, name);
    eng_pb_message(&info, 2, &type);
    eng_pb_message(&w->graph, field, &info);
}

/* An end of the network under a name that people look for; a vector whatever it was. Whoever reads
 * the tensor later reads this. */
static void name_end(struct eng_ow *w, int index, const char *name)
{
    int n = (int)eng_tensor_elements(eng_ow_tensor(w, index));
    int image = eng_ow_tensor(w, index)->rank == 4;
    eng_ow_input(w, w->value[index]);
    if (image)
        eng_ow_attribute_int(w, "axis", 1);
    eng_ow_emit(w, image ? "Flatten" : "Identity", name);
    snprintf(w->value[index], ENG_OW_NAME, "%s", name);
    value_info(w, 12, name, (int[]){0, n}, 2);
}

static int write_graph(struct eng_ow *w)
{
    const struct eng_graph *g = w->g;
    const struct eng_tensor *in = &g->tensors[g->input];
    snprintf(w->value[g->input], ENG_OW_NAME, "input");
    eng_pb_string(&w->graph, 2, "mobilenetd");
    for (int i = 0; i < g->n_nodes; i++) {
        const struct eng_node *n = &g->nodes[i];
        int last = n->out == g->output && n->op == ENG_OP_SOFTMAX;
        if (last)
            name_end(w, n->in[0], "logits");
        int rc = write_node(w, n);
        if (rc < 0)
            return rc;
        if (n->out == g->output)
            name_end(w, g->output, last ? "probs" : "logits");
    }
    value_info(w, 11, "input", (int[]){0, in->dim[3], in->dim[1], in->dim[2]}, 4);
    return 0;
}

int eng_onnx_write(void **ret, size_t *ret_len, const struct eng_graph *g, char *err, size_t errlen)
{
    struct eng_ow w = {.g = g, .err = err, .errlen = errlen};
    struct eng_pb file = {0}, opset = {0};
    if (g->is_open)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the model has %d outputs: only one with a main output is written as ONNX",
                        g->n_outputs);
    w.value = calloc((size_t)g->n_tensors, sizeof(*w.value));
    int rc = w.value ? write_graph(&w) : -ENOMEM;
    eng_pb_int(&file, 1, 7);
    eng_pb_string(&file, 2, "mobilenetd");
    eng_pb_string(&opset, 1, "");
    eng_pb_int(&opset, 2, 13);
    eng_pb_message(&file, 8, &opset);
    file.failed |= w.node.failed;
    eng_pb_message(&file, 7, &w.graph);
    eng_pb_finish(&w.node);
    free(w.value);
    if (rc == 0 && file.failed)
        rc = -ENOMEM;
    if (rc < 0) {
        eng_pb_finish(&file);
        return rc == -ENOMEM ? eng_fail(err, errlen, rc, "not enough memory for the file") : rc;
    }
    *ret = file.bytes;
    *ret_len = file.len;
    return 0;
}
