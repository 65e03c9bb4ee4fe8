/* Trust: after eng_graph_check() every index, shape, constant and quantisation of a graph is sound.
 *
 * The frame is here: tensors, order of nodes, input and output, logits and embedding. Shapes of
 * each operator are in shape.c, types and arithmetic in arith.c. */
#include "engine/graph/check.h"

#include <math.h>

#include "engine/base/fail.h"
#include "engine/graph/outputs.h"

/* More than any network that a CPU should serve: an hour of one core. */
static const uint64_t MAX_MULT_ADDS = (uint64_t)1 << 42;

/* ---- tensors ---- */

static int check_dims(const struct eng_tensor *t, char *err, size_t errlen)
{
    if (t->rank < 0 || t->rank > ENG_MAX_RANK)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "tensor %.80s has %d dimensions", t->name,
                        t->rank);
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 1)
            return eng_fail(err, errlen, ENG_E_DATA, "tensor %.80s has a dimension of %d", t->name,
                            t->dim[i]);
        if (t->dim[i] > ENG_MAX_DIM || (n *= t->dim[i]) > ENG_MAX_ELEMENTS)
            return eng_fail(err, errlen, ENG_E_LIMIT, "tensor %.80s is too large", t->name);
    }
    return 0;
}

static int check_quant(const struct eng_tensor *t, char *err, size_t errlen)
{
    const struct eng_quant *q = &t->quant;
    if (q->n == 0)
        return 0;
    if (q->n < 0 || !q->scale || !q->zero_point)
        return eng_fail(err, errlen, ENG_E_DATA, "tensor %.80s has a broken quantisation", t->name);
    if (q->n > 1 && (q->axis < 0 || q->axis >= t->rank || q->n != t->dim[q->axis]))
        return eng_fail(err, errlen, ENG_E_DATA,
                        "tensor %.80s has %d scales, its quantised axis another length", t->name,
                        q->n);
    int lo = t->type == ENG_U8 ? 0 : t->type == ENG_I8 ? -128 : 0;
    int hi = t->type == ENG_U8 ? 255 : t->type == ENG_I8 ? 127 : 0;
    for (int i = 0; i < q->n; i++) {
        if (!isnormal(q->scale[i]) || q->scale[i] < 0)
            return eng_fail(err, errlen, ENG_E_DATA, "tensor %.80s has a scale of %g", t->name,
                            (double)q->scale[i]);
        if (q->zero_point[i] < lo || q->zero_point[i] > hi)
            return eng_fail(err, errlen, ENG_E_DATA, "tensor %.80s has a zero point of %d", t->name,
                            q->zero_point[i]);
    }
    return 0;
}

static int check_tensor(const struct eng_tensor *t, char *err, size_t errlen)
{
    if (!t->name || (unsigned)t->type > ENG_BOOL)
        return eng_fail(err, errlen, ENG_E_DATA, "a tensor has no name or no type");
    int rc = check_dims(t, err, errlen);
    if (rc < 0)
        return rc;
    if (t->data && t->size != eng_tensor_elements(t) * eng_type_size(t->type))
        return eng_fail(err, errlen, ENG_E_DATA,
                        "tensor %.80s has %zu bytes of data, its shape %zu", t->name, t->size,
                        eng_tensor_elements(t) * eng_type_size(t->type));
    if (t->data && (uintptr_t)t->data % eng_type_size(t->type) != 0)
        return eng_fail(err, errlen, ENG_E_DATA, "tensor %.80s is not aligned", t->name);
    return check_quant(t, err, errlen);
}

/* ---- nodes ---- */

static int check_links(const struct eng_check *c)
{
    const struct eng_graph *g = c->g;
    const struct eng_node *n = c->n;
    if (n->out < 0 || n->out >= g->n_tensors)
        return eng_check_fail(c, ENG_E_DATA, "its output is no tensor");
    const struct eng_tensor *out = &g->tensors[n->out];
    if (out->data || out->producer >= 0 || n->out == g->input)
        return eng_check_fail(c, ENG_E_DATA, "its output %.80s is already made elsewhere",
                              out->name);
    for (int i = 0; i < n->n_in; i++) {
        if (n->in[i] == -1)
            continue;
        if (n->in[i] < 0 || n->in[i] >= g->n_tensors)
            return eng_check_fail(c, ENG_E_DATA, "its input %d is no tensor", i);
        const struct eng_tensor *t = &g->tensors[n->in[i]];
        if (!t->data && t->producer < 0 && n->in[i] != g->input)
            return eng_check_fail(c, ENG_E_DATA,
                                  "its input %.80s is made by no earlier node (a cycle?)", t->name);
    }
    return 0;
}

static int check_count(const struct eng_check *c)
{
    const struct eng_node *n = c->n;
    if ((unsigned)n->op >= ENG_OP_COUNT)
        return eng_check_fail(c, ENG_E_DATA, "unknown operator %d", (int)n->op);
    if (!eng_op_takes(n->op, n->n_in))
        return eng_check_fail(c, ENG_E_DATA, "it has %d inputs", n->n_in);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] < 0 && !(i == 2 && eng_op_has_weights(n->op)))
            return eng_check_fail(c, ENG_E_DATA, "its input %d is missing", i);
    if (isnan(n->lo) || isnan(n->hi) || n->lo > n->hi)
        return eng_check_fail(c, ENG_E_DATA, "it clamps to %g .. %g", (double)n->lo, (double)n->hi);
    return 0;
}

/* The smaller operand of a commutative node goes second, where broadcasting is looked for. */
static void order_operands(struct eng_graph *g, struct eng_node *n)
{
    if (n->op != ENG_OP_ADD && n->op != ENG_OP_MUL)
        return;
    const struct eng_tensor *a = &g->tensors[n->in[0]], *b = &g->tensors[n->in[1]];
    if (eng_tensor_elements(a) < eng_tensor_elements(b) ||
        (a->data && !b->data && eng_tensor_elements(a) == eng_tensor_elements(b))) {
        int first = n->in[0];
        n->in[0] = n->in[1];
        n->in[1] = first;
    }
}

static int check_node(struct eng_check *c)
{
    int rc = check_links(c);
    if (rc >= 0)
        rc = check_count(c);
    if (rc < 0)
        return rc;
    order_operands(c->g, &c->g->nodes[c->index]);
    struct eng_tensor shape = {.name = "", .type = ENG_F32};
    rc = eng_check_shape(c, &shape);
    if (rc < 0)
        return rc;
    struct eng_tensor *out = eng_check_out(c);
    if (out->rank > 0 && !eng_same_shape(out, &shape))
        return eng_check_fail(c, ENG_E_DATA, "the shape of %.80s is not what the operator makes",
                              out->name);
    out->rank = shape.rank;
    for (int i = 0; i < shape.rank; i++)
        out->dim[i] = shape.dim[i];
    rc = check_dims(out, c->err, c->errlen);
    if (rc < 0)
        return eng_check_fail(c, rc, "its output is too large");
    out->producer = c->index;
    return eng_check_arith(c);
}

/* ---- ends ---- */

static int check_ends(const struct eng_graph *g, char *err, size_t errlen)
{
    if (g->input < 0 || g->input >= g->n_tensors)
        return eng_fail(err, errlen, ENG_E_DATA, "the graph has no input or no output");
    const struct eng_tensor *in = &g->tensors[g->input];
    if (in->data)
        return eng_fail(err, errlen, ENG_E_DATA, "the input %.80s is a constant", in->name);
    if (in->rank != 4 || in->dim[0] != 1)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the input %.80s is not one image (1 x height x width x channels)",
                        in->name);
    int quantised = in->type == ENG_U8 || in->type == ENG_I8;
    if ((!quantised && in->type != ENG_F32) || quantised != (in->quant.n == 1))
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the input %.80s is neither fp32 nor quantised uint8 or int8", in->name);
    return 0;
}

static int passes_values(enum eng_op op)
{
    return op == ENG_OP_QUANTIZE || op == ENG_OP_DEQUANTIZE || op == ENG_OP_RESHAPE;
}

/* The node that computed the values of t; NULL: they are the input's. */
static const struct eng_node *maker_of(const struct eng_graph *g, int t)
{
    while (g->tensors[t].producer >= 0 && passes_values(g->nodes[g->tensors[t].producer].op))
        t = g->nodes[g->tensors[t].producer].in[0];
    return g->tensors[t].producer < 0 ? NULL : &g->nodes[g->tensors[t].producer];
}

static void find_end(struct eng_graph *g)
{
    const struct eng_node *last = g->is_open ? NULL : maker_of(g, g->output);
    g->logits = g->output;
    g->end = ENG_ACTIVATION_NONE;
    g->end_beta = 1;
    if (last && last->op == ENG_OP_SOFTMAX) {
        g->end = ENG_ACTIVATION_SOFTMAX;
        g->end_beta = last->beta;
    } else if (last && last->op == ENG_OP_UNARY && last->unary == ENG_UNARY_SIGMOID) {
        g->end = ENG_ACTIVATION_SIGMOID;
    }
    if (g->end != ENG_ACTIVATION_NONE)
        g->logits = last->in[0];
    g->end_is_unit = last && g->end == ENG_ACTIVATION_NONE &&
                     ((last->op == ENG_OP_UNARY && last->unary == ENG_UNARY_HARD_SIGMOID) ||
                      (last->lo >= 0 && last->hi <= 1));
}

static void find_landmarks(struct eng_graph *g)
{
    find_end(g);
    g->embedding = g->embeds ? g->logits : -1;
    const struct eng_node *last = maker_of(g, g->logits);
    if (!last || g->embeds || g->is_open)
        return;
    const struct eng_tensor *x = &g->tensors[last->in[0]];
    int pixel = x->rank < 4 || (x->dim[1] == 1 && x->dim[2] == 1);
    if (last->op == ENG_OP_FC || (last->op == ENG_OP_CONV && pixel))
        g->embedding = last->in[0];
}

int eng_graph_infer(struct eng_graph *g, int node, char *err, size_t errlen)
{
    const struct eng_node *n = &g->nodes[node];
    struct eng_check c = {g, n, node, err, errlen};
    for (int i = 0; i < n->n_in; i++) {
        int rc = n->in[i] >= 0 && n->in[i] < g->n_tensors
                     ? check_tensor(&g->tensors[n->in[i]], err, errlen)
                     : 0;
        if (rc < 0)
            return rc;
    }
    return check_node(&c);
}

int eng_graph_check(struct eng_graph *g, char *err, size_t errlen)
{
    int rc;
    uint64_t mult_adds = 0;
    for (int i = 0; i < g->n_tensors; i++) {
        g->tensors[i].producer = -1;
        rc = check_tensor(&g->tensors[i], err, errlen);
        if (rc < 0)
            return rc;
    }
    rc = check_ends(g, err, errlen);
    if (rc >= 0)
        rc = eng_graph_name_outputs(g, err, errlen);
    if (rc < 0)
        return rc;
    for (int i = 0; i < g->n_nodes; i++) {
        struct eng_check c = {g, &g->nodes[i], i, err, errlen};
        rc = check_node(&c);
        if (rc < 0)
            return rc;
        mult_adds += eng_node_cost(g, &g->nodes[i]).mult_adds;
        if (mult_adds > MAX_MULT_ADDS)
            return eng_check_fail(&c, ENG_E_LIMIT, "the graph needs too many multiply-adds");
    }
    rc = eng_graph_check_outputs(g, err, errlen);
    if (rc < 0)
        return rc;
    find_landmarks(g);
    return 0;
}
