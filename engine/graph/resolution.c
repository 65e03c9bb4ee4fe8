/* Another input size for a graph whose weights do not depend on it: the resolution multiplier of
 * the MobileNets paper, which shrinks every map and no kernel. */
#include "engine/graph/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

struct size {
    int h, w;
};

static struct size size_of(const struct eng_tensor *t)
{
    return t->rank == 4 ? (struct size){t->dim[1], t->dim[2]} : (struct size){0, 0};
}

/* One axis of a window: what was SAME stays it, and what spanned the map still does. */
static int follow(int old, int now, int is_pool, int *k, int stride, int dilation, int *before,
                  int *after)
{
    int same_before, same_after;
    if (is_pool && *k == old && *before == 0 && *after == 0) {
        *k = now;
        return 0;
    }
    if (eng_same_padding(old, *k, stride, dilation, &same_before, &same_after) < 0 ||
        same_before != *before || same_after != *after)
        return 0; /* the file's own pixels, or none */
    return eng_same_padding(now, *k, stride, dilation, before, after);
}

static int follow_window(struct eng_node *n, struct size old, struct size now)
{
    struct eng_window *w = &n->win;
    int is_pool = n->op == ENG_OP_AVGPOOL || n->op == ENG_OP_MAXPOOL;
    int rc = follow(old.h, now.h, is_pool, &w->kh, w->sh, w->dh, &w->top, &w->bottom);
    return rc < 0 ? rc : follow(old.w, now.w, is_pool, &w->kw, w->sw, w->dw, &w->left, &w->right);
}

static int has_window(const struct eng_node *n)
{
    return n->op == ENG_OP_CONV || n->op == ENG_OP_DEPTHWISE || n->op == ENG_OP_AVGPOOL ||
           n->op == ENG_OP_MAXPOOL;
}

/* Their output's shape is the file's word, not the rule's: right if it does not change. */
static int keeps_shape(const struct eng_node *n)
{
    return n->op == ENG_OP_RESHAPE || n->op == ENG_OP_FC || n->op == ENG_OP_MEAN;
}

/* They name places of a map, or its size. */
static int is_of_one_size(const struct eng_node *n)
{
    return n->op == ENG_OP_RESIZE || n->op == ENG_OP_SLICE || n->op == ENG_OP_PICK ||
           n->op == ENG_OP_TILE || n->op == ENG_OP_DETECTIONS || n->op == ENG_OP_SPREAD;
}

static int resize_node(struct eng_graph *g, int index, const struct size *old, char *err,
                       size_t errlen)
{
    struct eng_node *n = &g->nodes[index];
    const struct eng_tensor *x = &g->tensors[n->in[0]];
    if (is_of_one_size(n))
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "%.80s makes maps of one size", n->name);
    int rc = has_window(n) ? follow_window(n, old[n->in[0]], size_of(x)) : 0;
    if (rc < 0)
        return eng_fail(err, errlen, rc, "%.80s: too much padding", n->name);
    g->tensors[n->out].producer = -1; /* made anew */
    if (!keeps_shape(n))
        g->tensors[n->out].rank = 0;
    return eng_graph_infer(g, index, err, errlen);
}

int eng_graph_resize(struct eng_graph *g, int height, int width, char *err, size_t errlen)
{
    struct eng_tensor *in = &g->tensors[g->input];
    struct size *old = calloc((size_t)g->n_tensors, sizeof(*old));
    int rc = 0;
    if (!old)
        return eng_fail(err, errlen, -ENOMEM, "out of memory");
    if (in->rank != 4 || height < 1 || width < 1 || height > ENG_MAX_DIM || width > ENG_MAX_DIM)
        rc = eng_fail(err, errlen, ENG_E_DATA, "its input is no image of %dx%d", height, width);
    for (int i = 0; i < g->n_tensors; i++)
        old[i] = size_of(&g->tensors[i]);
    if (rc == 0) {
        in->dim[1] = height;
        in->dim[2] = width;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        if (rc < 0)
            break;
        rc = resize_node(g, i, old, err, errlen);
    }
    free(old);
    return rc < 0 ? rc : eng_graph_check(g, err, errlen);
}
