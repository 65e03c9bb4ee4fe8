/* Convolutions: the first one from pixels, everything that becomes a pointwise (1x1, fully
 * connected, other kernels by gathered patches), depthwise 3x3, and depthwise fused with the
 * pointwise that follows. */
#include "engine/plan/lower.h"

/* All of x, w, y real, or all quantised: what the kernels of the fast plan take. */
static int types_fit(const struct eng_lower *l, const struct eng_node *n)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *w = eng_lower_in(l, n, 1);
    const struct eng_tensor *b = eng_lower_in(l, n, 2), *y = &l->g->tensors[n->out];
    if (!w->data || x->data || (b && !b->data))
        return 0;
    if (x->type == ENG_F32)
        return w->type == ENG_F32 && y->type == ENG_F32 && (!b || b->type == ENG_F32);
    return eng_is_quantised(x) && eng_is_quantised(w) && eng_is_quantised(y) &&
           (!b || b->type == ENG_I32);
}

/* A 3x3 window that the kernels know. */
static int is_3x3(const struct eng_window *w)
{
    return w->kh == 3 && w->kw == 3 && w->sh == w->sw && (w->sh == 1 || w->sh == 2) && w->dh == 1 &&
           w->dw == 1 && w->top <= 1 && w->left <= 1;
}

static struct eng_geometry geometry_of(const struct eng_lower *l, const struct eng_node *n)
{
    const struct eng_tensor *x = eng_lower_in(l, n, 0), *y = &l->g->tensors[n->out];
    return (struct eng_geometry){.in_h = x->dim[1],
                                 .in_w = x->dim[2],
                                 .stride = n->win.sh,
                                 .top = n->win.top,
                                 .left = n->win.left,
                                 .out_w = y->dim[2]};
}

int eng_lower_conv3(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *x = eng_lower_in(l, n, 0);
    if (n->op != ENG_OP_CONV || n->groups != 1 || x->dim[3] != 3 || !is_3x3(&n->win) ||
        !types_fit(l, n))
        return 0;
    struct eng_conv3_params *cp = eng_lower_alloc(l, sizeof(*cp));
    int in = cp ? eng_lower_need(l, n->in[0], ENG_REP_PIXELS) : -1;
    int rc = in < 0 ? in : eng_pack_conv3(l, n, cp);
    if (rc <= 0)
        return cp ? rc : eng_lower_no_memory(l);
    cp->geo = geometry_of(l, n);
    cp->out_h = l->g->tensors[n->out].dim[1];
    struct eng_step s = {.driver = &eng_drive_conv3, .node = i, .node2 = -1, .mid = -1};
    s.params = cp;
    s.kernel = cp->u8 ? cp->u8->name : cp->bf16 ? cp->bf16->name : cp->f32->name;
    s.out = eng_lower_make(l, n->out, ENG_REP_C16);
    rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : 1;
}

/* ---- pointwise ---- */

static int is_1x1(const struct eng_node *n)
{
    const struct eng_window *w = &n->win;
    return n->op == ENG_OP_CONV && n->groups == 1 && w->kh == 1 && w->kw == 1 && w->sh == 1 &&
           w->sw == 1 && !w->top && !w->bottom && !w->left && !w->right;
}

static const char *pw_name(const struct eng_pw *pw)
{
    if (pw->u8)
        return pw->u8->name;
    if (pw->f32x)
        return pw->f32x->name;
    return pw->bf16 ? pw->bf16->name : pw->spw ? pw->spw->name : pw->f32->name;
}

/* Packs the weights; taps of (kh, kw) over `channels`. FC is a window as large as its input. */
static int pack_window(struct eng_lower *l, const struct eng_node *n, struct eng_gemm_params *gp)
{
    int h, w, c;
    (void)eng_lower_geometry(eng_lower_in(l, n, 0), &h, &w, &c);
    gp->in_h = h;
    gp->in_w = w;
    gp->in_blocks = eng_ceil_div(c, ENG_BLOCK);
    gp->win = n->op == ENG_OP_FC ? (struct eng_window){h, w, 1, 1, 1, 1, 0, 0, 0, 0} : n->win;
    int direct = n->op == ENG_OP_FC ? h == 1 && w == 1 : is_1x1(n);
    gp->source = direct ? ENG_SOURCE_DIRECT : ENG_SOURCE_IM2COL;
    return eng_pack_gemm(l, n, gp->win.kh * gp->win.kw, c, &gp->pw);
}

/* Where a pointwise of its own writes. Scores of a bf16 plan are not rounded: one pixel of f32 in
 * blocks of 16 is NHWC. */
static int gemm_output(struct eng_lower *l, int tensor, struct eng_gemm_params *gp)
{
    int reader = l->reader[tensor];
    enum eng_op op = reader < 0 ? ENG_OP_SOFTMAX : l->g->nodes[reader].op;
    if (gp->pw.type != ENG_BF16 || gp->out_h > 1 || gp->out_w > 1 ||
        (op != ENG_OP_SOFTMAX && op != ENG_OP_RESHAPE))
        return eng_lower_make(l, tensor, ENG_REP_C16);
    int v = eng_lower_make(l, tensor, ENG_REP_FILE);
    if (v < 0)
        return v;
    gp->pw.out_f32 = 1;
    l->p->values[v].stride = ENG_BLOCK * sizeof(float);
    return v;
}

int eng_lower_gemm(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    const struct eng_tensor *y = &l->g->tensors[n->out];
    int conv = n->op == ENG_OP_CONV && n->groups == 1;
    int h, w, c;
    if ((!conv && n->op != ENG_OP_FC) || !types_fit(l, n) ||
        !eng_lower_geometry(eng_lower_in(l, n, 0), &h, &w, &c))
        return 0;
    if (!eng_lower_geometry(y, &h, &w, &c) || c != eng_lower_in(l, n, 1)->dim[0])
        return 0;
    struct eng_gemm_params *gp = eng_lower_alloc(l, sizeof(*gp));
    if (!gp)
        return eng_lower_no_memory(l);
    gp->out_h = h;
    gp->out_w = w;
    gp->zx = eng_lower_in(l, n, 0)->type == ENG_F32
                 ? 0
                 : (uint8_t)(eng_quant_zero(eng_lower_in(l, n, 0), 0) +
                             eng_pack_shift(eng_lower_in(l, n, 0)->type));
    int rc = pack_window(l, n, gp);
    if (rc <= 0)
        return rc;
    int in = eng_lower_need(l, n->in[0], ENG_REP_C16);
    if (in < 0)
        return in;
    struct eng_step s = {.driver = &eng_drive_gemm, .node = i, .node2 = -1, .mid = -1};
    s.params = gp;
    s.kernel = pw_name(&gp->pw);
    s.out = gemm_output(l, n->out, gp);
    rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : 1;
}

/* ---- depthwise ---- */

/* The pointwise that alone reads a depthwise's output, or NULL. */
static const struct eng_node *follower(const struct eng_lower *l, const struct eng_node *n)
{
    if (l->uses[n->out] != 1 || l->reader[n->out] < 0)
        return NULL;
    const struct eng_node *next = &l->g->nodes[l->reader[n->out]];
    return is_1x1(next) && next->in[0] == n->out && types_fit(l, next) ? next : NULL;
}

static const char *dw_name(const struct eng_dw *dw)
{
    return dw->u8 ? dw->u8->name : dw->bf16 ? dw->bf16->name : dw->f32->name;
}

/* The depthwise can leave the A-panel that the pointwise of its type takes. */
static int writes_panel(const struct eng_lower *l, const struct eng_dw *dw)
{
    const struct eng_kernels *k = &l->p->kernels;
    if (dw->type == ENG_U8)
        return k->pw_u8->together == 1 || dw->u8->spreads;
    return dw->type != ENG_BF16 || k->pw_bf16->together == 1 || dw->bf16->spreads;
}

/* 1 = fused with what follows; 0 = no. */
static int lower_fused(struct eng_lower *l, int i, const struct eng_dw *dw, int in)
{
    const struct eng_node *n = &l->g->nodes[i], *next = follower(l, n);
    if (!next || !writes_panel(l, dw))
        return 0;
    struct eng_gemm_params *gp = eng_lower_alloc(l, sizeof(*gp));
    if (!gp)
        return eng_lower_no_memory(l);
    int rc = eng_pack_gemm(l, next, 1, dw->channels, &gp->pw);
    if (rc <= 0)
        return rc;
    int panel_channels = gp->pw.together * ENG_BLOCK;
    gp->source = ENG_SOURCE_DW;
    gp->dw = *dw;
    gp->in_h = gp->out_h = dw->out_h;
    gp->in_w = gp->out_w = dw->geo.out_w;
    gp->in_blocks = dw->blocks;
    struct eng_step s = {.driver = &eng_drive_gemm, .node = i, .params = gp};
    s.node2 = l->reader[n->out];
    s.kernel = dw_name(dw);
    s.kernel2 = pw_name(&gp->pw);
    s.mid = eng_lower_make_c16(l, dw->type, dw->out_h, dw->geo.out_w,
                               eng_ceil_div(dw->channels, panel_channels) * panel_channels);
    s.out = s.mid < 0 ? s.mid : eng_lower_make(l, next->out, ENG_REP_C16);
    rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    if (rc < 0)
        return rc;
    l->done[s.node2] = 1;
    return 1;
}

int eng_lower_depthwise(struct eng_lower *l, int i)
{
    const struct eng_node *n = &l->g->nodes[i];
    if (n->op != ENG_OP_DEPTHWISE || n->multiplier != 1 || !is_3x3(&n->win) || !types_fit(l, n))
        return 0;
    struct eng_dw *dw = eng_lower_alloc(l, sizeof(*dw));
    int in = dw ? eng_lower_need(l, n->in[0], ENG_REP_C16) : eng_lower_no_memory(l);
    if (in < 0)
        return in;
    dw->geo = geometry_of(l, n);
    dw->out_h = l->g->tensors[n->out].dim[1];
    int rc = eng_pack_dw(l, n, dw);
    if (rc < 0 || (rc = lower_fused(l, i, dw, in)) != 0)
        return rc;
    struct eng_step s = {.driver = &eng_drive_dw, .node = i, .node2 = -1, .mid = -1, .params = dw};
    s.kernel = dw_name(dw);
    s.out = eng_lower_make(l, n->out, ENG_REP_C16);
    rc = s.out < 0 ? s.out : eng_lower_step(l, &s, &in, 1);
    return rc < 0 ? rc : 1;
}
