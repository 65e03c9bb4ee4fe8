/* Quantised depthwise of windows other than 3x3, and of dilated ones. */
#include "engine/plan/lower.h"
#include "engine/plan/maps.h"

static int fits(const struct eng_lower *l, const struct eng_node *n)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2), *y = &l->g->tensors[n->out];
    int h, width, c;
    return n->op == ENG_OP_DEPTHWISE && n->multiplier == 1 && !x->data && eng_is_quantised(x) &&
           x->type == y->type && eng_is_quantised(w) && w->data && (!b || b->data) &&
           n->win.kh * n->win.kw <= ENG_DWK_U8_TAPS && eng_lower_geometry(x, &h, &width, &c) &&
           eng_lower_geometry(y, &h, &width, &c);
}

static void describe(const struct eng_lower *l, const struct eng_node *n,
                     struct eng_dwk_u8_params *p)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    p->shape = (struct eng_dwk_u8_args){.in_row = (size_t)x->dim[2] * ENG_BLOCK,
                                        .in_h = x->dim[1],
                                        .in_w = x->dim[2],
                                        .kh = n->win.kh,
                                        .kw = n->win.kw,
                                        .sh = n->win.sh,
                                        .sw = n->win.sw,
                                        .dh = n->win.dh,
                                        .dw = n->win.dw,
                                        .top = n->win.top,
                                        .left = n->win.left,
                                        .out_w = y->dim[2],
                                        .y1 = y->dim[1],
                                        .out_row = (size_t)y->dim[2] * ENG_BLOCK};
    p->b.blocks = eng_ceil_div(y->dim[3], ENG_BLOCK);
    p->b.pixels = y->dim[1] * y->dim[2];
    p->b.block_bytes = (size_t)p->b.pixels * ENG_BLOCK;
    p->b.scratch = p->u8->scratch_bytes(&p->shape);
}

int eng_lower_dwk_u8(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_DEPTHWISE || !fits(l, n))
        return 0;
    struct eng_dwk_u8_params *p = eng_lower_alloc(l, sizeof(*p));
    if (!p)
        return eng_lower_no_memory(l);
    p->u8 = l->p->kernels.dwk_u8;
    describe(l, n, p);
    int rc = eng_pack_dwk_u8(l, n, p->u8, &p->packed, &p->shape);
    p->block_bytes = p->u8->block_bytes(n->win.kh * n->win.kw);
    return rc < 0 ? rc : eng_lower_c16_step(l, i, &eng_drive_dwk_u8, p, p->u8->name, 1);
}
