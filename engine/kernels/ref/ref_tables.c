/* Operators on tables: the place of the largest, slices, picks by index, repetition, detections. */
#include "engine/kernels/ref/ref.h"

#include <string.h>

#include "engine/postprocess.h"

static size_t product(const struct eng_tensor *t, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++)
        n *= (size_t)t->dim[i];
    return n;
}

/* ---- argmax ---- */

/* Whether element i is better than element k of x. */
static int is_better(enum eng_type type, const void *x, size_t i, size_t k, int least)
{
    if (least) {
        size_t other = i;
        i = k;
        k = other;
    }
    switch (type) {
    case ENG_F32:
        return ((const float *)x)[i] > ((const float *)x)[k];
    case ENG_I32:
        return ((const int32_t *)x)[i] > ((const int32_t *)x)[k];
    case ENG_I64:
        return ((const int64_t *)x)[i] > ((const int64_t *)x)[k];
    default:
        return eng_ref_q(type, x, i) > eng_ref_q(type, x, k);
    }
}

/* Of n <= 256 bytes: each with its place, counted backwards, as one number, so that the largest is
 * the first of the best. */
static size_t first_of_bytes(const uint8_t *q, size_t n, uint8_t flip)
{
    uint16_t best = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t key = (uint16_t)((q[i] ^ flip) << 8 | (255 - i));
        best = key > best ? key : best;
    }
    return 255 - (best & 255);
}

static size_t first_of(const struct eng_tensor *x, const void *data, size_t from, size_t step,
                       size_t n, int least)
{
    size_t best = 0;
    int bytes = x->type == ENG_U8 || x->type == ENG_I8;
    if (bytes && step == 1 && n <= 256)
        return first_of_bytes((const uint8_t *)data + from, n,
                              (uint8_t)((x->type == ENG_I8 ? 0x80 : 0) ^ (least ? 0xff : 0)));
    for (size_t i = 1; i < n; i++)
        if (is_better(x->type, data, from + i * step, from + best * step, least))
            best = i;
    return best;
}

/* Bytes, `inner` <= MOST columns of n rows: row by row, each column's best kept. */
enum { MOST = 64 };

static void first_of_columns(const uint8_t *x, size_t n, size_t inner, uint8_t flip, int32_t *ret)
{
    uint8_t best[MOST];
    for (size_t k = 0; k < inner; k++) {
        best[k] = x[k] ^ flip;
        ret[k] = 0;
    }
    for (size_t i = 1; i < n; i++) {
        const uint8_t *row = x + i * inner;
        for (size_t k = 0; k < inner; k++) {
            uint8_t v = row[k] ^ flip;
            int better = v > best[k];
            best[k] = better ? v : best[k];
            ret[k] = better ? (int32_t)i : ret[k];
        }
    }
}

/* 1: it is done. */
static int argmax_of_columns(const struct eng_ref_call *c, size_t outer, size_t n, size_t inner)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    int32_t at[MOST];
    if (!eng_is_quantised(x) || inner == 1 || inner > MOST)
        return 0;
    uint8_t flip = (uint8_t)((x->type == ENG_I8 ? 0x80 : 0) ^ (c->n->least ? 0xff : 0));
    for (size_t o = 0; o < outer; o++) {
        first_of_columns((const uint8_t *)c->in[0] + o * n * inner, n, inner, flip, at);
        for (size_t k = 0; k < inner; k++)
            if (y->type == ENG_I32)
                ((int32_t *)c->out)[o * inner + k] = at[k];
            else
                ((int64_t *)c->out)[o * inner + k] = at[k];
    }
    return 1;
}

void eng_ref_argmax(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    int axis = c->n->axis;
    size_t outer = product(x, 0, axis), inner = product(x, axis + 1, x->rank);
    size_t n = (size_t)x->dim[axis];
    if (argmax_of_columns(c, outer, n, inner))
        return;
    for (size_t i = 0; i < outer * inner; i++) {
        size_t from = i / inner * n * inner + i % inner;
        size_t best = first_of(x, c->in[0], from, inner, n, c->n->least);
        if (y->type == ENG_I32)
            ((int32_t *)c->out)[i] = (int32_t)best;
        else
            ((int64_t *)c->out)[i] = (int64_t)best;
    }
}

/* ---- what moves ---- */

static inline void move_some(const char *in, char *out, size_t bytes, size_t n, ptrdiff_t step)
{
    for (size_t i = 0; i < n; i++, in += step, out += bytes)
        memcpy(out, in, bytes);
}

/* n runs of so many bytes; short ones with a length that the compiler knows. */
static void move_runs(const char *in, char *out, size_t bytes, size_t n, ptrdiff_t step)
{
    switch (bytes) {
    case 1:
        move_some(in, out, 1, n, step);
        break;
    case 4:
        move_some(in, out, 4, n, step);
        break;
    case 8:
        move_some(in, out, 8, n, step);
        break;
    case 16:
        move_some(in, out, 16, n, step);
        break;
    default:
        move_some(in, out, bytes, n, step);
    }
}

void eng_ref_slice(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t size = eng_type_size(y->type), n = eng_tensor_elements(y), run = 1;
    int whole = y->rank; /* axes from here on are taken as they stand */
    while (whole > 0 && c->n->step[whole - 1] == 1 && run == product(x, whole, x->rank))
        run *= (size_t)y->dim[--whole];
    size_t row = whole > 0 ? (size_t)y->dim[whole - 1] : 1, base = 0;
    size_t stride = product(x, whole, x->rank);
    for (int a = whole; a < y->rank; a++)
        base += (size_t)c->n->begin[a] * product(x, a + 1, x->rank);
    for (size_t i = 0; i < n; i += row * run) {
        size_t rest = i / (row * run), from = base, step = stride;
        for (int a = whole - 1; a >= 0; a--) {
            size_t at = a == whole - 1 ? 0 : rest % (size_t)y->dim[a];
            from += (size_t)(c->n->begin[a] + c->n->step[a] * (int)at) * step;
            step *= (size_t)x->dim[a];
            rest /= a == whole - 1 ? 1 : (size_t)y->dim[a];
        }
        move_runs((const char *)c->in[0] + from * size, (char *)c->out + i * size, run * size, row,
                  whole > 0 ? (ptrdiff_t)c->n->step[whole - 1] * (ptrdiff_t)(stride * size) : 0);
    }
}

/* Negative ones count from the back; what leaves the axis stops at its ends. */
static size_t index_at(const struct eng_tensor *t, const void *data, size_t i, int dim)
{
    int64_t v = t->type == ENG_I32 ? ((const int32_t *)data)[i] : ((const int64_t *)data)[i];
    v = v < 0 ? v + dim : v;
    return (size_t)(v < 0 ? 0 : v >= dim ? dim - 1 : v);
}

void eng_ref_pick(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *at = eng_ref_in(c, 1);
    int by_rows = c->n->axis == -1, axis = by_rows ? 0 : c->n->axis;
    int depth = by_rows ? at->dim[at->rank - 1] : 1;
    size_t places = eng_tensor_elements(at) / (size_t)depth;
    size_t outer = product(x, 0, axis), span = product(x, axis, axis + depth);
    size_t inner = product(x, axis + depth, x->rank) * eng_type_size(x->type);
    for (size_t o = 0; o < outer; o++) {
        for (size_t p = 0; p < places; p++) {
            size_t from = 0;
            for (int d = 0; d < depth; d++)
                from = from * (size_t)x->dim[axis + d] +
                       index_at(at, c->in[1], p * (size_t)depth + (size_t)d, x->dim[axis + d]);
            memcpy((char *)c->out + (o * places + p) * inner,
                   (const char *)c->in[0] + (o * span + from) * inner, inner);
        }
    }
}

void eng_ref_tile(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t size = eng_type_size(y->type), row = (size_t)y->dim[y->rank - 1];
    size_t own = x->rank > 0 ? (size_t)x->dim[x->rank - 1] : 1, n = eng_tensor_elements(y) / row;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, from = 0, step = own;
        for (int a = 2; a <= y->rank && a <= x->rank; a++) {
            size_t dim = (size_t)x->dim[x->rank - a];
            from += rest % (size_t)y->dim[y->rank - a] % dim * step;
            step *= dim;
            rest /= (size_t)y->dim[y->rank - a];
        }
        for (size_t k = 0; k < row; k += own)
            memcpy((char *)c->out + (i * row + k) * size, (const char *)c->in[0] + from * size,
                   own * size);
    }
}

/* ---- detections ---- */

static struct eng_values values_of(const struct eng_ref_call *c, int i)
{
    const struct eng_tensor *t = eng_ref_in(c, i);
    struct eng_values v = {.data = c->in[i], .type = t->type, .scale = 1};
    if (t->type != ENG_F32) {
        v.scale = eng_quant_scale(t, 0);
        v.zero_point = eng_quant_zero(t, 0);
    }
    return v;
}

void eng_ref_detections(const struct eng_ref_call *c)
{
    const struct eng_tensor *scores = eng_ref_in(c, 1);
    size_t rows = (size_t)eng_detect_rows(c->n->detect);
    float *out = c->out;
    struct eng_detect_heads h = {.boxes = values_of(c, 0),
                                 .scores = values_of(c, 1),
                                 .anchors = values_of(c, 2),
                                 .n = (int)(eng_tensor_elements(eng_ref_in(c, 0)) / 4),
                                 .columns = scores->dim[scores->rank - 1]};
    struct eng_detections d = {
        .box = (float(*)[4])(void *)out, .classes = out + 4 * rows, .scores = out + 5 * rows};
    eng_detect(c->n->detect, &h, c->scratch, &d);
    out[6 * rows] = (float)d.count;
}
