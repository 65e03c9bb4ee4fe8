/* Two parts of a model become one graph: the second's input is the first's output; and a graph is
 * cut at its embedding, to be joined with another head. */
#include "engine/graph/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/outputs.h"

static int check_seam(const struct eng_graph *a, const struct eng_graph *b, char *err,
                      size_t errlen)
{
    const struct eng_tensor *out = &a->tensors[a->output], *in = &b->tensors[b->input];
    const char *what = NULL;
    if (a->is_open)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the part has %d outputs: which one the next part reads is not known",
                        a->n_outputs);
    if (out->type != in->type)
        what = "type";
    else if (!eng_same_shape(out, in))
        what = "shape";
    else if (!eng_same_quant(out, in))
        what = "scale or zero point";
    if (!what)
        return 0;
    return eng_fail(err, errlen, ENG_E_DATA,
                    "the parts do not fit: %.80s (%s) and %.80s (%s) differ in %s", out->name,
                    eng_type_name(out->type), in->name, eng_type_name(in->type), what);
}

static int append(struct eng_graph *a, struct eng_graph *b, int *map)
{
    for (int i = 0; i < b->n_tensors; i++) {
        map[i] = i == b->input ? a->output : eng_graph_add_tensor(a, &b->tensors[i]);
        if (map[i] < 0)
            return map[i];
    }
    for (int i = 0; i < b->n_nodes; i++) {
        struct eng_node *n = &b->nodes[i];
        for (int k = 0; k < n->n_in; k++)
            n->in[k] = n->in[k] < 0 ? -1 : map[n->in[k]];
        n->out = map[n->out];
        int rc = eng_graph_add_node(a, n);
        if (rc < 0)
            return rc;
    }
    a->output = map[b->output];
    a->n_outputs = b->n_outputs;
    for (int i = 0; i < b->n_outputs; i++)
        a->outputs[i] = (struct eng_graph_output){b->outputs[i].name, map[b->outputs[i].tensor]};
    a->settled = b->settled;
    a->is_open = b->is_open;
    return 0;
}

int eng_graph_join(struct eng_graph *a, struct eng_graph *b_take, char *err, size_t errlen)
{
    int rc = check_seam(a, b_take, err, errlen);
    if (rc == 0) {
        int *map = malloc(((size_t)b_take->n_tensors + 1) * sizeof(*map));
        rc = map ? append(a, b_take, map) : -ENOMEM;
        free(map);
        if (rc < 0)
            eng_fail(err, errlen, rc, "the joined parts are too large");
    }
    eng_graph_adopt(a, b_take);
    eng_graph_destroy(b_take);
    return rc < 0 ? rc : eng_graph_check(a, err, errlen);
}

/* ---- cut ---- */

/* A node behind the output that makes a fp32 tensor of that shape; it becomes the output. */
static int extend(struct eng_graph *g, enum eng_op op, int rank, const int32_t *dim)
{
    struct eng_tensor t = {.name = g->tensors[g->output].name, .type = ENG_F32, .rank = rank};
    struct eng_node n = {.op = op, .name = t.name, .n_in = 1, .lo = -INFINITY, .hi = INFINITY};
    memcpy(t.dim, dim, (size_t)rank * sizeof(*dim));
    n.in = eng_graph_alloc(g, 1, sizeof(*n.in));
    if (!n.in)
        return -ENOMEM;
    n.in[0] = g->output;
    n.out = eng_graph_add_tensor(g, &t);
    int rc = n.out < 0 ? n.out : eng_graph_add_node(g, &n);
    if (rc >= 0)
        g->output = n.out;
    return rc < 0 ? rc : 0;
}

/* Keeps the nodes that the output needs. */
static int prune(struct eng_graph *g)
{
    char *needed = calloc((size_t)g->n_tensors, 1);
    int kept = 0;
    if (!needed)
        return -ENOMEM;
    needed[g->output] = 1;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; needed[g->nodes[i].out] && k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                needed[g->nodes[i].in[k]] = 1;
    for (int i = 0; i < g->n_nodes; i++)
        if (needed[g->nodes[i].out])
            g->nodes[kept++] = g->nodes[i];
    g->n_nodes = kept;
    free(needed);
    return 0;
}

int eng_graph_cut(struct eng_graph *g, char *err, size_t errlen)
{
    if (g->embedding < 0 || g->embedding == g->input)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the model has no embedding in front of its classes");
    g->output = g->embedding;
    g->n_outputs = 0;
    g->embeds = 0;
    int rc = prune(g);
    const struct eng_tensor t = g->tensors[g->output];
    if (rc == 0 && t.type != ENG_F32)
        rc = extend(g, ENG_OP_DEQUANTIZE, t.rank, t.dim);
    int32_t flat[4] = {1, 1, 1, (int32_t)eng_tensor_elements(&t)};
    if (rc == 0 && (t.rank != 4 || t.dim[1] != 1 || t.dim[2] != 1))
        rc = extend(g, ENG_OP_RESHAPE, 4, flat);
    if (rc < 0)
        return eng_fail(err, errlen, rc, "not enough memory for the model");
    return eng_graph_check(g, err, errlen);
}

int eng_graph_clone(struct eng_graph **ret, const struct eng_graph *from)
{
    struct eng_graph *g;
    int rc = eng_graph_create(&g);
    for (int i = 0; i < from->n_tensors; i++) {
        if (rc < 0)
            break;
        rc = eng_graph_add_tensor(g, &from->tensors[i]);
    }
    for (int i = 0; i < from->n_nodes; i++) {
        if (rc < 0)
            break;
        struct eng_node n = from->nodes[i];
        n.in = eng_graph_alloc(g, (size_t)n.n_in + 1, sizeof(*n.in));
        if (n.in)
            memcpy(n.in, from->nodes[i].in, (size_t)n.n_in * sizeof(*n.in));
        rc = n.in ? eng_graph_add_node(g, &n) : -ENOMEM;
    }
    if (rc < 0) {
        if (g)
            eng_graph_destroy(g);
        return rc;
    }
    g->input = from->input;
    g->output = from->output;
    g->n_outputs = from->n_outputs;
    memcpy(g->outputs, from->outputs, sizeof(g->outputs));
    g->settled = from->settled;
    g->is_open = from->is_open;
    g->embeds = from->embeds;
    *ret = g;
    return 0;
}
