/* Operators that move values: concat, pad, reshape, transpose, resize. */
#include "engine/kernels/ref/ref.h"

#include <math.h>
#include <string.h>

void eng_ref_reshape(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    memcpy(c->out, c->in[0], eng_tensor_elements(y) * eng_type_size(y->type));
}

/* `n` elements from x to y, requantised where their scales differ. */
static void move(const struct eng_tensor *x, const void *in, size_t from,
                 const struct eng_tensor *y, void *out, size_t to, size_t n)
{
    size_t size = eng_type_size(y->type);
    if (!eng_is_quantised(y) || eng_quant_same(x, y)) {
        memcpy((char *)out + to * size, (const char *)in + from * size, n * size);
        return;
    }
    struct eng_rescale r = eng_rescale_init(x, y);
    for (size_t i = 0; i < n; i++)
        eng_ref_put_q(y->type, out, to + i,
                      eng_rescale_round(&r, eng_ref_q(x->type, in, from + i)));
}

void eng_ref_concat(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    size_t outer = 1, inner = 1, at = 0;
    for (int a = 0; a < c->n->axis; a++)
        outer *= (size_t)y->dim[a];
    for (int a = c->n->axis + 1; a < y->rank; a++)
        inner *= (size_t)y->dim[a];
    size_t row = (size_t)y->dim[c->n->axis] * inner;
    for (int i = 0; i < c->n->n_in; i++) {
        const struct eng_tensor *x = eng_ref_in(c, i);
        size_t part = (size_t)x->dim[c->n->axis] * inner;
        for (size_t o = 0; o < outer; o++)
            move(x, c->in[i], o * part, y, c->out, o * row + at, part);
        at += part;
    }
}

void eng_ref_pad(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y), size = eng_type_size(y->type);
    size_t row = (size_t)x->dim[2] * (size_t)x->dim[3], channels = (size_t)y->dim[3];
    int wide = c->n->win.front || c->n->win.back;
    memset(c->out, y->type == ENG_F32 ? 0 : (int)(uint8_t)eng_quant_zero(y, 0), n * size);
    for (int r = 0; r < x->dim[1]; r++) {
        size_t to =
            (((size_t)r + (size_t)c->n->win.top) * (size_t)y->dim[2] + (size_t)c->n->win.left) *
            (size_t)y->dim[3];
        if (!wide)
            move(x, c->in[0], (size_t)r * row, y, c->out, to, row);
        for (int i = 0; wide && i < x->dim[2]; i++)
            move(x, c->in[0], (size_t)r * row + (size_t)i * (size_t)x->dim[3], y, c->out,
                 to + (size_t)i * channels + (size_t)c->n->win.front, (size_t)x->dim[3]);
    }
}

void eng_ref_spread(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t size = eng_type_size(y->type), pixel = (size_t)x->dim[3] * size;
    int zero = eng_is_quantised(y) ? (uint8_t)eng_quant_zero(y, 0) : 0;
    memset(c->out, zero, eng_tensor_elements(y) * size);
    const char *from = c->in[0];
    for (int row = 0; row < x->dim[1]; row++) {
        char *to = (char *)c->out + (size_t)row * (size_t)c->n->win.sh * (size_t)y->dim[2] * pixel;
        for (int i = 0; i < x->dim[2]; i++, from += pixel)
            memcpy(to + (size_t)i * (size_t)c->n->win.sw * pixel, from, pixel);
    }
}

void eng_ref_gather(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    const int32_t *which = c->in[1];
    size_t from = (size_t)x->dim[x->rank - 1], to = (size_t)y->dim[y->rank - 1];
    size_t size = eng_type_size(y->type), pixels = eng_tensor_elements(y) / to;
    for (size_t p = 0; p < pixels; p++)
        for (size_t i = 0; i < to; i++)
            memcpy((char *)c->out + (p * to + i) * size,
                   (const char *)c->in[0] + (p * from + (size_t)which[i]) * size, size);
}

void eng_ref_transpose(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t step[ENG_MAX_RANK], n = eng_tensor_elements(y), size = eng_type_size(y->type);
    size_t s = 1;
    for (int a = x->rank - 1; a >= 0; a--) {
        step[a] = s;
        s *= (size_t)x->dim[a];
    }
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, from = 0;
        for (int a = y->rank - 1; a >= 0; a--) {
            from += rest % (size_t)y->dim[a] * step[c->n->perm[a]];
            rest /= (size_t)y->dim[a];
        }
        memcpy((char *)c->out + i * size, (const char *)c->in[0] + from * size, size);
    }
}

/* Where output index o of an axis looks, in input pixels (TFLite's ResizeBilinear, ONNX's
 * coordinate modes of the same names). */
static float source(const struct eng_node *n, int o, int in, int out)
{
    if (n->align_corners && out > 1)
        return (float)o * ((float)(in - 1) / (float)(out - 1));
    float scale = (float)in / (float)out;
    return n->half_pixel ? ((float)o + 0.5f) * scale - 0.5f : (float)o * scale;
}

static struct eng_ref_lerp between(float at, int in)
{
    at = at < 0 ? 0 : at > (float)(in - 1) ? (float)(in - 1) : at;
    int i0 = (int)at;
    return (struct eng_ref_lerp){
        .i0 = i0, .i1 = i0 + 1 < in ? i0 + 1 : i0, .weight = at - (float)i0};
}

struct eng_ref_lerp eng_ref_resize_at(const struct eng_node *n, int o, int in, int out)
{
    float at = source(n, o, in, out);
    if (!n->nearest)
        return between(at, in);
    float pick = n->half_pixel      ? floorf(((float)o + 0.5f) * ((float)in / (float)out))
                 : n->align_corners ? roundf(at)
                                    : floorf(at);
    int i = pick < 0 ? 0 : pick > (float)(in - 1) ? in - 1 : (int)pick;
    return (struct eng_ref_lerp){.i0 = i, .i1 = i};
}

/* ---- quanta: XNNPACK's u8 and s8 ibilinear ---- */

enum { ONE = 1 << ENG_REF_WEIGHT_BITS };

struct eng_ref_lerp eng_ref_resize_quanta_at(const struct eng_node *n, int o, int in, int out)
{
    struct eng_ref_lerp l = eng_ref_resize_at(n, o, in, out);
    if (n->half_pixel && !n->align_corners && !n->nearest) {
        /* The same position, rounded in XNNPACK's order. */
        float scale = (float)in / (float)out, offset = 0.5f * scale - 0.5f;
        l = between((float)o * scale + offset, in);
    }
    l.steps = (int32_t)lrintf(l.weight * (float)ONE);
    return l;
}

/* An exact sum over 22 bits, rounded once, half towards +infinity: below zero too. */
static int32_t blend(const int32_t p[2][2], int32_t fx, int32_t fy)
{
    int32_t top = p[0][0] * ONE + (p[0][1] - p[0][0]) * fx;
    int32_t low = p[1][0] * ONE + (p[1][1] - p[1][0]) * fx;
    int32_t sum = top * ONE + (low - top) * fy;
    return (sum + (1 << (2 * ENG_REF_WEIGHT_BITS - 1))) >> (2 * ENG_REF_WEIGHT_BITS);
}

static void resize_quanta(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t i = 0, w = (size_t)x->dim[2], ch = (size_t)x->dim[3];
    for (int oy = 0; oy < y->dim[1]; oy++) {
        struct eng_ref_lerp v = eng_ref_resize_quanta_at(c->n, oy, x->dim[1], y->dim[1]);
        for (int ox = 0; ox < y->dim[2]; ox++) {
            struct eng_ref_lerp h = eng_ref_resize_quanta_at(c->n, ox, x->dim[2], y->dim[2]);
            size_t at[2][2] = {{(size_t)v.i0 * w + (size_t)h.i0, (size_t)v.i0 * w + (size_t)h.i1},
                               {(size_t)v.i1 * w + (size_t)h.i0, (size_t)v.i1 * w + (size_t)h.i1}};
            for (size_t k = 0; k < ch; k++, i++) {
                int32_t p[2][2];
                for (int b = 0; b < 4; b++)
                    p[b >> 1][b & 1] = eng_ref_q(x->type, c->in[0], at[b >> 1][b & 1] * ch + k);
                eng_ref_put_q(y->type, c->out, i, blend((const int32_t(*)[2])p, h.steps, v.steps));
            }
        }
    }
}

/* ---- real values ---- */

static void resize_reals(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t i = 0, w = (size_t)x->dim[2], ch = (size_t)x->dim[3];
    for (int oy = 0; oy < y->dim[1]; oy++) {
        struct eng_ref_lerp v = eng_ref_resize_at(c->n, oy, x->dim[1], y->dim[1]);
        for (int ox = 0; ox < y->dim[2]; ox++) {
            struct eng_ref_lerp h = eng_ref_resize_at(c->n, ox, x->dim[2], y->dim[2]);
            for (size_t k = 0; k < ch; k++, i++) {
                float p[2][2];
                for (int b = 0; b < 4; b++) {
                    size_t row = (size_t)(b & 2 ? v.i1 : v.i0), col = (size_t)(b & 1 ? h.i1 : h.i0);
                    p[b >> 1][b & 1] = eng_ref_real(x, c->in[0], (row * w + col) * ch + k);
                }
                float top = p[0][0] + (p[0][1] - p[0][0]) * h.weight;
                float low = p[1][0] + (p[1][1] - p[1][0]) * h.weight;
                eng_ref_put_real(y, c->out, i, top + (low - top) * v.weight);
            }
        }
    }
}

void eng_ref_resize(const struct eng_ref_call *c)
{
    if (eng_is_quantised(eng_ref_in(c, 0)))
        resize_quanta(c);
    else
        resize_reals(c);
}
