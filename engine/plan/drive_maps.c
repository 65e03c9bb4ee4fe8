/* Drivers of what works on whole channel blocks without a product of matrices: pools with windows,
 * products and sums with one value a channel, activations of floats, depthwise of any window,
 * concatenation along channels. */
#include "engine/plan/maps.h"

#include <math.h>
#include <string.h>

#include "engine/plan/floats.h"

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/* ---- pools ---- */

/* The pixels that one window covers, and by how many an average divides. */
struct cover {
    int y0, y1, x0, x1, count, divisor;
};

static struct cover cover_of(const struct eng_map_params *p, int oy, int ox)
{
    const struct eng_window *w = &p->win;
    int y = oy * w->sh - w->top, x = ox * w->sw - w->left;
    struct cover k = {.y0 = y < 0 ? 0 : y,
                      .x0 = x < 0 ? 0 : x,
                      .y1 = eng_min(y + w->kh, p->in_h),
                      .x1 = eng_min(x + w->kw, p->in_w)};
    k.count = k.divisor = (k.y1 - k.y0) * (k.x1 - k.x0);
    if (p->count_include_pad)
        k.divisor = (eng_min(y + w->kh, p->in_h + w->bottom) - y) *
                    (eng_min(x + w->kw, p->in_w + w->right) - x);
    return k;
}

static void max_f32(const struct eng_map_params *p, const struct cover *k, const float *in,
                    float *out)
{
    float best[ENG_BLOCK];
    for (int i = 0; i < ENG_BLOCK; i++)
        best[i] = -INFINITY;
    for (int y = k->y0; y < k->y1; y++)
        for (int x = k->x0; x < k->x1; x++) {
            const float *from = in + ((size_t)y * (size_t)p->in_w + (size_t)x) * ENG_BLOCK;
            for (int i = 0; i < ENG_BLOCK; i++)
                best[i] = from[i] > best[i] ? from[i] : best[i];
        }
    for (int i = 0; i < ENG_BLOCK; i++)
        out[i] = clamp(best[i], p->lo, p->hi);
}

static void average_f32(const struct eng_map_params *p, const struct cover *k, const float *in,
                        float *out)
{
    float sum[ENG_BLOCK] = {0};
    for (int y = k->y0; y < k->y1; y++)
        for (int x = k->x0; x < k->x1; x++) {
            const float *from = in + ((size_t)y * (size_t)p->in_w + (size_t)x) * ENG_BLOCK;
            for (int i = 0; i < ENG_BLOCK; i++)
                sum[i] += from[i];
        }
    for (int i = 0; i < ENG_BLOCK; i++)
        out[i] = clamp(sum[i] / (float)k->divisor, p->lo, p->hi);
}

static void max_u8(const struct eng_map_params *p, const struct cover *k, const uint8_t *in,
                   uint8_t *out)
{
    uint8_t best[ENG_BLOCK] = {0};
    for (int y = k->y0; y < k->y1; y++)
        for (int x = k->x0; x < k->x1; x++) {
            const uint8_t *from = in + ((size_t)y * (size_t)p->in_w + (size_t)x) * ENG_BLOCK;
            for (int i = 0; i < ENG_BLOCK; i++)
                best[i] = from[i] > best[i] ? from[i] : best[i];
        }
    for (int i = 0; i < ENG_BLOCK; i++)
        out[i] = p->table[best[i]];
}

/* eng_ref_avgpool()'s arithmetic, on the file's own quanta. */
static void average_u8(const struct eng_map_params *p, const struct cover *k, const uint8_t *in,
                       uint8_t *out)
{
    int32_t sum[ENG_BLOCK] = {0}, zero = eng_quant_zero(p->x, 0);
    for (int y = k->y0; y < k->y1; y++)
        for (int x = k->x0; x < k->x1; x++) {
            const uint8_t *from = in + ((size_t)y * (size_t)p->in_w + (size_t)x) * ENG_BLOCK;
            for (int i = 0; i < ENG_BLOCK; i++)
                sum[i] += from[i];
        }
    for (int i = 0; i < ENG_BLOCK; i++) {
        int32_t raw = sum[i] - p->offset * k->count, q;
        if (eng_quant_same(p->x, p->y)) {
            q = eng_quant_average(raw + (k->divisor - k->count) * zero, k->divisor);
            q = q < p->range.lo ? p->range.lo : q > p->range.hi ? p->range.hi : q;
        } else {
            float scale = eng_quant_mean_scale(p->x, p->y, k->divisor);
            q = eng_quant_round((float)(raw - zero * k->count) * scale, &p->range);
        }
        out[i] = (uint8_t)(q + p->offset);
    }
}

static void pool_block(const struct eng_map_params *p, const char *in, char *out)
{
    size_t lane = ENG_BLOCK * eng_type_size(p->type);
    int real = p->type == ENG_F32, max = p->kind == ENG_MAP_MAX;
    for (int oy = 0; oy < p->out_h; oy++)
        for (int ox = 0; ox < p->out_w; ox++, out += lane) {
            struct cover k = cover_of(p, oy, ox);
            if (real)
                (max ? max_f32 : average_f32)(p, &k, (const float *)(const void *)in,
                                              (float *)(void *)out);
            else
                (max ? max_u8 : average_u8)(p, &k, (const uint8_t *)in, (uint8_t *)out);
        }
}

/* ---- one element after the other ---- */

void eng_map_activate(const struct eng_map_params *p, const float *in, float *out, int n)
{
    p->act->run(&(struct eng_act_f32_args){.unary = p->unary,
                                           .in = in,
                                           .out = out,
                                           .n = n,
                                           .alpha = p->alpha,
                                           .beta = p->beta,
                                           .lo = p->lo,
                                           .hi = p->hi});
}

/* The second operand is a map of the same shape. */
static void maps_f32(const struct eng_map_params *p, const float *a, const float *b, float *out,
                     int n)
{
    float lo = p->lo, hi = p->hi;
    if (p->kind == ENG_MAP_PRODUCT)
        for (int i = 0; i < n; i++)
            out[i] = clamp(a[i] * b[i], lo, hi);
    else
        for (int i = 0; i < n; i++)
            out[i] = clamp(a[i] + b[i], lo, hi);
}

/* What stands beside the map has 16 values, those of the block's channels. */
static void channels_f32(const struct eng_map_params *p, const float *a, const float *first,
                         const float *second, float *out)
{
    float lo = p->lo, hi = p->hi;
    for (int pixel = 0; pixel < p->b.pixels; pixel++, a += ENG_BLOCK, out += ENG_BLOCK)
        switch (p->kind) {
        case ENG_MAP_PRODUCT:
            for (int i = 0; i < ENG_BLOCK; i++)
                out[i] = clamp(a[i] * first[i], lo, hi);
            break;
        case ENG_MAP_SUM:
            for (int i = 0; i < ENG_BLOCK; i++)
                out[i] = clamp(a[i] + first[i], lo, hi);
            break;
        case ENG_MAP_PRELU:
            for (int i = 0; i < ENG_BLOCK; i++)
                out[i] = clamp(a[i] < 0 ? a[i] * first[i] : a[i], lo, hi);
            break;
        default:
            for (int i = 0; i < ENG_BLOCK; i++)
                out[i] = clamp(a[i] * first[i] + second[i], lo, hi);
        }
}

static void product_u8(const struct eng_map_params *p, const uint8_t *a, const uint8_t *b,
                       uint8_t *out)
{
    p->u8->run(&(struct eng_mul_u8_args){.a = a,
                                         .b = b,
                                         .out = out,
                                         .pixels = p->b.pixels,
                                         .per_channel = p->per_channel,
                                         .za = p->za,
                                         .zb = p->zb,
                                         .scale = p->scale,
                                         .zero_point = p->range.zero_point,
                                         .lo = p->range.lo,
                                         .hi = p->range.hi});
}

static void map_quanta(const struct eng_call *c, const struct eng_map_params *p, int image, int b)
{
    const uint8_t *in = (const uint8_t *)eng_block_at(c, c->step->in[0], image, b);
    uint8_t *out = (uint8_t *)eng_block_at(c, c->step->out, image, b);
    if (p->kind == ENG_MAP_MAX || p->kind == ENG_MAP_AVERAGE)
        pool_block(p, (const char *)in, (char *)out);
    else
        product_u8(p, in, (const uint8_t *)eng_block_at(c, c->step->in[1], image, b), out);
}

static void map_floats(const struct eng_call *c, const struct eng_map_params *p, int image, int b,
                       char *scratch)
{
    const float *x = eng_floats_in(c, c->step->in[0], image, b, &scratch);
    const float *y =
        c->step->n_in > 1 ? eng_floats_in(c, c->step->in[1], image, b, &scratch) : NULL;
    float *out = eng_floats_out(c, c->step->out, image, b, &scratch);
    if (p->kind == ENG_MAP_MAX || p->kind == ENG_MAP_AVERAGE)
        pool_block(p, (const char *)x, (char *)out);
    else if (p->kind == ENG_MAP_ACTIVATION)
        eng_map_activate(p, x, out, p->b.pixels * ENG_BLOCK);
    else if (p->first)
        channels_f32(p, x, p->first + (size_t)b * ENG_BLOCK,
                     p->second ? p->second + (size_t)b * ENG_BLOCK : NULL, out);
    else if (p->per_channel)
        channels_f32(p, x, y, NULL, out);
    else
        maps_f32(p, x, y, out, p->b.pixels * ENG_BLOCK);
    eng_floats_done(c, c->step->out, image, b, out);
}

static void run_map(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_map_params *p = c->step->params;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            if (p->type == ENG_U8)
                map_quanta(c, p, image, b);
            else
                map_floats(c, p, image, b, eng_scratch(c, member));
        }
    }
}

const struct eng_driver eng_drive_map = {
    .split = eng_split_blocks,
    .scratch = eng_blocks_scratch,
    .phase = {run_map},
};

/* ---- depthwise of any window ---- */

static void dwk_block(const struct eng_call *c, const struct eng_dwk_params *p, int image, int b,
                      char *scratch)
{
    const struct eng_window *w = &p->win;
    const float *in = eng_floats_in(c, c->step->in[0], image, b, &scratch);
    float *out = eng_floats_out(c, c->step->out, image, b, &scratch);
    p->kernel->run(&(struct eng_dwk_f32_args){.in = in,
                                              .in_row = (size_t)p->in_w * ENG_BLOCK,
                                              .in_h = p->in_h,
                                              .in_w = p->in_w,
                                              .kh = w->kh,
                                              .kw = w->kw,
                                              .sh = w->sh,
                                              .sw = w->sw,
                                              .dh = w->dh,
                                              .dw = w->dw,
                                              .top = w->top,
                                              .left = w->left,
                                              .out_w = p->out_w,
                                              .y1 = p->out_h,
                                              .block = p->packed + p->packed_block * (size_t)b,
                                              .out = out,
                                              .out_row = (size_t)p->out_w * ENG_BLOCK,
                                              .lo = p->lo,
                                              .hi = p->hi});
    eng_floats_done(c, c->step->out, image, b, out);
}

static void run_dwk(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++)
            dwk_block(c, c->step->params, image, b, eng_scratch(c, member));
    }
}

const struct eng_driver eng_drive_dwk = {
    .split = eng_split_blocks,
    .scratch = eng_blocks_scratch,
    .phase = {run_dwk},
};

/* ---- concatenation ---- */

/* Channels lo .. hi-1 of the output, all of one block of it, from an input that begins at channel
 * `start`. */
static void copy_channels(const struct eng_concat_params *p, const struct eng_concat_part *part,
                          const char *in, size_t in_stride, int lo, int hi, char *out)
{
    size_t lane = ENG_BLOCK * p->element;
    int from = lo - part->start, n = hi - lo;
    if (n == ENG_BLOCK && from % ENG_BLOCK == 0 && !part->table) {
        memcpy(out, in + (size_t)(from / ENG_BLOCK) * in_stride, (size_t)p->b.pixels * lane);
        return;
    }
    while (n > 0) {
        int at = from % ENG_BLOCK, some = eng_min(n, ENG_BLOCK - at);
        const char *x = in + (size_t)(from / ENG_BLOCK) * in_stride + (size_t)at * p->element;
        char *y = out + (size_t)(lo % ENG_BLOCK) * p->element;
        for (int pixel = 0; pixel < p->b.pixels; pixel++, x += lane, y += lane)
            for (int i = 0; part->table && i < some; i++)
                y[i] = (char)part->table[(unsigned char)x[i]];
        if (!part->table) {
            x -= lane * (size_t)p->b.pixels;
            y -= lane * (size_t)p->b.pixels;
            for (int pixel = 0; pixel < p->b.pixels; pixel++, x += lane, y += lane)
                memcpy(y, x, (size_t)some * p->element);
        }
        from += some;
        lo += some;
        n -= some;
    }
}

static void concat_block(const struct eng_call *c, const struct eng_concat_params *p, int image,
                         int b)
{
    int first = b * ENG_BLOCK, last = first + ENG_BLOCK;
    char *out = eng_block_at(c, c->step->out, image, b);
    if (last > p->channels || first < p->parts[0].start) /* lanes that pad it are finite */
        memset(out, p->fill, (size_t)p->b.pixels * ENG_BLOCK * p->element);
    for (int k = 0; k < c->step->n_in; k++) {
        const struct eng_concat_part *part = &p->parts[k];
        int lo = part->start > first ? part->start : first;
        int hi = eng_min(part->start + part->channels, last);
        if (lo < hi)
            copy_channels(p, part, eng_value_at(c, c->step->in[k], image),
                          eng_value_of(c, c->step->in[k])->stride, lo, hi, out);
    }
}

static void run_concat(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++)
            concat_block(c, c->step->params, image, b);
    }
}

const struct eng_driver eng_drive_concat = {
    .split = eng_split_blocks,
    .phase = {run_concat},
};

/* ---- a choice of channels ---- */

static void gather_block(const struct eng_call *c, const struct eng_gather_params *p, int image,
                         int b)
{
    size_t lane = ENG_BLOCK * p->element;
    char *out = eng_block_at(c, c->step->out, image, b);
    int n = eng_min(p->channels - b * ENG_BLOCK, ENG_BLOCK);
    if (n < ENG_BLOCK) /* lanes that pad it are finite */
        memset(out, 0, (size_t)p->b.pixels * lane);
    for (int i = 0; i < n; i++) {
        int from = p->which[b * ENG_BLOCK + i];
        const char *x = eng_block_at(c, c->step->in[0], image, from / ENG_BLOCK) +
                        (size_t)(from % ENG_BLOCK) * p->element;
        char *y = out + (size_t)i * p->element;
        if (p->element == sizeof(float))
            for (int pixel = 0; pixel < p->b.pixels; pixel++)
                memcpy(y + lane * (size_t)pixel, x + lane * (size_t)pixel, sizeof(float));
        else if (p->element == sizeof(uint16_t))
            for (int pixel = 0; pixel < p->b.pixels; pixel++)
                memcpy(y + lane * (size_t)pixel, x + lane * (size_t)pixel, sizeof(uint16_t));
        else
            for (int pixel = 0; pixel < p->b.pixels; pixel++)
                y[lane * (size_t)pixel] = x[lane * (size_t)pixel];
    }
}

static void run_gather(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    (void)member;
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++)
            gather_block(c, c->step->params, image, b);
    }
}

const struct eng_driver eng_drive_gather = {
    .split = eng_split_blocks,
    .phase = {run_gather},
};
