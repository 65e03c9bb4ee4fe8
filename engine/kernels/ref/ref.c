/* Which nodes the reference operators run, and the jump to them. */
#include "engine/kernels/ref/ref.h"

#include <math.h>
#include <stdio.h>

#include "engine/postprocess.h"

static void (*const run[ENG_OP_COUNT])(const struct eng_ref_call *) = {
#define OP(id, name, kind, least, most, shape, arith, reference, ...) [ENG_OP_##id] = reference,
#include "engine/graph/ops.def"
};

void eng_ref_run(const struct eng_ref_call *c)
{
    run[c->n->op](c);
}

static int refuse(const struct eng_node *n, const char *why, int code, char *err, size_t errlen)
{
    if (errlen)
        snprintf(err, errlen, "node %s: %s", n->name, why);
    return code;
}

/* Real or quantised per tensor. */
static int is_plain(const struct eng_tensor *t)
{
    return t->type == ENG_F32 || (eng_is_quantised(t) && !eng_quant_is_per_channel(t));
}

size_t eng_ref_scratch(const struct eng_graph *g, const struct eng_node *n)
{
    if (n->op != ENG_OP_DETECTIONS)
        return 0;
    return eng_detect_scratch(n->detect, eng_tensor_elements(&g->tensors[n->in[0]]) / 4);
}

int eng_ref_is_plain(const struct eng_graph *g, const struct eng_node *n)
{
    switch (n->op) {
    case ENG_OP_ARITH:
    case ENG_OP_ARGMAX:
    case ENG_OP_CAST:
    case ENG_OP_SLICE:
    case ENG_OP_PICK:
    case ENG_OP_TILE:
    case ENG_OP_SPREAD:
    case ENG_OP_DETECTIONS:
        return 1;
    case ENG_OP_CONCAT:
        return !eng_is_quantised(&g->tensors[n->out]) ||
               eng_tensor_elements(&g->tensors[n->out]) < 4096;
    default:
        return 0;
    }
}

static int check_weights(const struct eng_graph *g, const struct eng_node *n, char *err,
                         size_t errlen)
{
    const struct eng_tensor *x = &g->tensors[n->in[0]], *w = &g->tensors[n->in[1]];
    const struct eng_tensor *y = &g->tensors[n->out];
    const struct eng_tensor *b = n->n_in > 2 && n->in[2] >= 0 ? &g->tensors[n->in[2]] : NULL;
    if (x->type == ENG_F32 && w->type == ENG_F32 && y->type == ENG_F32 &&
        (!b || b->type == ENG_F32))
        return 0;
    if (!eng_is_quantised(x) || !eng_is_quantised(w) || !eng_is_quantised(y) ||
        (b && b->type != ENG_I32))
        return refuse(n, "this mix of input, weight and output types has no kernel",
                      ENG_E_UNSUPPORTED, err, errlen);
    for (int c = 0; c < w->quant.n; c++)
        if (!isfinite(eng_quant_multiplier(x, w, c, y)))
            return refuse(n, "input scale * weight scale / output scale is no finite number",
                          ENG_E_DATA, err, errlen);
    return 0;
}

static int check_types(const struct eng_graph *g, const struct eng_node *n, char *err,
                       size_t errlen)
{
    const struct eng_tensor *x = &g->tensors[n->in[0]], *y = &g->tensors[n->out];
    int changes = n->op == ENG_OP_QUANTIZE || n->op == ENG_OP_DEQUANTIZE;
    int only_moves = n->op == ENG_OP_RESHAPE || n->op == ENG_OP_TRANSPOSE ||
                     n->op == ENG_OP_GATHER || n->op == ENG_OP_SLICE || n->op == ENG_OP_TILE ||
                     (n->op == ENG_OP_CONCAT && !eng_is_quantised(y));
    if (only_moves && x->type == y->type)
        return 0;
    for (int i = 0; i < n->n_in; i++) {
        const struct eng_tensor *t = &g->tensors[n->in[i]];
        if (!is_plain(t) || (!changes && (t->type == ENG_F32) != (y->type == ENG_F32) &&
                             n->op != ENG_OP_PRELU && n->op != ENG_OP_BATCHNORM))
            return refuse(n, "this mix of types has no kernel", ENG_E_UNSUPPORTED, err, errlen);
    }
    if (!is_plain(y))
        return refuse(n, "its output type has no kernel", ENG_E_UNSUPPORTED, err, errlen);
    return 0;
}

int eng_ref_supports(const struct eng_graph *g, const struct eng_node *n, char *err, size_t errlen)
{
    if ((int)n->op < 0 || n->op >= ENG_OP_COUNT)
        return refuse(n, "no such operator", ENG_E_UNSUPPORTED, err, errlen);
    if (eng_op_has_weights(n->op))
        return check_weights(g, n, err, errlen);
    /* Their arithmetic was checked with the graph. */
    if (n->op == ENG_OP_ARITH || n->op == ENG_OP_ARGMAX || n->op == ENG_OP_CAST ||
        n->op == ENG_OP_PICK || n->op == ENG_OP_DETECTIONS)
        return 0;
    int r = check_types(g, n, err, errlen);
    if (r < 0)
        return r;
    const struct eng_tensor *x = &g->tensors[n->in[0]], *y = &g->tensors[n->out];
    struct eng_add_quant q;
    if (n->op == ENG_OP_ADD && eng_is_quantised(y) &&
        eng_add_quant_init(&q, x, &g->tensors[n->in[1]], y, n->lo, n->hi) < 0)
        return refuse(n, "the scales of the sum's inputs and output are too far apart",
                      ENG_E_UNSUPPORTED, err, errlen);
    if (n->op == ENG_OP_MUL && eng_is_quantised(y) &&
        !isfinite(eng_quant_multiplier(x, &g->tensors[n->in[1]], 0, y)))
        return refuse(n, "the product of the input scales over the output scale is no number",
                      ENG_E_DATA, err, errlen);
    if ((n->op == ENG_OP_MEAN || n->op == ENG_OP_AVGPOOL) && eng_is_quantised(y) &&
        !isfinite(eng_quant_mean_scale(x, y, 1)))
        return refuse(n, "input scale over output scale is no finite number", ENG_E_DATA, err,
                      errlen);
    return 0;
}
