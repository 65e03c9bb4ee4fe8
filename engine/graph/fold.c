/* Folding: nodes that cost time for nothing go into their neighbours.
 *
 * One pass in topological order; each rule rewrites the node before or behind and marks the folded
 * one dead. Then dead and unreachable nodes are dropped and the whole graph is checked again: a
 * fold that broke a shape is an error, not a wrong answer. */
#include "engine/graph/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

struct fold {
    struct eng_graph *g;
    int *uses;   /* by tensor: nodes that read it, and the graph's output */
    int *reader; /* by tensor: one node that reads it, or -1 */
    char *dead;  /* by node */
};

static struct eng_tensor *tensor(const struct fold *f, int index)
{
    return &f->g->tensors[index];
}

/* The node that makes the tensor, if nobody else reads it. */
static struct eng_node *sole_producer(const struct fold *f, int index)
{
    int p = tensor(f, index)->producer;
    return p >= 0 && f->uses[index] == 1 ? &f->g->nodes[p] : NULL;
}

/* Node `n` takes over what `gone` made. */
static void take_output(struct fold *f, struct eng_node *n, struct eng_node *gone)
{
    f->uses[n->out] = 0;
    tensor(f, n->out)->producer = -1;
    n->out = gone->out;
    tensor(f, n->out)->producer = (int)(n - f->g->nodes);
    f->dead[gone - f->g->nodes] = 1;
}

static int convolves(const struct eng_node *n)
{
    return eng_op_has_weights(n->op);
}

/* ---- rules ---- */

/* PAD, then a convolution: both pad with the zero (or the zero point) of one quantisation. */
static void fold_pad(struct fold *f, struct eng_node *n)
{
    if (n->op != ENG_OP_CONV && n->op != ENG_OP_DEPTHWISE)
        return;
    struct eng_node *pad = sole_producer(f, n->in[0]);
    if (!pad || pad->op != ENG_OP_PAD)
        return;
    struct eng_window *w = &n->win;
    const struct eng_window *p = &pad->win;
    if (p->front || p->back || w->top + p->top > ENG_MAX_WINDOW ||
        w->bottom + p->bottom > ENG_MAX_WINDOW || w->left + p->left > ENG_MAX_WINDOW ||
        w->right + p->right > ENG_MAX_WINDOW)
        return;
    w->top += p->top;
    w->bottom += p->bottom;
    w->left += p->left;
    w->right += p->right;
    f->uses[n->in[0]] = 0;
    n->in[0] = pad->in[0];
    f->reader[n->in[0]] = (int)(n - f->g->nodes);
    f->dead[pad - f->g->nodes] = 1;
}

static void fold_clamp(struct fold *f, struct eng_node *n)
{
    if (n->op != ENG_OP_UNARY || n->unary != ENG_UNARY_CLAMP)
        return;
    struct eng_node *before = sole_producer(f, n->in[0]);
    if (!before || !(convolves(before) || before->op == ENG_OP_ADD || before->op == ENG_OP_MUL))
        return;
    const struct eng_tensor *x = tensor(f, n->in[0]), *y = tensor(f, n->out);
    if (x->type != y->type || !eng_same_quant(x, y))
        return;
    before->lo = fminf(fmaxf(before->lo, n->lo), n->hi);
    before->hi = fminf(fmaxf(before->hi, n->lo), n->hi);
    take_output(f, before, n);
}

/* What a node does to each channel: y = x * scale + offset; NULL: 1, 0. stride 0: one value. */
struct affine {
    const float *scale, *offset;
    int stride;
};

static int as_affine(const struct fold *f, const struct eng_node *n, struct affine *ret)
{
    *ret = (struct affine){.stride = 1};
    if (tensor(f, n->out)->type != ENG_F32)
        return 0;
    if (n->op == ENG_OP_BATCHNORM) {
        ret->scale = tensor(f, n->in[1])->data;
        ret->offset = tensor(f, n->in[2])->data;
        return 1;
    }
    if (n->op != ENG_OP_ADD && n->op != ENG_OP_MUL)
        return 0;
    const struct eng_tensor *x = tensor(f, n->in[0]), *c = tensor(f, n->in[1]);
    size_t elements = eng_tensor_elements(c);
    if (!c->data || x->rank < 1 || (elements != 1 && elements != (size_t)x->dim[x->rank - 1]))
        return 0;
    ret->stride = elements != 1;
    if (n->op == ENG_OP_ADD)
        ret->offset = c->data;
    else
        ret->scale = c->data;
    return 1;
}

/* Of floats or of int32; its data are to be filled in. */
static int new_constant(struct fold *f, const struct eng_tensor *like, const char *name,
                        void **ret_data)
{
    struct eng_tensor t = *like;
    size_t n = eng_tensor_elements(&t), unit = eng_type_size(t.type);
    *ret_data = eng_graph_alloc_constant(f->g, n, unit);
    if (!*ret_data)
        return -ENOMEM;
    t.name = name;
    t.data = *ret_data;
    t.size = n * unit;
    int index = eng_graph_add_tensor(f->g, &t);
    if (index < 0)
        return index;
    int *uses = realloc(f->uses, (size_t)f->g->n_tensors * sizeof(*uses));
    if (!uses)
        return -ENOMEM;
    f->uses = uses;
    int *reader = realloc(f->reader, (size_t)f->g->n_tensors * sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    f->reader = reader;
    uses[index] = 1;
    reader[index] = -1;
    return index;
}

/* New weights and bias of a convolution with the affine map behind it. */
static int scale_weights(struct fold *f, struct eng_node *conv, const struct affine *a)
{
    const struct eng_tensor *w = tensor(f, conv->in[1]);
    int depthwise = conv->op == ENG_OP_DEPTHWISE;
    int outputs = w->dim[depthwise ? 3 : 0];
    size_t n = eng_tensor_elements(w), per_output = n / (size_t)outputs;
    const float *old = w->data, *old_bias = NULL;
    if (conv->n_in > 2 && conv->in[2] >= 0)
        old_bias = tensor(f, conv->in[2])->data;
    void *made[2];
    int *in = eng_graph_alloc(f->g, 3, sizeof(*in));
    if (!in)
        return -ENOMEM;
    struct eng_tensor shape = {.type = ENG_F32, .rank = 1, .dim = {outputs}};
    int wi = new_constant(f, w, w->name, &made[0]);
    int bi = wi < 0 ? wi : new_constant(f, &shape, conv->name, &made[1]);
    if (bi < 0)
        return bi;
    float *data = made[0], *bias = made[1];
    for (size_t i = 0; i < n; i++) {
        size_t ch = depthwise ? i % (size_t)outputs : i / per_output;
        data[i] = a->scale ? old[i] * a->scale[ch * (size_t)a->stride] : old[i];
    }
    for (int ch = 0; ch < outputs; ch++) {
        float v = old_bias ? old_bias[ch] : 0;
        v = a->scale ? v * a->scale[ch * a->stride] : v;
        bias[ch] = a->offset ? v + a->offset[ch * a->stride] : v;
    }
    in[0] = conv->in[0];
    in[1] = wi;
    in[2] = bi;
    conv->in = in;
    conv->n_in = 3;
    return 0;
}

static int fold_affine(struct fold *f, struct eng_node *n)
{
    struct affine a;
    if (!as_affine(f, n, &a))
        return 0;
    struct eng_node *conv = sole_producer(f, n->in[0]);
    if (!conv || !convolves(conv) || conv->lo != -INFINITY || conv->hi != INFINITY)
        return 0;
    int rc = scale_weights(f, conv, &a);
    if (rc < 0)
        return rc;
    conv->lo = n->lo;
    conv->hi = n->hi;
    take_output(f, conv, n);
    return 0;
}

/* Equal but for dimensions of 1: the bytes and the last axis mean the same. */
static int same_but_ones(const struct eng_tensor *a, const struct eng_tensor *b)
{
    int i = 0, k = 0;
    for (;;) {
        while (i < a->rank && a->dim[i] == 1)
            i++;
        while (k < b->rank && b->dim[k] == 1)
            k++;
        if (i == a->rank || k == b->rank)
            return i == a->rank && k == b->rank;
        if (a->dim[i++] != b->dim[k++])
            return 0;
    }
}

static int moves_nothing(const struct fold *f, const struct eng_node *n)
{
    const struct eng_tensor *x = tensor(f, n->in[0]), *y = tensor(f, n->out);
    if (n->op == ENG_OP_RESHAPE)
        return same_but_ones(x, y) && x->dim[x->rank - 1] == y->dim[y->rank - 1];
    if (n->op != ENG_OP_TRANSPOSE || x->dim[x->rank - 1] != y->dim[y->rank - 1])
        return 0;
    int last = -1;
    for (int i = 0; i < x->rank; i++) {
        if (x->dim[n->perm[i]] == 1)
            continue;
        if (n->perm[i] < last)
            return 0;
        last = n->perm[i];
    }
    return 1;
}

/* An operator of one data input to which [1,1,1,C] and [1,C] are the same. */
static int blind_to_ones(const struct eng_node *n)
{
    return n->op == ENG_OP_FC || n->op == ENG_OP_SOFTMAX || n->op == ENG_OP_QUANTIZE ||
           n->op == ENG_OP_DEQUANTIZE || n->op == ENG_OP_UNARY;
}

/* The tensors behind `t` whose shape would follow it: up to an FC or the output. -1: some reader
 * would mind. */
static int blind_chain(const struct fold *f, int t, int *chain, int max)
{
    for (int n = 0; n < max; n++) {
        if (f->uses[t] != 1)
            return -1;
        if (t == f->g->output)
            return n;
        if (f->reader[t] < 0)
            return -1;
        const struct eng_node *reader = &f->g->nodes[f->reader[t]];
        if (!blind_to_ones(reader))
            return -1;
        if (reader->op == ENG_OP_FC)
            return n;
        chain[n] = t = reader->out;
    }
    return -1;
}

/* A reshape whose reader does not mind: it reads the source, and what follows takes its shape. */
static void fold_reshape(struct fold *f, struct eng_node *n)
{
    enum { DEEPEST = 8 };
    struct eng_graph *g = f->g;
    int chain[DEEPEST], x = n->in[0];
    if ((n->op != ENG_OP_RESHAPE && n->op != ENG_OP_TRANSPOSE) || !moves_nothing(f, n) ||
        x == g->input || f->uses[x] != 1)
        return;
    int links = blind_chain(f, n->out, chain, DEEPEST);
    if (links < 0)
        return;
    for (int i = 0; i < links; i++) {
        tensor(f, chain[i])->rank = tensor(f, x)->rank;
        memcpy(tensor(f, chain[i])->dim, tensor(f, x)->dim, sizeof(tensor)(f, x)->dim);
    }
    if (g->output == n->out) {
        g->output = x;
        for (int i = 0; i < g->n_outputs; i++)
            if (g->outputs[i].tensor == n->out)
                g->outputs[i].tensor = x;
    } else {
        f->reader[x] = f->reader[n->out];
        g->nodes[f->reader[x]].in[0] = x;
    }
    f->uses[n->out] = 0;
    f->dead[n - g->nodes] = 1;
}

/* Does t exchange the last two axes, and nothing else? */
static int exchanges_last(const struct eng_node *t, int rank)
{
    for (int i = 0; i < rank - 2; i++)
        if (t->perm[i] != i)
            return 0;
    return rank > 2 && t->perm[rank - 2] == rank - 1 && t->perm[rank - 1] == rank - 2;
}

/* A channel shuffle: channels reshaped to groups, the two axes exchanged, reshaped back. */
static int fold_shuffle(struct fold *f, struct eng_node *n)
{
    struct eng_node *t = n->op == ENG_OP_RESHAPE ? sole_producer(f, n->in[0]) : NULL;
    struct eng_node *r = t && t->op == ENG_OP_TRANSPOSE ? sole_producer(f, t->in[0]) : NULL;
    if (!r || r->op != ENG_OP_RESHAPE)
        return 0;
    const struct eng_tensor *x = tensor(f, r->in[0]), *in = tensor(f, r->out);
    if (!exchanges_last(t, in->rank) || x->rank < 1 || !eng_same_shape(x, tensor(f, n->out)))
        return 0;
    int groups = in->dim[in->rank - 2], each = in->dim[in->rank - 1], c = x->dim[x->rank - 1];
    if ((int64_t)groups * each != c)
        return 0;
    struct eng_tensor shape = {.type = ENG_I32, .rank = 1, .dim = {c}};
    void *made;
    int *inputs = eng_graph_alloc(f->g, 2, sizeof(*inputs));
    int list = inputs ? new_constant(f, &shape, n->name, &made) : -ENOMEM;
    if (list < 0)
        return list;
    for (int i = 0; i < c; i++)
        ((int32_t *)made)[i] = i % groups * each + i / groups;
    inputs[0] = r->in[0];
    inputs[1] = list;
    f->uses[n->in[0]] = f->uses[t->in[0]] = 0;
    f->reader[r->in[0]] = (int)(n - f->g->nodes);
    f->dead[t - f->g->nodes] = f->dead[r - f->g->nodes] = 1;
    n->op = ENG_OP_GATHER;
    n->in = inputs;
    n->n_in = 2;
    return 0;
}

/* ---- the pass ---- */

/* Once each. */
static void count_outputs(struct fold *f)
{
    const struct eng_graph *g = f->g;
    f->uses[g->output]++;
    for (int i = 0; i < g->n_outputs; i++)
        f->uses[g->outputs[i].tensor] += g->outputs[i].tensor != g->output;
}

static void drop_unreachable(struct fold *f)
{
    struct eng_graph *g = f->g;
    memset(f->uses, 0, (size_t)g->n_tensors * sizeof(*f->uses));
    count_outputs(f);
    int kept = 0;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        if (!f->uses[g->nodes[i].out])
            f->dead[i] = 1;
        for (int k = 0; !f->dead[i] && k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                f->uses[g->nodes[i].in[k]]++;
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!f->dead[i])
            g->nodes[kept++] = g->nodes[i];
    g->n_nodes = kept;
}

static int run_rules(struct fold *f)
{
    for (int i = 0; i < f->g->n_nodes; i++) {
        struct eng_node *n = &f->g->nodes[i];
        int rc = fold_affine(f, n);
        if (rc < 0)
            return rc;
        if (!f->dead[i] && (rc = fold_shuffle(f, n)) < 0)
            return rc;
        if (!f->dead[i])
            fold_clamp(f, n);
        if (!f->dead[i])
            fold_pad(f, n);
        if (!f->dead[i])
            fold_reshape(f, n);
    }
    return 0;
}

static int count_uses(struct fold *f)
{
    struct eng_graph *g = f->g;
    f->uses = calloc((size_t)g->n_tensors + 1, sizeof(*f->uses));
    f->reader = malloc(((size_t)g->n_tensors + 1) * sizeof(*f->reader));
    f->dead = calloc((size_t)g->n_nodes + 1, 1);
    if (!f->uses || !f->reader || !f->dead)
        return -ENOMEM;
    for (int i = 0; i < g->n_tensors; i++)
        f->reader[i] = -1;
    count_outputs(f);
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            if (g->nodes[i].in[k] < 0)
                continue;
            f->uses[g->nodes[i].in[k]]++;
            f->reader[g->nodes[i].in[k]] = i;
        }
    }
    return 0;
}

int eng_graph_fold(struct eng_graph *g, char *err, size_t errlen)
{
    struct fold f = {.g = g};
    int rc = count_uses(&f);
    if (rc == 0)
        rc = run_rules(&f);
    if (rc == 0)
        drop_unreachable(&f);
    free(f.uses);
    free(f.reader);
    free(f.dead);
    if (rc < 0)
        return eng_fail(err, errlen, rc, "not enough memory to fold the graph");
    return eng_graph_check(g, err, errlen);
}
