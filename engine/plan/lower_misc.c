/* What stands between convolutions: global pools, sums, tables for quantised activations, and
 * nodes that are only another view of the same bytes. */
#include "engine/plan/lower.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/kernels/ref/ref.h"
#include "engine/plan/maps.h"

static struct eng_blocks_params blocks_of(const struct eng_lower *l, const struct eng_tensor *x,
                                          int h, int w)
{
    size_t bytes = (size_t)h * (size_t)w * ENG_BLOCK * eng_type_size(eng_lower_c16_type(l, x));
    return (struct eng_blocks_params){.blocks = eng_ceil_div(x->dim[x->rank - 1], ENG_BLOCK),
                                      .pixels = h * w,
                                      .block_bytes = bytes};
}

static int is_global(const struct eng_node *n, const struct eng_tensor *x,
                     const struct eng_tensor *y)
{
    if (n->op == ENG_OP_MEAN)
        return 1;
    const struct eng_window *w = &n->win;
    return n->op == ENG_OP_AVGPOOL && w->kh == x->dim[1] && w->kw == x->dim[2] && !w->top &&
           !w->bottom && !w->left && !w->right && y->dim[1] == 1 && y->dim[2] == 1;
}

int eng_lower_pool(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_MEAN && n->op != ENG_OP_AVGPOOL)
        return 0;
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    int h, w, c, real = x->type == ENG_F32;
    if (x->data || x->type != y->type || !eng_lower_geometry(x, &h, &w, &c) ||
        !is_global(n, x, y) || !eng_lower_geometry(y, &(int){0}, &(int){0}, &c))
        return 0;
    struct eng_gap_params *gp = eng_lower_alloc(l, sizeof(*gp));
    if (!gp)
        return eng_lower_no_memory(l);
    gp->b = blocks_of(l, x, h, w);
    gp->type = eng_lower_c16_type(l, x);
    gp->lo = n->lo;
    gp->hi = n->hi;
    if (!real) {
        gp->u8 = l->p->kernels.gap_u8;
        gp->offset = eng_pack_shift(x->type);
        gp->exact = n->op == ENG_OP_AVGPOOL && eng_quant_same(x, y);
        gp->zx = eng_quant_zero(x, 0);
        gp->scale = eng_quant_mean_scale(x, y, h * w);
        gp->range = eng_quant_bounds(y, n->lo, n->hi);
    }
    return eng_lower_c16_step(l, i, &eng_drive_gap, gp,
                              gp->u8                ? gp->u8->name
                              : gp->type == ENG_F32 ? "gap_f32"
                                                    : "gap_bf16",
                              1);
}

int eng_lower_add(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_ADD)
        return 0;
    const struct eng_tensor *a = eng_lower_in(l, n, 0), *b = eng_lower_in(l, n, 1);
    const struct eng_tensor *y = &l->g->tensors[n->out];
    int h, w, c, h2, w2, c2;
    if (a->data || b->data || a->rank != b->rank || !eng_lower_geometry(a, &h, &w, &c) ||
        !eng_lower_geometry(b, &h2, &w2, &c2) || h != h2 || w != w2 || c != c2 ||
        (a->type == ENG_F32) != (y->type == ENG_F32) || !eng_lower_geometry(y, &h, &w, &c))
        return 0;
    struct eng_add_params *ap = eng_lower_alloc(l, sizeof(*ap));
    if (!ap)
        return eng_lower_no_memory(l);
    ap->b = blocks_of(l, a, h, w);
    ap->type = eng_lower_c16_type(l, a);
    ap->lo = n->lo;
    ap->hi = n->hi;
    if (ap->type == ENG_U8) {
        if (eng_add_quant_init(&ap->q, a, b, y, n->lo, n->hi) < 0)
            return 0;
        int shift = eng_pack_shift(y->type);
        ap->u8 = l->p->kernels.add_u8;
        ap->q.za += eng_pack_shift(a->type);
        ap->q.zb += eng_pack_shift(b->type);
        ap->q.range.zero_point += shift;
        ap->q.range.lo += shift;
        ap->q.range.hi += shift;
    }
    return eng_lower_c16_step(l, i, &eng_drive_add, ap,
                              ap->u8                ? ap->u8->name
                              : ap->type == ENG_F32 ? "add_f32"
                                                    : "add_bf16",
                              2);
}

/* Runs the reference operator over all 256 quanta. */
static void fill_table(const struct eng_lower *l, const struct eng_node *n, uint8_t table[256])
{
    struct eng_tensor t[2] = {*eng_lower_in(l, n, 0), l->g->tensors[n->out]};
    uint8_t all[256], out[256];
    int in = 0;
    for (int i = 0; i < 2; i++) {
        t[i].rank = 1;
        t[i].dim[0] = 256;
    }
    struct eng_node node = *n;
    node.in = &in;
    node.n_in = 1;
    node.out = 1;
    struct eng_graph g = {.n_tensors = 2, .tensors = t, .n_nodes = 1, .nodes = &node};
    for (int q = 0; q < 256; q++)
        all[q] = (uint8_t)(q ^ eng_pack_shift(t[0].type));
    const void *inputs[1] = {all};
    eng_ref_run(&(struct eng_ref_call){.g = &g, .n = &node, .in = inputs, .out = out});
    for (int q = 0; q < 256; q++)
        table[q] = (uint8_t)(out[q] ^ eng_pack_shift(t[1].type));
}

int eng_lower_lut(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_UNARY && n->op != ENG_OP_QUANTIZE)
        return 0;
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    int h, w, c;
    if (x->data || !eng_is_quantised(x) || !eng_is_quantised(y) ||
        !eng_lower_geometry(x, &h, &w, &c) || !eng_lower_geometry(y, &h, &w, &c))
        return 0;
    struct eng_lut_params *lp = eng_lower_alloc(l, sizeof(*lp));
    if (!lp)
        return eng_lower_no_memory(l);
    lp->b = blocks_of(l, x, h, w);
    fill_table(l, n, lp->table);
    int same = 1;
    for (int q = 0; q < 256; q++)
        same &= lp->table[q] == q;
    if (same && x->type != y->type) {
        l->alias_u8[n->out] = n->in[0];
        return 1;
    }
    return eng_lower_c16_step(l, i, &eng_drive_lut, lp, "lut_u8", 1);
}

/* Of two operands of quanta, the one that is a number, the same everywhere; -1: none is. Both may
 * be one tensor: then it is 2. */
static int fixed_operand(const struct eng_lower *l, const struct eng_node *n)
{
    int sums = n->op == ENG_OP_ADD || n->op == ENG_OP_MUL || n->op == ENG_OP_ARITH;
    if (!sums || !eng_is_quantised(&l->g->tensors[n->out]))
        return -1;
    if (n->in[0] == n->in[1])
        return 2;
    for (int k = 0; k < 2; k++) {
        const struct eng_tensor *t = eng_lower_in(l, n, k), *x = eng_lower_in(l, n, 1 - k);
        size_t size = t->data ? eng_tensor_elements(t) : 0;
        if (size == 0 || x->data || eng_quant_is_per_channel(t) ||
            eng_tensor_elements(x) != eng_tensor_elements(&l->g->tensors[n->out]))
            continue;
        const uint8_t *q = t->data;
        if (size == 1 || memcmp(q, q + 1, size - 1) == 0)
            return k;
    }
    return -1;
}

/* What such a node makes of each byte of the file. */
static void fill_table_of_two(const struct eng_lower *l, const struct eng_node *n, int fixed,
                              uint8_t table[256])
{
    struct eng_tensor t[3] = {*eng_lower_in(l, n, 0), *eng_lower_in(l, n, 1),
                              l->g->tensors[n->out]};
    uint8_t all[256];
    int in[2] = {0, 1};
    for (int i = 0; i < 3; i++) {
        t[i].rank = 1;
        t[i].dim[0] = i == fixed && i < 2 ? 1 : 256;
    }
    for (int q = 0; q < 256; q++)
        all[q] = (uint8_t)q;
    struct eng_node node = *n;
    node.in = in;
    node.out = 2;
    struct eng_graph g = {.n_tensors = 3, .tensors = t, .n_nodes = 1, .nodes = &node};
    const void *inputs[2] = {fixed == 0 ? t[0].data : all, fixed == 1 ? t[1].data : all};
    eng_ref_run(&(struct eng_ref_call){.g = &g, .n = &node, .in = inputs, .out = table});
}

static int is_per_tensor(const struct eng_tensor *t)
{
    return eng_is_quantised(t) && !eng_quant_is_per_channel(t);
}

/* What a node is, element after element; -1: nothing that goes so. */
static int flat_kind_of(const struct eng_node *n, const struct eng_tensor *x,
                        const struct eng_tensor *y)
{
    if (n->op == ENG_OP_QUANTIZE && x->type == ENG_F32 && is_per_tensor(y))
        return ENG_FLAT_TO_QUANTA;
    if (n->op == ENG_OP_DEQUANTIZE && y->type == ENG_F32 && is_per_tensor(x))
        return ENG_FLAT_TO_REALS;
    if ((n->op == ENG_OP_QUANTIZE || n->op == ENG_OP_UNARY) && is_per_tensor(x) && is_per_tensor(y))
        return ENG_FLAT_TABLE;
    if (n->op == ENG_OP_UNARY && x->type == ENG_F32 && y->type == ENG_F32)
        return ENG_FLAT_FUNCTION;
    return -1;
}

static const struct eng_map_params *function_of(struct eng_lower *l, const struct eng_node *n)
{
    struct eng_map_params *p = eng_lower_alloc(l, sizeof(*p));
    if (p)
        *p = (struct eng_map_params){.act = l->p->kernels.act_f32,
                                     .unary = n->unary,
                                     .alpha = n->alpha,
                                     .beta = n->beta,
                                     .lo = n->lo,
                                     .hi = n->hi};
    return p;
}

/* The table of u8 quanta as one of the file's bytes. */
static void fill_byte_table(const struct eng_lower *l, const struct eng_node *n, uint8_t table[256])
{
    int in = eng_pack_shift(eng_lower_in(l, n, 0)->type);
    int out = eng_pack_shift(l->g->tensors[n->out].type);
    uint8_t of_u8[256];
    fill_table(l, n, of_u8);
    for (int q = 0; q < 256; q++)
        table[q] = (uint8_t)(of_u8[q ^ in] ^ out);
}

/* A QUANTIZE that alone reads the input: its quanta may come from outside. */
static void open_door(struct eng_lower *l, const struct eng_node *n, struct eng_flat_params *p,
                      int value)
{
    p->by_door = 1;
    l->p->door = n->out;
    l->p->door_value = value;
    l->p->values[value].keep = 1;
}

int eng_lower_flat(struct eng_lower *l, int i)
{
    static const char *const names[] = {NULL, "dequantize", "table_u8", "function_f32"};
    const struct eng_node *n = &l->g->nodes[i];
    int fixed = fixed_operand(l, n), from = fixed == 0;
    if (n->op != ENG_OP_QUANTIZE && n->op != ENG_OP_DEQUANTIZE && n->op != ENG_OP_UNARY &&
        fixed < 0)
        return 0;
    const struct eng_tensor *x = eng_lower_in(l, n, from), *y = &l->g->tensors[n->out];
    int kind = x->data ? -1 : fixed >= 0 ? ENG_FLAT_TABLE : flat_kind_of(n, x, y);
    if (kind < 0)
        return 0;
    struct eng_flat_params *p = eng_lower_alloc(l, sizeof(*p));
    int in = p ? eng_lower_need(l, n->in[from], ENG_REP_FILE) : eng_lower_no_memory(l);
    if (in < 0)
        return in;
    const struct eng_tensor *quanta = kind == ENG_FLAT_TO_QUANTA ? y : x;
    p->kind = (enum eng_flat_kind)kind;
    p->elements = eng_tensor_elements(x);
    if (kind == ENG_FLAT_FUNCTION)
        p->function = function_of(l, n);
    if (kind == ENG_FLAT_FUNCTION && !p->function)
        return -ENOMEM;
    p->quant = kind == ENG_FLAT_TO_QUANTA ? l->p->kernels.quant_f32 : NULL;
    p->is_signed = quanta->type == ENG_I8;
    if (kind != ENG_FLAT_FUNCTION) {
        p->scale = eng_quant_scale(quanta, 0);
        p->range = eng_quant_bounds(quanta, -INFINITY, INFINITY);
    }
    if (fixed >= 0)
        fill_table_of_two(l, n, fixed, p->table);
    else if (kind == ENG_FLAT_TABLE)
        fill_byte_table(l, n, p->table);
    size_t bytes = p->elements * (eng_type_size(x->type) + eng_type_size(y->type));
    p->b.blocks = eng_flat_pieces(p->elements);
    p->b.block_bytes = bytes / (size_t)p->b.blocks + 1;
    struct eng_step s = {.driver = &eng_drive_flat, .node = i, .node2 = -1, .mid = -1};
    s.params = p;
    s.kernel = p->quant ? p->quant->name : names[kind];
    s.out = eng_lower_make(l, n->out, ENG_REP_FILE);
    int rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    if (rc >= 0 && kind == ENG_FLAT_TO_QUANTA && n->in[0] == l->g->input &&
        l->uses[l->g->input] == 1)
        open_door(l, n, p, s.out);
    return rc < 0 ? rc : 1;
}

int eng_lower_softmax(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    int h, w, c;
    if (n->op != ENG_OP_SOFTMAX || x->data || !eng_is_quantised(x) || !eng_is_quantised(y) ||
        !eng_lower_geometry(x, &h, &w, &c) || h != 1 || w != 1)
        return 0;
    struct eng_softmax_params *sp = eng_lower_alloc(l, sizeof(*sp));
    int in = sp ? eng_lower_need(l, n->in[0], ENG_REP_C16) : eng_lower_no_memory(l);
    if (in < 0)
        return in;
    sp->n = c;
    eng_ref_softmax_table(eng_quant_scale(x, 0), n->beta, sp->table);
    sp->out_scale = eng_quant_scale(y, 0);
    sp->type = y->type;
    sp->range = eng_quant_bounds(y, -INFINITY, INFINITY);
    struct eng_step s = {.driver = &eng_drive_softmax, .node = i, .node2 = -1, .mid = -1};
    s.params = sp;
    s.kernel = "softmax";
    s.out = eng_lower_make(l, n->out, ENG_REP_FILE);
    int rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : 1;
}

int eng_lower_alias(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    if (n->op != ENG_OP_RESHAPE || x->data || x->type != y->type)
        return 0;
    l->alias_bytes[n->out] = n->in[0];
    return 1;
}
