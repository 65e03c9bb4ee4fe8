/* Two parts of a model become one graph: the second's input is the first's output. */
#include "engine/graph_check.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/fail.h"

static int check_seam(const struct eng_graph *a, const struct eng_graph *b, char *err,
                      size_t errlen)
{
    const struct eng_tensor *out = &a->tensors[a->output], *in = &b->tensors[b->input];
    const char *what = NULL;
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
    return 0;
}

int eng_graph_join(struct eng_graph *a, struct eng_graph *b_take, char *err, size_t errlen)
{
    int rc = check_seam(a, b_take, err, errlen);
    if (rc == 0) {
        int *map = malloc(((size_t)b_take->n_tensors + 1) * sizeof *map);
        rc = map ? append(a, b_take, map) : -ENOMEM;
        free(map);
        if (rc < 0)
            eng_fail(err, errlen, rc, "the joined parts are too large");
    }
    eng_graph_adopt(a, b_take);
    eng_graph_destroy(b_take);
    return rc < 0 ? rc : eng_graph_check(a, err, errlen);
}
