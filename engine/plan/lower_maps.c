/* Lowering to the drivers of drive_maps.c and drive_resize.c: what otherwise would leave the
 * channel blocks for a reference operator and come back. Blocks of bf16 are computed as floats. */
#include "engine/plan/maps.h"

#include <math.h>
#include <string.h>

#include "engine/kernels/ref/ref.h"
#include "engine/plan/floats.h"
#include "engine/plan/lower.h"

/* What the drivers compute in, ENG_F32 or ENG_U8, where all three are such; else -1. */
static int type_of(const struct eng_lower *l, const struct eng_tensor *x,
                   const struct eng_tensor *y)
{
    enum eng_type type = eng_lower_c16_type(l, x);
    int h, w, c;
    if (x->data || x->type != y->type || !eng_lower_geometry(x, &h, &w, &c) ||
        !eng_lower_geometry(y, &h, &w, &c))
        return -1;
    if (type == ENG_BF16)
        return ENG_F32;
    return type == ENG_F32 || type == ENG_U8 ? (int)type : -1;
}

static void set_blocks(const struct eng_lower *l, struct eng_blocks_params *b,
                       const struct eng_tensor *y)
{
    int h, w, c;
    (void)eng_lower_geometry(y, &h, &w, &c);
    b->blocks = eng_ceil_div(c, ENG_BLOCK);
    b->pixels = h * w;
    b->block_bytes = (size_t)b->pixels * ENG_BLOCK * eng_type_size(eng_lower_c16_type(l, y));
}

/* Scratch for a block of the output and of the first n_in inputs, where they are bf16. */
static void set_floats(const struct eng_lower *l, struct eng_blocks_params *b,
                       const struct eng_node *n, int n_in)
{
    if (eng_lower_c16_type(l, &l->g->tensors[n->out]) != ENG_BF16)
        return;
    b->scratch += eng_floats_bytes(b->pixels);
    for (int k = 0; k < n_in; k++) {
        int h, w, c;
        (void)eng_lower_geometry(eng_lower_in(l, n, k), &h, &w, &c);
        b->scratch += eng_floats_bytes(h * w);
    }
}

static struct eng_map_params *new_map(struct eng_lower *l, const struct eng_node *n,
                                      enum eng_map_kind kind, enum eng_type type, int n_in)
{
    struct eng_map_params *p = eng_lower_alloc(l, sizeof(*p));
    if (!p)
        return NULL;
    p->kind = kind;
    p->type = type;
    p->act = l->p->kernels.act_f32;
    p->lo = n->lo;
    p->hi = n->hi;
    set_blocks(l, &p->b, &l->g->tensors[n->out]);
    set_floats(l, &p->b, n, n_in);
    return p;
}

/* Every quantum of x in quanta of y, both as u8. */
static void rescale_table(const struct eng_tensor *x, const struct eng_tensor *y,
                          const struct eng_quant_range *r, uint8_t table[256])
{
    struct eng_rescale s = eng_rescale_init(x, y);
    int shift_x = eng_pack_shift(x->type), shift_y = eng_pack_shift(y->type);
    for (int u = 0; u < 256; u++) {
        int32_t q = u - shift_x;
        if (!eng_quant_same(x, y))
            q = eng_rescale_round(&s, q);
        q = q < r->lo ? r->lo : q > r->hi ? r->hi : q;
        table[u] = (uint8_t)(q + shift_y);
    }
}

/* ---- pools with windows ---- */

int eng_lower_window(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    if ((n->op != ENG_OP_MAXPOOL && n->op != ENG_OP_AVGPOOL) || type_of(l, x, y) < 0)
        return 0;
    enum eng_type type = (enum eng_type)type_of(l, x, y);
    int max = n->op == ENG_OP_MAXPOOL;
    struct eng_map_params *p = new_map(l, n, max ? ENG_MAP_MAX : ENG_MAP_AVERAGE, type, 1);
    if (!p)
        return eng_lower_no_memory(l);
    p->in_h = x->dim[1];
    p->in_w = x->dim[2];
    p->out_h = y->dim[1];
    p->out_w = y->dim[2];
    p->win = n->win;
    p->count_include_pad = n->count_include_pad;
    if (type == ENG_U8) {
        p->x = x;
        p->y = y;
        p->offset = eng_pack_shift(x->type);
        p->range = eng_quant_bounds(y, n->lo, n->hi);
        rescale_table(x, y, &p->range, p->table);
    }
    const char *kernel = type == ENG_U8 ? max ? "max_u8" : "average_u8"
                         : max          ? "max_f32"
                                        : "average_f32";
    return eng_lower_c16_step(l, i, &eng_drive_map, p, kernel, 1);
}

/* ---- one element after the other ---- */

/* A constant of one value a channel, or one value, spread over `blocks` blocks; NULL without
 * memory. */
static const float *spread(struct eng_lower *l, const struct eng_tensor *t, int blocks)
{
    float *v = eng_plan_alloc_packed(l->p, (size_t)blocks * ENG_BLOCK * sizeof(*v));
    size_t n = eng_tensor_elements(t);
    for (size_t k = 0; v && k < (n == 1 ? (size_t)blocks * ENG_BLOCK : n); k++)
        v[k] = ((const float *)t->data)[n == 1 ? 0 : k];
    return v;
}

static int is_constant_of(const struct eng_tensor *t, int channels)
{
    size_t n = t ? eng_tensor_elements(t) : 0;
    return n && t->data && t->type == ENG_F32 && (n == 1 || n == (size_t)channels);
}

int eng_lower_activation(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    if (n->op != ENG_OP_UNARY || type_of(l, x, y) != ENG_F32)
        return 0;
    struct eng_map_params *p = new_map(l, n, ENG_MAP_ACTIVATION, ENG_F32, 1);
    if (!p)
        return eng_lower_no_memory(l);
    p->unary = n->unary;
    p->alpha = n->alpha;
    p->beta = n->beta;
    return eng_lower_c16_step(l, i, &eng_drive_map, p, p->act->name, 1);
}

/* Beside constants of one value a channel. */
int eng_lower_channels(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    const struct eng_tensor *a = eng_lower_in(l, n, 1), *b = eng_lower_in(l, n, 2);
    int channels = y->dim[y->rank > 0 ? y->rank - 1 : 0];
    enum eng_map_kind kind = n->op == ENG_OP_MUL     ? ENG_MAP_PRODUCT
                             : n->op == ENG_OP_ADD   ? ENG_MAP_SUM
                             : n->op == ENG_OP_PRELU ? ENG_MAP_PRELU
                                                     : ENG_MAP_SCALE;
    if (kind == ENG_MAP_SCALE && n->op != ENG_OP_BATCHNORM)
        return 0;
    if (type_of(l, x, y) != ENG_F32 || !is_constant_of(a, channels) ||
        (kind == ENG_MAP_SCALE && !is_constant_of(b, channels)))
        return 0;
    struct eng_map_params *p = new_map(l, n, kind, ENG_F32, 1);
    if (!p || !(p->first = spread(l, a, p->b.blocks)) ||
        (kind == ENG_MAP_SCALE && !(p->second = spread(l, b, p->b.blocks))))
        return eng_lower_no_memory(l);
    return eng_lower_c16_step(l, i, &eng_drive_map, p, "channels_f32", 1);
}

/* Two computed maps, or a map and one value a channel: squeeze and excite. */
int eng_lower_product(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *a = eng_lower_in(l, n, 0), *b = eng_lower_in(l, n, 1);
    const struct eng_tensor *y = &l->g->tensors[n->out];
    int h, w, c, h2, w2, c2;
    if ((n->op != ENG_OP_MUL && n->op != ENG_OP_ADD) || type_of(l, a, y) < 0 ||
        type_of(l, b, y) < 0)
        return 0;
    (void)eng_lower_geometry(a, &h, &w, &c);
    (void)eng_lower_geometry(b, &h2, &w2, &c2);
    enum eng_type type = (enum eng_type)type_of(l, a, y);
    int pixel = h2 == 1 && w2 == 1;
    if (c != c2 || (!pixel && (h != h2 || w != w2)) || (n->op == ENG_OP_ADD && type == ENG_U8))
        return 0;
    struct eng_map_params *p =
        new_map(l, n, n->op == ENG_OP_MUL ? ENG_MAP_PRODUCT : ENG_MAP_SUM, type, 2);
    if (!p)
        return eng_lower_no_memory(l);
    p->per_channel = pixel;
    if (type == ENG_U8) {
        int shift = eng_pack_shift(y->type);
        p->u8 = l->p->kernels.mul_u8;
        p->za = eng_quant_zero(a, 0) + eng_pack_shift(a->type);
        p->zb = eng_quant_zero(b, 0) + eng_pack_shift(b->type);
        p->scale = eng_quant_multiplier(a, b, 0, y);
        p->range = eng_quant_bounds(y, n->lo, n->hi);
        p->range.zero_point += shift;
        p->range.lo += shift;
        p->range.hi += shift;
    }
    return eng_lower_c16_step(l, i, &eng_drive_map, p, p->u8 ? p->u8->name : "product_f32", 2);
}

/* ---- depthwise of any window ---- */

int eng_lower_dwk(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    const struct eng_tensor *w = eng_lower_in(l, n, 1), *b = eng_lower_in(l, n, 2);
    if (n->op != ENG_OP_DEPTHWISE || n->multiplier != 1 || type_of(l, x, y) != ENG_F32 ||
        !w->data || w->type != ENG_F32 || (b && (!b->data || b->type != ENG_F32)))
        return 0;
    const struct eng_dwk_f32_kernel *kernel = l->p->kernels.dwk_f32;
    struct eng_dwk_params *p = eng_lower_alloc(l, sizeof(*p));
    if (!p)
        return eng_lower_no_memory(l);
    set_blocks(l, &p->b, y);
    set_floats(l, &p->b, n, 1);
    p->kernel = kernel;
    p->packed_block = kernel->block_bytes(n->win.kh * n->win.kw);
    p->in_h = x->dim[1];
    p->in_w = x->dim[2];
    p->out_h = y->dim[1];
    p->out_w = y->dim[2];
    p->win = n->win;
    p->lo = n->lo;
    p->hi = n->hi;
    void *packed = eng_plan_alloc_packed(l->p, p->packed_block * (size_t)p->b.blocks);
    if (!packed)
        return eng_lower_no_memory(l);
    kernel->pack(&(struct eng_dwk_f32_weights){.channels = y->dim[3],
                                               .taps = n->win.kh * n->win.kw,
                                               .w = w->data,
                                               .bias = b ? b->data : NULL},
                 packed);
    p->packed = packed;
    return eng_lower_c16_step(l, i, &eng_drive_dwk, p, kernel->name, 1);
}

/* ---- concatenation ---- */

static int part_of(struct eng_lower *l, const struct eng_tensor *x, const struct eng_tensor *y,
                   int start, struct eng_concat_part *ret)
{
    *ret = (struct eng_concat_part){.start = start, .channels = x->dim[x->rank - 1]};
    if (x->type == ENG_F32 || eng_quant_same(x, y))
        return 0;
    uint8_t *table = eng_lower_alloc(l, 256);
    if (!table)
        return -1;
    struct eng_quant_range r = eng_quant_bounds(y, -INFINITY, INFINITY);
    rescale_table(x, y, &r, table);
    ret->table = table;
    return 0;
}

int eng_lower_concat(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *y = &l->g->tensors[n->out];
    if (n->op != ENG_OP_CONCAT || n->axis != y->rank - 1)
        return 0;
    for (int k = 0; k < n->n_in; k++)
        if (type_of(l, eng_lower_in(l, n, k), y) < 0)
            return 0;
    struct eng_concat_params *p =
        eng_lower_alloc(l, sizeof(*p) + sizeof(*p->parts) * (size_t)n->n_in);
    if (!p)
        return eng_lower_no_memory(l);
    enum eng_type type = eng_lower_c16_type(l, y);
    set_blocks(l, &p->b, y);
    p->element = eng_type_size(type);
    for (int k = 0; k < n->n_in; k++) {
        const struct eng_tensor *x = eng_lower_in(l, n, k);
        if (part_of(l, x, y, p->channels, &p->parts[k]) < 0)
            return eng_lower_no_memory(l);
        p->channels += x->dim[x->rank - 1];
    }
    return eng_lower_c16_step(l, i, &eng_drive_concat, p, "concat", n->n_in);
}

/* PAD of channels alone: a part, and nothing around it. */
int eng_lower_pad(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    if (n->op != ENG_OP_PAD || n->win.top || n->win.bottom || n->win.left || n->win.right ||
        type_of(l, x, y) < 0)
        return 0;
    struct eng_concat_params *p = eng_lower_alloc(l, sizeof(*p) + sizeof(*p->parts));
    if (!p)
        return eng_lower_no_memory(l);
    set_blocks(l, &p->b, y);
    p->element = eng_type_size(eng_lower_c16_type(l, y));
    p->channels = n->win.front + x->dim[3];
    p->fill = eng_is_quantised(y) ? eng_quant_zero(y, 0) + eng_pack_shift(y->type) : 0;
    p->parts[0] = (struct eng_concat_part){.start = n->win.front, .channels = x->dim[3]};
    return eng_lower_c16_step(l, i, &eng_drive_concat, p, "pad", 1);
}

int eng_lower_gather(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    if (n->op != ENG_OP_GATHER || type_of(l, x, y) < 0)
        return 0;
    const struct eng_tensor *which = eng_lower_in(l, n, 1);
    enum eng_type type = eng_lower_c16_type(l, x);
    struct eng_gather_params *p = eng_lower_alloc(l, sizeof(*p));
    int32_t *copy = p ? eng_plan_alloc_packed(l->p, which->size) : NULL;
    if (!copy)
        return eng_lower_no_memory(l);
    set_blocks(l, &p->b, y);
    p->channels = which->dim[0];
    p->element = eng_type_size(type);
    p->which = memcpy(copy, which->data, which->size);
    return eng_lower_c16_step(l, i, &eng_drive_gather, p, "gather", 1);
}

/* ---- resize ---- */

static const struct eng_ref_lerp *lerps_of(struct eng_lower *l, const struct eng_node *n, int in,
                                           int out, enum eng_type type)
{
    struct eng_ref_lerp *all = eng_lower_alloc(l, sizeof(*all) * (size_t)out);
    for (int o = 0; all && o < out; o++)
        all[o] = type == ENG_U8 ? eng_ref_resize_quanta_at(n, o, in, out)
                                : eng_ref_resize_at(n, o, in, out);
    return all;
}

/* i8 goes as u8: all weights of a sum are one together, so that what is added to the inputs is
 * added to the output. */
int eng_lower_resize(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_RESIZE)
        return 0;
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    int type = type_of(l, x, y);
    if (type < 0 || x->rank != 4 || (type == ENG_U8 && !eng_quant_same(x, y)))
        return 0;
    struct eng_resize_params *p = eng_lower_alloc(l, sizeof(*p));
    if (!p)
        return eng_lower_no_memory(l);
    set_blocks(l, &p->b, y);
    set_floats(l, &p->b, n, 1);
    p->b.scratch += 2 * eng_floats_bytes(y->dim[2]);
    p->type = (enum eng_type)type;
    p->in_w = x->dim[2];
    p->out_h = y->dim[1];
    p->out_w = y->dim[2];
    p->rows = lerps_of(l, n, x->dim[1], p->out_h, p->type);
    p->columns = lerps_of(l, n, p->in_w, p->out_w, p->type);
    if (!p->rows || !p->columns)
        return eng_lower_no_memory(l);
    return eng_lower_c16_step(l, i, &eng_drive_resize, p,
                              type == ENG_U8 ? "resize_u8" : "resize_f32", 1);
}
