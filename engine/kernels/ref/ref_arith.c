/* ARITH and CAST: two operands that broadcast, of reals, integers and quanta. Rows of the last axis
 * are one loop each, axes that go on where the next one ends are one axis. */
#include "engine/kernels/ref/ref.h"

#include <math.h>
#include <string.h>

/* How the operands lie under the output: sizes and steps of each axis, outermost first; at least
 * one. */
struct walk {
    int rank;
    size_t dim[ENG_MAX_RANK], step[2][ENG_MAX_RANK];
};

static void steps_of(const struct eng_tensor *t, const struct eng_tensor *y, size_t *ret)
{
    size_t step = 1;
    for (int i = 1; i <= y->rank; i++) {
        int d = t->rank - i;
        ret[y->rank - i] = d >= 0 && t->dim[d] != 1 ? step : 0;
        step *= d >= 0 ? (size_t)t->dim[d] : 1;
    }
}

static struct walk walk_of(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    size_t step[2][ENG_MAX_RANK];
    struct walk w = {.rank = 1, .dim = {1}};
    steps_of(eng_ref_in(c, 0), y, step[0]);
    steps_of(eng_ref_in(c, 1), y, step[1]);
    int last = -1;
    for (int i = 0; i < y->rank; i++) {
        size_t dim = (size_t)y->dim[i];
        if (dim == 1)
            continue;
        if (last >= 0 && w.step[0][last] == step[0][i] * dim &&
            w.step[1][last] == step[1][i] * dim) {
            w.dim[last] *= dim;
        } else {
            w.dim[++last] = dim;
        }
        w.step[0][last] = step[0][i];
        w.step[1][last] = step[1][i];
    }
    w.rank = last < 0 ? 1 : last + 1;
    return w;
}

/* Row `row` of the output: where its operands begin. */
static void starts_of(const struct walk *w, size_t row, size_t ret[2])
{
    ret[0] = ret[1] = 0;
    for (int i = w->rank - 2; i >= 0; i--) {
        ret[0] += row % w->dim[i] * w->step[0][i];
        ret[1] += row % w->dim[i] * w->step[1][i];
        row /= w->dim[i];
    }
}

/* n elements of a row, `x` and `y` the operands of each. */
#define ROW(expression)                                                                            \
    for (size_t i = 0; i < n; i++, a += sa, b += sb) {                                             \
        x = *a;                                                                                    \
        y = *b;                                                                                    \
        out[i] = (expression);                                                                     \
    }                                                                                              \
    break

static void reals(enum eng_arith kind, const float *a, size_t sa, const float *b, size_t sb,
                  float *out, size_t n)
{
    float x, y;
    switch (kind) {
    case ENG_ARITH_ADD:
        ROW(x + y);
    case ENG_ARITH_SUB:
        ROW(x - y);
    case ENG_ARITH_MUL:
        ROW(x * y);
    case ENG_ARITH_DIV:
        ROW(x / y);
    case ENG_ARITH_FLOOR_DIV:
        ROW(floorf(x / y));
    case ENG_ARITH_MIN:
        ROW(x < y ? x : y);
    case ENG_ARITH_MAX:
        ROW(x > y ? x : y);
    }
}

/* Rounded down; the smallest number has no opposite, and wraps as in two's complement. */
static int64_t floor_div(int64_t x, int64_t y)
{
    if (y == 0)
        return 0;
    if (y == -1)
        return (int64_t)(0 - (uint64_t)x);
    int64_t q = x / y;
    return q - (x % y != 0 && (x < 0) != (y < 0));
}

static int64_t integer(enum eng_arith kind, int64_t x, int64_t y)
{
    switch (kind) {
    case ENG_ARITH_ADD:
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case ENG_ARITH_SUB:
        return (int64_t)((uint64_t)x - (uint64_t)y);
    case ENG_ARITH_MUL:
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case ENG_ARITH_MIN:
        return x < y ? x : y;
    case ENG_ARITH_MAX:
        return x > y ? x : y;
    default:
        return floor_div(x, y);
    }
}

static int64_t whole(enum eng_type type, const void *data, size_t i)
{
    return type == ENG_I32 ? ((const int32_t *)data)[i] : ((const int64_t *)data)[i];
}

static void put_whole(enum eng_type type, void *data, size_t i, int64_t v)
{
    if (type == ENG_I32)
        ((int32_t *)data)[i] = (int32_t)(uint32_t)(uint64_t)v;
    else
        ((int64_t *)data)[i] = v;
}

/* What quanta are computed with. */
struct quanta {
    struct eng_add_quant sum;
    struct eng_quant_range range;
    float scale;
    int32_t za, zb;
};

static struct quanta quanta_of(const struct eng_ref_call *c)
{
    const struct eng_tensor *a = eng_ref_in(c, 0), *b = eng_ref_in(c, 1), *y = eng_ref_out(c);
    struct quanta q = {.za = eng_quant_zero(a, 0), .zb = eng_quant_zero(b, 0)};
    q.range = eng_quant_bounds(y, c->n->lo, c->n->hi);
    if (c->n->arith == ENG_ARITH_MUL)
        q.scale = eng_quant_multiplier(a, b, 0, y);
    else
        (void)eng_add_quant_init(&q.sum, a, b, y, c->n->lo, c->n->hi);
    if (c->n->arith == ENG_ARITH_SUB)
        q.sum.kb = -q.sum.kb;
    return q;
}

static inline int32_t quantum(enum eng_arith kind, const struct quanta *q, int32_t a, int32_t b)
{
    int32_t v = 0;
    switch (kind) {
    case ENG_ARITH_MUL:
        return eng_quant_round((float)((a - q->za) * (b - q->zb)) * q->scale, &q->range);
    case ENG_ARITH_MIN:
        v = a < b ? a : b;
        break;
    case ENG_ARITH_MAX:
        v = a > b ? a : b;
        break;
    default:
        return eng_add_round(&q->sum, a, b);
    }
    return v < q->range.lo ? q->range.lo : v > q->range.hi ? q->range.hi : v;
}

/* The steps and the type as constants, so that the loop has no branch. */
static inline __attribute__((always_inline)) void
typed_quanta(const struct eng_ref_call *c, enum eng_type type, enum eng_arith kind,
             const struct quanta *q, size_t a, size_t sa, size_t b, size_t sb, size_t to, size_t n)
{
    const struct quanta own = *q;
    for (size_t i = 0; i < n; i++)
        eng_ref_put_q(type, c->out, to + i,
                      quantum(kind, &own, eng_ref_q(type, c->in[0], a + i * sa),
                              eng_ref_q(type, c->in[1], b + i * sb)));
}

static void row_of_quanta(const struct eng_ref_call *c, const struct quanta *q, size_t a, size_t sa,
                          size_t b, size_t sb, size_t to, size_t n)
{
    enum eng_type type = eng_ref_out(c)->type;
    int sum = c->n->arith == ENG_ARITH_ADD || c->n->arith == ENG_ARITH_SUB;
    if (sum && type == ENG_I8 && sa == 1 && sb == 1)
        typed_quanta(c, ENG_I8, ENG_ARITH_ADD, q, a, 1, b, 1, to, n);
    else if (sum && type == ENG_I8 && sa == 0)
        typed_quanta(c, ENG_I8, ENG_ARITH_ADD, q, a, 0, b, 1, to, n);
    else if (sum && type == ENG_U8 && sa == 1 && sb == 1)
        typed_quanta(c, ENG_U8, ENG_ARITH_ADD, q, a, 1, b, 1, to, n);
    else
        typed_quanta(c, type, c->n->arith, q, a, sa, b, sb, to, n);
}

static void row_of_integers(const struct eng_ref_call *c, size_t a, size_t sa, size_t b, size_t sb,
                            size_t to, size_t n)
{
    enum eng_type type = eng_ref_out(c)->type;
    for (size_t i = 0; i < n; i++)
        put_whole(type, c->out, to + i,
                  integer(c->n->arith, whole(type, c->in[0], a + i * sa),
                          whole(type, c->in[1], b + i * sb)));
}

static void clamp_reals(const struct eng_ref_call *c, float *v, size_t n)
{
    if (c->n->lo == -INFINITY && c->n->hi == INFINITY)
        return;
    for (size_t i = 0; i < n; i++) {
        float x = v[i] > c->n->lo ? v[i] : c->n->lo;
        v[i] = x < c->n->hi ? x : c->n->hi;
    }
}

void eng_ref_arith(const struct eng_ref_call *c)
{
    const struct eng_tensor *y = eng_ref_out(c);
    struct walk w = walk_of(c);
    struct quanta q = {0};
    size_t n = w.dim[w.rank - 1], rows = eng_tensor_elements(y) / n, at[2];
    size_t sa = w.step[0][w.rank - 1], sb = w.step[1][w.rank - 1];
    if (eng_is_quantised(y))
        q = quanta_of(c);
    for (size_t row = 0; row < rows; row++) {
        starts_of(&w, row, at);
        if (y->type == ENG_F32) {
            float *out = (float *)c->out + row * n;
            reals(c->n->arith, (const float *)c->in[0] + at[0], sa, (const float *)c->in[1] + at[1],
                  sb, out, n);
            clamp_reals(c, out, n);
        } else if (y->type == ENG_I32 || y->type == ENG_I64) {
            row_of_integers(c, at[0], sa, at[1], sb, row * n, n);
        } else {
            row_of_quanta(c, &q, at[0], sa, at[1], sb, row * n, n);
        }
    }
}

/* Towards zero; what is outside of int64 stops at its ends, NaN is 0. */
static int64_t whole_of(float v)
{
    if (v >= 0x1p63f)
        return INT64_MAX;
    if (v < -0x1p63f)
        return INT64_MIN;
    return v == v ? (int64_t)v : 0;
}

void eng_ref_cast(const struct eng_ref_call *c)
{
    const struct eng_tensor *x = eng_ref_in(c, 0), *y = eng_ref_out(c);
    size_t n = eng_tensor_elements(y);
    if (x->type == y->type) {
        memcpy(c->out, c->in[0], n * eng_type_size(y->type));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (y->type == ENG_F32) {
            ((float *)c->out)[i] = (float)whole(x->type, c->in[0], i);
            continue;
        }
        int64_t v = x->type == ENG_F32 ? whole_of(((const float *)c->in[0])[i])
                                       : whole(x->type, c->in[0], i);
        if (x->type == ENG_F32 && y->type == ENG_I32)
            v = v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v;
        put_whole(y->type, c->out, i, v);
    }
}
