/* CONCAT along any axis, in the file's own order: scores and boxes of several maps as rows of one
 * table. Along the channels of maps, eng_lower_concat() is asked first. */
#include "engine/plan/lower.h"

/* Whether an input is computed, and of one scale if it is of quanta. */
static int fits(const struct eng_tensor *x, const struct eng_tensor *y)
{
    if (!x || x->data || x->type != y->type)
        return 0;
    return x->type == ENG_F32 || (eng_is_quantised(x) && !eng_quant_is_per_channel(x));
}

/* From bytes of the file to bytes of the output. */
static void fill_table(const struct eng_tensor *x, const struct eng_tensor *y, uint8_t table[256])
{
    struct eng_rescale r = eng_rescale_init(x, y);
    for (int q = 0; q < 256; q++)
        table[q] =
            (uint8_t)eng_rescale_round(&r, x->type == ENG_I8 ? (int8_t)(uint8_t)q : (int32_t)q);
}

static int part_of(struct eng_lower *l, const struct eng_node *n, int k, size_t inner,
                   struct eng_join_part *ret)
{
    const struct eng_tensor *x = eng_lower_in(l, n, k), *y = &l->g->tensors[n->out];
    ret->bytes = (size_t)x->dim[n->axis] * inner;
    if (x->type == ENG_F32 || eng_quant_same(x, y))
        return 0;
    uint8_t *table = eng_lower_alloc(l, 256);
    if (!table)
        return eng_lower_no_memory(l);
    fill_table(x, y, table);
    ret->table = table;
    return 0;
}

int eng_lower_join(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *y = &l->g->tensors[n->out];
    int in[ENG_MAX_INPUTS], rc = 0;
    if (n->op != ENG_OP_CONCAT)
        return 0;
    for (int k = 0; k < n->n_in; k++)
        if (!fits(eng_lower_in(l, n, k), y))
            return 0;
    struct eng_join_params *p =
        eng_lower_alloc(l, sizeof(*p) + sizeof(*p->parts) * (size_t)n->n_in);
    if (!p)
        return eng_lower_no_memory(l);
    size_t inner = eng_type_size(y->type);
    p->outer = 1;
    for (int a = 0; a < n->axis; a++)
        p->outer *= (size_t)y->dim[a];
    for (int a = n->axis + 1; a < y->rank; a++)
        inner *= (size_t)y->dim[a];
    p->row = (size_t)y->dim[n->axis] * inner;
    for (int k = 0; k < n->n_in; k++) {
        if (rc < 0)
            break;
        rc = part_of(l, n, k, inner, &p->parts[k]);
        if (rc >= 0)
            rc = in[k] = eng_lower_need(l, n->in[k], ENG_REP_FILE);
    }
    if (rc < 0)
        return rc;
    struct eng_step s = {.driver = &eng_drive_join, .node = i, .node2 = -1, .mid = -1};
    s.params = p;
    s.kernel = "join";
    s.out = eng_lower_make(l, n->out, ENG_REP_FILE);
    rc = s.out < 0 ? s.out : eng_lower_step(l, &s, in, n->n_in);
    return rc < 0 ? rc : 1;
}
