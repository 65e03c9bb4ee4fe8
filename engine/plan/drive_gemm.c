/* Driver of everything that ends in a pointwise kernel.
 *
 * A unit is (images, pixels, panels). Its A-panel is the tensor itself, or is made in the member's
 * scratch: by a depthwise (which so never becomes a tensor), by gathering the patches of a larger
 * window, or, for maps of one pixel, by laying the images of a batch side by side as pixels. With
 * two phases the depthwise of a fused step goes through `mid`: when weights, not activations, are
 * the traffic, or when there are more members than bands. */
#include <string.h>

#include "engine/plan/bands.h"
#include "engine/plan/drive_dw.h"

enum { AHEAD = 6 }; /* blocks between prefetch and use */

/* Panels that stay in L2 while the images of a unit pass by. */
static const size_t CHUNK_BYTES = 128 << 10;

/* An A-panel: pixel p, block b, t = together, at a + b / t * stride + (p * t + b % t) * 16
 * elements.
 */
struct panel {
    const char *a;
    size_t stride; /* bytes */
    int pixels;
    int32_t *sum;
};

struct unit {
    int image0, image1;
    int p0, p1; /* pixels of the output map */
    int q0, q1; /* panels */
    int band;   /* bands.h; -1: of the whole map */
};

/* Of 16 channels of a pixel. */
static size_t lane_bytes(const struct eng_gemm_params *p)
{
    return ENG_BLOCK * eng_type_size(p->pw.type);
}

static size_t out_lane_bytes(const struct eng_gemm_params *p)
{
    return p->pw.out_f32 ? ENG_BLOCK * sizeof(float) : lane_bytes(p);
}

/* Of the channels that stand together in a pixel of the A-panel. */
static size_t pixel_bytes(const struct eng_gemm_params *p)
{
    return (size_t)p->pw.together * lane_bytes(p);
}

/* Channel blocks of a group of the A-panel, and bytes of a pixel of them, parts and all. */
static int group_blocks(const struct eng_gemm_params *p)
{
    return p->pw.f32x ? ENG_PART_GROUP : p->pw.together;
}

static size_t group_bytes(const struct eng_gemm_params *p)
{
    return p->pw.f32x ? ENG_PART_GROUP * ENG_BLOCK * ENG_PARTS * sizeof(uint16_t) : pixel_bytes(p);
}

/* Odd multiples of 64 bytes: blocks of a panel do not fall into one set of the cache. */
static size_t scratch_stride(const struct eng_gemm_params *p, int pixels)
{
    return eng_round_up((size_t)pixels * group_bytes(p), ENG_ALIGN) | ENG_ALIGN;
}

static size_t scratch_panel(const struct eng_gemm_params *p, int pixels)
{
    int groups = eng_ceil_div(p->pw.k_blocks, group_blocks(p));
    return eng_round_up(scratch_stride(p, pixels) * (size_t)groups + ENG_OVERREAD, ENG_ALIGN);
}

/* Floats of a group of which parts are to be made. */
static size_t scratch_floats(const struct eng_gemm_params *p, int pixels)
{
    return p->pw.f32x ? (size_t)pixels * ENG_PART_GROUP * lane_bytes(p) + ENG_OVERREAD : 0;
}

/* Pixel 0 of block b of an A-panel in scratch. */
static char *block_at(const struct eng_gemm_params *p, char *a, size_t stride, int b)
{
    return a + (size_t)(b / p->pw.together) * stride + (size_t)(b % p->pw.together) * lane_bytes(p);
}

/* An A-panel that is being made: block after block, each written where it is to be, or, if the
 * panel is in parts, into `floats`, of which block_done() makes them. */
struct making {
    const struct eng_gemm_params *p;
    char *a, *floats;
    size_t stride;
    int pixels;
};

static char *block_in_making(const struct making *m, int b)
{
    if (!m->p->pw.f32x)
        return block_at(m->p, m->a, m->stride, b);
    return m->floats + (size_t)(b % ENG_PART_GROUP * m->pixels) * lane_bytes(m->p);
}

/* `from`: the first block of the group, the other one `apart` bytes behind. */
static void make_parts(const struct making *m, int b, const char *from, size_t apart)
{
    const char *second = b % ENG_PART_GROUP ? from + apart : NULL;
    m->p->pw.f32x->parts((const float *)(const void *)from, (const float *)(const void *)second,
                         m->pixels,
                         (uint16_t *)(void *)(m->a + (size_t)(b / ENG_PART_GROUP) * m->stride),
                         (size_t)m->pixels * ENG_PART_GROUP * ENG_BLOCK);
}

static void block_done(const struct making *m, int b)
{
    if (m->p->pw.f32x && (b % ENG_PART_GROUP || b + 1 == m->p->pw.k_blocks))
        make_parts(m, b, m->floats, (size_t)m->pixels * lane_bytes(m->p));
}

static size_t scratch_out_stride(const struct eng_gemm_params *p, int pixels)
{
    return eng_round_up((size_t)pixels * out_lane_bytes(p), ENG_ALIGN) | ENG_ALIGN;
}

/* Scratch: sums first, then the A-panel, then outputs that are scattered. */
static size_t sum_bytes(int pixels)
{
    return eng_round_up((size_t)pixels * sizeof(int32_t), ENG_ALIGN) + ENG_OVERREAD;
}

static size_t scratch_gemm(const struct eng_step *s, int max_batch)
{
    const struct eng_gemm_params *p = s->params;
    int hw = p->out_h * p->out_w, pixels = eng_cost_panel_pixels(p, max_batch);
    int sums = hw > pixels ? hw : pixels;
    size_t out = hw == 1 ? scratch_out_stride(p, pixels) * (size_t)p->pw.n_blocks : 0;
    if (p->pw.f32x && hw > pixels)
        pixels = hw; /* of `mid`, units may take any number */
    return sum_bytes(sums) + scratch_panel(p, pixels) + scratch_floats(p, pixels) + out +
           ENG_OVERREAD;
}

static void split_gemm(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    eng_cost_gemm(s->params, batch, members, ret->choice, ret);
}

/* Of a panel in parts; `out`: of block 0 of panel q0. */
static void run_panels_f32x(const struct eng_pw *pw, const struct panel *a, int q0, int q1,
                            float *out, size_t out_stride)
{
    int per_panel = pw->nr / ENG_BLOCK;
    pw->f32x->run(&(struct eng_pw_f32x_args){
        .a = (const uint16_t *)(const void *)a->a,
        .a_stride = a->stride / sizeof(uint16_t),
        .a_part = (size_t)a->pixels * ENG_PART_GROUP * ENG_BLOCK,
        .pixels = a->pixels,
        .k_blocks = pw->k_blocks,
        .panels = pw->packed + (size_t)q0 * pw->panel_bytes,
        .n_panels = q1 - q0,
        .n_blocks = eng_min(q1 * per_panel, pw->n_blocks) - q0 * per_panel,
        .out = out,
        .out_stride = out_stride / sizeof(float),
        .lo = pw->lo,
        .hi = pw->hi});
}

/* Panels q0 .. q1-1; `out` is block 0 of the first pixel. */
static void run_panels(const struct eng_pw *pw, const struct panel *a, int q0, int q1, char *out,
                       size_t out_stride)
{
    int block = q0 * (pw->nr / ENG_BLOCK);
    int blocks = eng_min(q1 * (pw->nr / ENG_BLOCK), pw->n_blocks) - block;
    const void *panels = pw->packed + (size_t)q0 * pw->panel_bytes;
    out += (size_t)block * out_stride;
    if (pw->type == ENG_U8) {
        pw->u8->run(&(struct eng_pw_u8_args){.a = (const uint8_t *)a->a,
                                             .a_stride = a->stride,
                                             .pixels = a->pixels,
                                             .k_blocks = pw->k_blocks,
                                             .sum = a->sum,
                                             .panels = panels,
                                             .n_panels = q1 - q0,
                                             .n_blocks = blocks,
                                             .out = (uint8_t *)out,
                                             .out_stride = out_stride,
                                             .rq = pw->rq});
        return;
    }
    if (pw->type == ENG_BF16) {
        pw->bf16->run(&(struct eng_pw_bf16_args){
            .a = (const uint16_t *)(const void *)a->a,
            .a_stride = a->stride / sizeof(uint16_t),
            .pixels = a->pixels,
            .k_blocks = pw->k_blocks,
            .panels = panels,
            .n_panels = q1 - q0,
            .n_blocks = blocks,
            .out = out,
            .out_f32 = pw->out_f32,
            .out_stride = out_stride / (pw->out_f32 ? sizeof(float) : sizeof(uint16_t)),
            .lo = pw->lo,
            .hi = pw->hi});
        return;
    }
    if (pw->f32x) {
        run_panels_f32x(pw, a, q0, q1, (float *)(void *)out, out_stride);
        return;
    }
    (pw->spw ? pw->spw->run
             : pw->f32->run)(&(struct eng_pw_f32_args){.a = (const float *)(const void *)a->a,
                                                       .a_stride = a->stride / sizeof(float),
                                                       .pixels = a->pixels,
                                                       .k_blocks = pw->k_blocks,
                                                       .panels = panels,
                                                       .n_panels = q1 - q0,
                                                       .n_blocks = blocks,
                                                       .out = (float *)(void *)out,
                                                       .out_stride = out_stride / sizeof(float),
                                                       .lo = pw->lo,
                                                       .hi = pw->hi,
                                                       .taps = pw->taps});
}

static void add_sums(const struct eng_pw *pw, struct panel *a, int32_t *sum)
{
    a->sum = NULL;
    if (!pw->needs_sum)
        return;
    pw->sum->run((const uint8_t *)a->a, a->stride, a->pixels, pw->k_blocks, sum);
    a->sum = sum;
}

/* ---- A-panels in scratch ---- */

static void prefetch_lines(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += ENG_ALIGN)
        __builtin_prefetch(at + i);
}

/* Asks for the input rows y0 .. y1-1 of a block: those that another member wrote stand in its
 * cache, and a block is too short for the hardware to see them coming. */
static void prefetch_rows(const struct eng_dw *dw, const char *block, int y0, int y1)
{
    size_t row = (size_t)dw->geo.in_w * ENG_BLOCK * eng_type_size(dw->type);
    y0 = y0 < 0 ? 0 : y0;
    y1 = eng_min(y1, dw->geo.in_h);
    if (y0 < y1)
        prefetch_lines(block + (size_t)y0 * row, (size_t)(y1 - y0) * row);
}

/* `panel`: the first that the pointwise will ask for. Nothing else brings it closer, so that its
 * first tile would wait for L3. */
static void fill_dw(const struct making *m, const char *in, size_t in_stride, int y0, int y1,
                    int panel)
{
    const struct eng_gemm_params *p = m->p;
    const struct eng_dw *dw = &p->dw;
    int first = y0 * dw->geo.stride - dw->geo.top,
        last = (y1 - 1) * dw->geo.stride - dw->geo.top + 2;
    int together = eng_min(2 * ENG_BLOCK / p->pw.nr, p->pw.n_panels - panel);
    const char *weights = p->pw.packed + (size_t)panel * p->pw.panel_bytes;
    size_t share = p->pw.panel_bytes * (size_t)together / (size_t)dw->blocks;
    for (int b = 0; b < dw->blocks; b++) {
        prefetch_lines(weights + share * (size_t)b, share);
        if (b + AHEAD < dw->blocks) {
            const char *next = in + (size_t)(b + AHEAD) * in_stride;
            prefetch_rows(dw, next, first, first + 1);
            prefetch_rows(dw, next, last, last + 1);
            prefetch_lines(dw->packed + (size_t)(b + AHEAD) * dw->block_bytes, dw->block_bytes);
        }
        eng_dw_rows(dw, in, in_stride, b, y0, y1, block_in_making(m, b), p->pw.together);
        block_done(m, b);
    }
}

/* One row of output pixels under one tap of one channel block. */
static void gather_row(const struct eng_gemm_params *p, const char *block, int iy, int kx, char *to)
{
    size_t lane = lane_bytes(p), pixel = pixel_bytes(p);
    for (int ox = 0; ox < p->out_w; ox++, to += pixel) {
        int ix = ox * p->win.sw - p->win.left + kx * p->win.dw;
        if (iy < 0 || iy >= p->in_h || ix < 0 || ix >= p->in_w)
            memset(to, p->zx, lane);
        else
            memcpy(to, block + ((size_t)iy * (size_t)p->in_w + (size_t)ix) * lane, lane);
    }
}

static void fill_im2col(const struct making *m, const char *in, size_t in_stride, int y0, int y1)
{
    const struct eng_gemm_params *p = m->p;
    size_t row = (size_t)p->out_w * pixel_bytes(p);
    for (int t = 0; t < p->win.kh * p->win.kw; t++) {
        int ky = t / p->win.kw, kx = t % p->win.kw;
        for (int b = 0; b < p->in_blocks; b++) {
            char *to = block_in_making(m, t * p->in_blocks + b);
            for (int y = y0; y < y1; y++)
                gather_row(p, in + (size_t)b * in_stride,
                           y * p->win.sh - p->win.top + ky * p->win.dh, kx,
                           to + (size_t)(y - y0) * row);
            block_done(m, t * p->in_blocks + b);
        }
    }
}

/* Pixels of a tensor, its blocks side by side or in parts; `in`: of block 0. */
static void fill_from_tensor(const struct making *m, const char *in, size_t in_stride)
{
    enum { LANE = 16 }; /* bytes; together > 1 */
    const struct eng_gemm_params *p = m->p;
    size_t pixel = pixel_bytes(p), lane = lane_bytes(p);
    for (int b = 0; p->pw.f32x && b < p->pw.k_blocks; b += ENG_PART_GROUP)
        make_parts(m, eng_min(b + 1, p->pw.k_blocks - 1), in + (size_t)b * in_stride, in_stride);
    for (int b = 0; !p->pw.f32x && b < p->pw.k_blocks; b++, in += in_stride) {
        char *to = block_at(p, m->a, m->stride, b);
        for (int i = 0; i < m->pixels; i++)
            for (size_t j = 0; j < lane; j += LANE)
                memcpy(to + (size_t)i * pixel + j, in + (size_t)i * lane + j, LANE);
    }
}

/* `in`: the step's, or `mid`, which holds what a depthwise made of it. */
static void run_made(const struct eng_call *c, const struct unit *u, int in, char *scratch)
{
    const struct eng_gemm_params *p = c->step->params;
    int y0 = u->p0 / p->out_w, y1 = u->p1 / p->out_w, pixels = u->p1 - u->p0;
    const struct making m = {.p = p,
                             .a = scratch + sum_bytes(pixels),
                             .floats = scratch + sum_bytes(pixels) + scratch_panel(p, pixels),
                             .stride = scratch_stride(p, pixels),
                             .pixels = pixels};
    struct panel a = {.a = m.a, .stride = m.stride, .pixels = pixels};
    for (int image = u->image0; image < u->image1; image++) {
        struct eng_view from = eng_view_of(c, in, image, u->band);
        struct eng_view to = eng_view_of(c, c->step->out, image, u->band);
        char *out = to.at + (size_t)u->p0 * out_lane_bytes(p);
        if (p->source == ENG_SOURCE_DW && in != c->step->mid)
            fill_dw(&m, from.at, from.stride, y0, y1, u->q0);
        else if (p->source == ENG_SOURCE_IM2COL)
            fill_im2col(&m, from.at, from.stride, y0, y1);
        else
            fill_from_tensor(&m, from.at + (size_t)u->p0 * lane_bytes(p), from.stride);
        add_sums(&p->pw, &a, (int32_t *)(void *)scratch);
        run_panels(&p->pw, &a, u->q0, u->q1, out, to.stride);
    }
}

/* ---- A-panels in a tensor ---- */

/* Maps of one pixel: the images of the batch are the pixels of one panel. */
static void run_side_by_side(const struct eng_call *c, const struct unit *u, int in, char *scratch)
{
    const struct eng_gemm_params *p = c->step->params;
    int images = u->image1 - u->image0;
    size_t lane = lane_bytes(p), stride = scratch_stride(p, images);
    size_t out_lane = out_lane_bytes(p), out_stride = scratch_out_stride(p, images);
    char *made = scratch + sum_bytes(images);
    char *out = made + scratch_panel(p, images);
    for (int i = 0; i < images; i++) {
        const char *from = eng_value_at(c, in, u->image0 + i);
        for (int b = 0; b < p->pw.k_blocks; b++)
            memcpy(block_at(p, made, stride, b) + (size_t)i * pixel_bytes(p),
                   from + (size_t)b * lane, lane);
    }
    struct panel a = {.a = made, .stride = stride, .pixels = images};
    add_sums(&p->pw, &a, (int32_t *)(void *)scratch);
    run_panels(&p->pw, &a, u->q0, u->q1, out, out_stride);
    int b0 = u->q0 * (p->pw.nr / ENG_BLOCK);
    int b1 = eng_min(u->q1 * (p->pw.nr / ENG_BLOCK), p->pw.n_blocks);
    for (int i = 0; i < images; i++) {
        char *to = eng_value_at(c, c->step->out, u->image0 + i);
        for (int b = b0; b < b1; b++)
            memcpy(to + (size_t)b * out_lane, out + (size_t)b * out_stride + (size_t)i * out_lane,
                   out_lane);
    }
}

/* Chunks of panels outside, images inside: weights are read once for all images of the unit. The
 * tensor is a vector, or `mid`, or its blocks stand alone: together * stride is a panel's stride.
 */
static void run_direct(const struct eng_call *c, const struct unit *u, int in, char *scratch)
{
    const struct eng_gemm_params *p = c->step->params;
    size_t skip = (size_t)u->p0 * pixel_bytes(p), skip_out = (size_t)u->p0 * out_lane_bytes(p);
    int step = u->q1 - u->q0;
    if (u->image1 - u->image0 > 1 && p->pw.panel_bytes * (size_t)step > CHUNK_BYTES)
        step = (int)(CHUNK_BYTES / p->pw.panel_bytes);
    step = step < 1 ? 1 : step;
    for (int q = u->q0; q < u->q1; q += step)
        for (int image = u->image0; image < u->image1; image++) {
            struct eng_view from = eng_view_of(c, in, image, u->band);
            struct eng_view to = eng_view_of(c, c->step->out, image, u->band);
            struct panel a = {.a = from.at + skip,
                              .stride = from.stride * (size_t)p->pw.together,
                              .pixels = u->p1 - u->p0};
            add_sums(&p->pw, &a, (int32_t *)(void *)scratch);
            run_panels(&p->pw, &a, q, eng_min(q + step, u->q1), to.at + skip_out, to.stride);
        }
}

/* ---- units ---- */

static struct unit unit_of(const struct eng_call *c, int u)
{
    const struct eng_gemm_params *p = c->step->params;
    const struct eng_split *s = c->split;
    int group = u % s->groups, band = u / s->groups % s->bands;
    int images = u / s->groups / s->bands;
    int map = p->out_h * p->out_w;
    return (struct unit){.band = -1,
                         .image0 = images * s->images,
                         .image1 = eng_min((images + 1) * s->images, c->batch),
                         .p0 = band * s->rows,
                         .p1 = eng_min((band + 1) * s->rows, map),
                         .q0 = group * s->panels,
                         .q1 = eng_min((group + 1) * s->panels, p->pw.n_panels)};
}

static void run_units(const struct eng_call *c, int begin, int end, int member, int from_tensor,
                      int in)
{
    const struct eng_gemm_params *p = c->step->params;
    char *scratch = eng_scratch(c, member);
    for (int i = begin; i < end; i++) {
        struct unit u = unit_of(c, i);
        if (!from_tensor || p->pw.f32x)
            run_made(c, &u, in, scratch);
        else if (p->out_h * p->out_w == 1 && u.image1 - u.image0 > 1)
            run_side_by_side(c, &u, in, scratch);
        else
            run_direct(c, &u, in, scratch);
    }
}

static void run_bands(const struct eng_call *c, int begin, int end, int member)
{
    const struct eng_gemm_params *p = c->step->params;
    char *scratch = eng_scratch(c, member);
    for (int i = begin; i < end; i++) {
        int y0, y1, band = eng_band_rows(c, p->out_h, i, &y0, &y1);
        struct unit u = {.image1 = 1,
                         .p0 = y0 * p->out_w,
                         .p1 = y1 * p->out_w,
                         .q1 = p->pw.n_panels,
                         .band = band};
        if (y0 == y1)
            continue;
        eng_band_claim(c, c->step->out, band, y0, y1);
        if (eng_gemm_is_made(p))
            run_made(c, &u, c->step->in[0], scratch);
        else
            run_direct(c, &u, c->step->in[0], scratch);
        eng_band_push(c, c->step->out, band, y0, y1);
    }
}

static void run_first(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_gemm_params *p = c->step->params;
    if (c->split->two_phase)
        eng_dw_units(c, &p->dw, c->step->in[0], c->step->mid, p->pw.together, begin, end);
    else if (c->split->by_bands)
        run_bands(c, begin, end, member);
    else
        run_units(c, begin, end, member, !eng_gemm_is_made(p), c->step->in[0]);
}

static void run_second(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    run_units(c, begin, end, member, 1, c->step->mid);
}

const struct eng_driver eng_drive_gemm = {
    .split = split_gemm,
    .scratch = scratch_gemm,
    .phase = {run_first, run_second},
};
