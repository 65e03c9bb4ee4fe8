/* See prune_parts.h. */
#include <errno.h>
#include <stdlib.h>

#include "engine/optimize/prune_parts.h"

enum {
    PIXELS = 400, /* of a picture, at most, that a layer learns from */
    ROWS = 64,    /* of a matrix, in a unit of work */
};

int eng_prune_net_open(struct eng_prune_net *net, const struct eng_graph *g,
                       const struct eng_prune_layer *layers, int n, int slots, char *err,
                       size_t errlen)
{
    int *keep = malloc((size_t)n * sizeof(*keep));
    if (!keep)
        return -ENOMEM;
    for (int i = 0; i < n; i++)
        keep[i] = g->nodes[layers[i].node].in[0];
    struct eng_plan_options o = {.cpu_bits = eng_cpu_detect(), .keep = keep, .n_keep = n};
    net->g = g;
    int rc = eng_plan_create(&net->plan, g, &o, err, errlen);
    free(keep);
    return rc < 0 ? rc : eng_run_create(&net->run, net->plan, slots, slots, err, errlen);
}

void eng_prune_net_close(struct eng_prune_net *net)
{
    eng_run_destroy(net->run);
    eng_plan_destroy(net->plan);
    *net = (struct eng_prune_net){0};
}

struct gather {
    struct eng_prune_layer *l;
    const float *now, *before; /* a picture's [pixels][k] */
    size_t pixels, used;
};

static double value(const float *x, size_t c)
{
    return c ? (double)x[c - 1] : 1;
}

/* to[c] += f * x[c] for c0 <= c <= k */
static void add(double *restrict to, const float *restrict x, double f, size_t c0, size_t k)
{
    if (c0 == 0)
        to[0] += f;
    for (size_t c = c0 ? c0 : 1; c <= k; c++)
        to[c] += f * (double)x[c - 1];
}

static void gather_rows(void *arg, int begin, int end, int member)
{
    const struct gather *a = arg;
    size_t k = (size_t)a->l->k, size = k + 1, r0 = (size_t)begin * ROWS, r1 = (size_t)end * ROWS;
    (void)member;
    for (size_t i = 0; i < a->used; i++) {
        size_t at = i * a->pixels / a->used * k;
        for (size_t r = r0; r < r1 && r < size; r++) {
            double f = value(a->now + at, r);
            if (!(f > 0 || f < 0))
                continue;
            add(a->l->gram + r * size, a->now + at, f, r, k);
            if (a->l->cross)
                add(a->l->cross + r * size, a->before + at, f, 0, k);
        }
    }
}

void eng_prune_gather(struct eng_prune_layer *l, const struct eng_prune_net *now,
                      const struct eng_prune_net *before, int n, struct eng_team *team)
{
    int x = now->g->nodes[l->node].in[0], y = before->g->nodes[l->node].in[0];
    size_t pixels = eng_tensor_elements(&now->g->tensors[x]) / (size_t)l->k;
    struct gather a = {.l = l, .pixels = pixels, .used = pixels < PIXELS ? pixels : PIXELS};
    for (int slot = 0; slot < n; slot++) {
        a.now = eng_run_tensor(now->run, x, slot);
        a.before = eng_run_tensor(before->run, y, slot);
        eng_team_for(team, l->k / ROWS + 1, gather_rows, &a);
        l->seen += (double)a.used;
    }
}
