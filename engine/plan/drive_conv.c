/* Drivers of the first convolution and of a depthwise that stands alone. */
#include "engine/plan/bands.h"
#include "engine/plan/drive_dw.h"

static void split_conv3(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    eng_cost_conv3(s->params, batch, members, ret);
}

static void conv3_rows(const struct eng_conv3_params *p, const char *in, const struct eng_view *to,
                       int y0, int y1)
{
    size_t size = eng_type_size(p->type), row = (size_t)p->geo.out_w * ENG_BLOCK;
    char *out = to->at;
    const struct eng_geometry geo = eng_geometry_rows(&p->geo, y0, y1);
    if (p->type == ENG_U8) {
        p->u8->run(&(struct eng_conv3_u8_args){.in = (const uint8_t *)in,
                                               .geo = geo,
                                               .n_blocks = p->n_blocks,
                                               .packed = p->packed,
                                               .out = (uint8_t *)out + (size_t)y0 * row,
                                               .out_row = row,
                                               .out_stride = to->stride,
                                               .zx = p->zx,
                                               .rq = p->rq});
        return;
    }
    if (p->type == ENG_BF16) {
        p->bf16->run(
            &(struct eng_conv3_bf16_args){.in = (const float *)(const void *)in,
                                          .geo = geo,
                                          .n_blocks = p->n_blocks,
                                          .packed = p->packed,
                                          .out = (uint16_t *)(void *)out + (size_t)y0 * row,
                                          .out_row = row,
                                          .out_stride = to->stride / size,
                                          .lo = p->lo,
                                          .hi = p->hi});
        return;
    }
    p->f32->run(&(struct eng_conv3_f32_args){.in = (const float *)(const void *)in,
                                             .geo = geo,
                                             .n_blocks = p->n_blocks,
                                             .packed = p->packed,
                                             .out = (float *)(void *)out + (size_t)y0 * row,
                                             .out_row = row,
                                             .out_stride = to->stride / size,
                                             .lo = p->lo,
                                             .hi = p->hi});
}

static void conv3_bands(const struct eng_call *c, int begin, int end)
{
    const struct eng_conv3_params *p = c->step->params;
    for (int u = begin; u < end; u++) {
        int y0, y1, band = eng_band_rows(c, p->out_h, u, &y0, &y1);
        struct eng_view to = eng_view_of(c, c->step->out, 0, band);
        if (y0 == y1)
            continue;
        eng_band_claim(c, c->step->out, band, y0, y1);
        conv3_rows(p, eng_value_at(c, c->step->in[0], 0), &to, y0, y1);
        eng_band_push(c, c->step->out, band, y0, y1);
    }
}

static void run_conv3(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_conv3_params *p = c->step->params;
    (void)member;
    if (c->split->by_bands) {
        conv3_bands(c, begin, end);
        return;
    }
    for (int u = begin; u < end; u++) {
        int image = u / c->split->bands, y0 = u % c->split->bands * c->split->rows;
        struct eng_view to = eng_view_of(c, c->step->out, image, -1);
        conv3_rows(p, eng_value_at(c, c->step->in[0], image), &to, y0,
                   eng_min(y0 + c->split->rows, p->out_h));
    }
}

const struct eng_driver eng_drive_conv3 = {
    .split = split_conv3,
    .phase = {run_conv3},
};

/* ---- depthwise ---- */

void eng_dw_rows(const struct eng_dw *dw, const char *in, size_t in_stride, int block, int y0,
                 int y1, char *out, int together)
{
    size_t pixel = (size_t)(together * ENG_BLOCK);
    const void *packed = dw->packed + (size_t)block * dw->block_bytes;
    const struct eng_geometry geo = eng_geometry_rows(&dw->geo, y0, y1);
    in += (size_t)block * in_stride;
    if (dw->type == ENG_U8) {
        dw->u8->run(&(struct eng_dw_u8_args){.in = (const uint8_t *)in,
                                             .in_row = (size_t)dw->geo.in_w * ENG_BLOCK,
                                             .geo = geo,
                                             .block = packed,
                                             .out = (uint8_t *)out,
                                             .out_row = (size_t)dw->geo.out_w * pixel,
                                             .out_pixel = pixel,
                                             .zx = dw->zx,
                                             .rq = dw->rq});
        return;
    }
    if (dw->type == ENG_BF16) {
        dw->bf16->run(&(struct eng_dw_bf16_args){.in = (const uint16_t *)(const void *)in,
                                                 .in_row = (size_t)dw->geo.in_w * ENG_BLOCK,
                                                 .geo = geo,
                                                 .block = packed,
                                                 .out = (uint16_t *)(void *)out,
                                                 .out_row = (size_t)dw->geo.out_w * pixel,
                                                 .out_pixel = pixel,
                                                 .lo = dw->lo,
                                                 .hi = dw->hi});
        return;
    }
    dw->f32->run(&(struct eng_dw_f32_args){.in = (const float *)(const void *)in,
                                           .in_row = (size_t)dw->geo.in_w * ENG_BLOCK,
                                           .geo = geo,
                                           .block = packed,
                                           .out = (float *)(void *)out,
                                           .out_row = (size_t)dw->geo.out_w * ENG_BLOCK,
                                           .lo = dw->lo,
                                           .hi = dw->hi});
}

/* Where row y of block b goes in a map whose blocks would be `stride` bytes apart. */
static char *dw_out(const struct eng_dw *dw, char *out, size_t stride, int together, int b, int y)
{
    size_t lane = ENG_BLOCK * eng_type_size(dw->type), of = (size_t)together;
    return out + (size_t)(b / together) * of * stride + (size_t)(b % together) * lane +
           (size_t)y * (size_t)dw->geo.out_w * of * lane;
}

static void dw_bands(const struct eng_call *c, const struct eng_dw *dw, int in, int out,
                     int together, int begin, int end)
{
    for (int u = begin; u < end; u++) {
        int y0, y1, band = eng_band_rows(c, dw->out_h, u, &y0, &y1);
        struct eng_view from = eng_view_of(c, in, 0, band), to = eng_view_of(c, out, 0, band);
        if (y0 == y1)
            continue;
        for (int b = 0; b < dw->blocks; b++)
            eng_dw_rows(dw, from.at, from.stride, b, y0, y1,
                        dw_out(dw, to.at, to.stride, together, b, y0), together);
        eng_band_push(c, out, band, y0, y1);
    }
}

void eng_dw_units(const struct eng_call *c, const struct eng_dw *dw, int in, int out, int together,
                  int begin, int end)
{
    const struct eng_split *s = c->split;
    if (s->by_bands) {
        dw_bands(c, dw, in, out, together, begin, end);
        return;
    }
    const struct eng_value *from = eng_value_of(c, in), *to = eng_value_of(c, out);
    for (int u = begin; u < end; u++) {
        int per_image = s->dw_bands * s->block_groups;
        int image = u / per_image, y0 = u % s->dw_bands * s->dw_rows;
        int b0 = u % per_image / s->dw_bands * s->blocks, b1 = eng_min(b0 + s->blocks, dw->blocks);
        for (int b = b0; b < b1; b++)
            eng_dw_rows(dw, eng_value_at(c, in, image), from->stride, b, y0,
                        eng_min(y0 + s->dw_rows, dw->out_h),
                        dw_out(dw, eng_value_at(c, out, image), to->stride, together, b, y0),
                        together);
    }
}

static void split_dw(const struct eng_step *s, int batch, int members, struct eng_split *ret)
{
    eng_cost_dw(s->params, batch, members, ret);
}

static void run_dw(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    (void)member;
    eng_dw_units(c, c->step->params, c->step->in[0], c->step->out, 1, begin, end);
}

const struct eng_driver eng_drive_dw = {
    .split = split_dw,
    .phase = {run_dw},
};
