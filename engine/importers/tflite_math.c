/* TFLite operators on elements that no MobileNet's body has: arithmetic of any two operands,
 * functions, casts, the place of the largest value. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/graph/check.h"
#include "engine/importers/tflite_codes.h"

/* An image or a vector whose second operand is one number, one a channel, or a map of its shape:
 * what the fast drivers of ADD and MUL are for. */
static int is_plain_pair(const struct eng_tensor *x, const struct eng_tensor *c,
                         const struct eng_tensor *y)
{
    size_t n = eng_tensor_elements(c), channels = x->rank > 0 ? (size_t)x->dim[x->rank - 1] : 0;
    int image = x->rank == 4 && x->dim[0] == 1;
    if (x->data || !eng_same_shape(x, y) || (!image && eng_tensor_elements(x) != channels))
        return 0;
    return eng_same_shape(x, c) || n == 1 ||
           (n == channels && c->rank > 0 && c->rank <= x->rank && (size_t)c->dim[c->rank - 1] == n);
}

int eng_tfl_is_binary(const struct eng_tfl_build *b)
{
    if (b->in[1] < 0)
        return 1;
    const struct eng_tensor *x = eng_tfl_at(b, b->in[0]), *c = eng_tfl_at(b, b->in[1]);
    const struct eng_tensor *y = eng_tfl_at(b, b->n.out);
    if (y->type == ENG_I32 || y->type == ENG_I64)
        return 0;
    return is_plain_pair(x, c, y) || is_plain_pair(c, x, y);
}

/* One operand is one number: a bound, which clamps. */
static int as_clamp(struct eng_tfl_build *b)
{
    for (int i = 0; i < 2; i++) {
        const struct eng_tensor *c = eng_tfl_at(b, b->in[i]), *x = eng_tfl_at(b, b->in[1 - i]);
        if (!c->data || c->type != ENG_F32 || eng_tensor_elements(c) != 1 || x->data ||
            x->type != ENG_F32 || !eng_same_shape(x, eng_tfl_at(b, b->n.out)))
            continue;
        float bound = *(const float *)c->data;
        b->n.op = ENG_OP_UNARY;
        b->n.unary = ENG_UNARY_CLAMP;
        *(b->op->code == MAXIMUM ? &b->n.lo : &b->n.hi) = bound;
        b->in[0] = b->in[1 - i];
        b->n.n_in = 1;
        return 1;
    }
    return 0;
}

static enum eng_arith kind_of(int code)
{
    switch (code) {
    case SUB:
        return ENG_ARITH_SUB;
    case MUL:
        return ENG_ARITH_MUL;
    case DIV:
        return ENG_ARITH_DIV;
    case FLOOR_DIV:
        return ENG_ARITH_FLOOR_DIV;
    case MAXIMUM:
        return ENG_ARITH_MAX;
    case MINIMUM:
        return ENG_ARITH_MIN;
    default:
        return ENG_ARITH_ADD;
    }
}

int eng_tfl_arith(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_ARITH, 2);
    if (rc < 0)
        return rc;
    if (b->in[1] < 0)
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    if (eng_tfl_is_shape_only(b, b->in[0]) || eng_tfl_is_shape_only(b, b->in[1]))
        return eng_tfl_shape_arithmetic(b);
    b->n.arith = kind_of(b->op->code);
    int bounds = b->op->code == MAXIMUM || b->op->code == MINIMUM;
    if (bounds && as_clamp(b))
        return eng_tfl_finish(b);
    if (!bounds && b->op->code != FLOOR_DIV && (rc = eng_tfl_activation(b, 0)) < 0)
        return rc;
    return eng_tfl_finish(b);
}

/* A sum of many, two by two. */
int eng_tfl_add_n(struct eng_tfl_build *b)
{
    int n = b->op->n_in, rc = eng_tfl_begin(b, ENG_OP_ARITH, n);
    if (rc < 0)
        return rc;
    struct eng_tensor like = *eng_tfl_at(b, b->n.out);
    int out = b->n.out, in[ENG_MAX_INPUTS];
    memcpy(in, b->in, sizeof(in));
    like.data = NULL;
    for (int i = 0; i < n; i++)
        if (in[i] < 0)
            return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    if (n < 2 || (like.type != ENG_F32 && like.type != ENG_I32))
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it is not a sum of several reals or integers");
    b->n.op = like.type == ENG_F32 ? ENG_OP_ADD : ENG_OP_ARITH;
    b->n.n_in = 2;
    for (int i = 1; i < n; i++) {
        b->in[1] = in[i];
        b->n.out = i + 1 < n ? eng_graph_add_tensor(b->f->g, &like) : out;
        if (b->n.out < 0)
            return eng_tfl_fail(b, b->n.out, "the graph has too many tensors");
        rc = eng_tfl_finish(b);
        if (rc < 0)
            return rc;
        b->in[0] = b->n.out;
    }
    return 0;
}

int eng_tfl_function(struct eng_tfl_build *b)
{
    static const struct {
        int code;
        enum eng_unary unary;
    } table[] = {
        {EXP, ENG_UNARY_EXP},     {LOG, ENG_UNARY_LOG},       {SQRT, ENG_UNARY_SQRT},
        {RSQRT, ENG_UNARY_RSQRT}, {SQUARE, ENG_UNARY_SQUARE}, {ABS, ENG_UNARY_ABS},
        {NEG, ENG_UNARY_NEG},     {FLOOR, ENG_UNARY_FLOOR},
    };
    int rc = eng_tfl_begin(b, ENG_OP_UNARY, 1);
    size_t i = 0;
    while (rc >= 0 && table[i].code != b->op->code)
        i++;
    b->n.unary = table[i].unary;
    return rc < 0 ? rc : eng_tfl_finish(b);
}

int eng_tfl_argmax(struct eng_tfl_build *b)
{
    int64_t axis = 0;
    int rc = eng_tfl_begin(b, ENG_OP_ARGMAX, 1);
    if (rc < 0)
        return rc;
    rc = b->op->n_in < 2 ? 0 : eng_tfl_integers(b->f, b->op->in[1], &axis, 1);
    if (rc < 0)
        return rc;
    int rank = eng_tfl_at(b, b->in[0])->rank;
    axis = axis < 0 ? axis + rank : axis;
    b->n.axis = axis >= 0 && axis < rank ? (int)axis : -1;
    b->n.least = b->op->code == ARG_MIN;
    return eng_tfl_finish(b);
}

/* Bytes without a scale stand for their own numbers. */
static int plain_bytes(struct eng_tfl_build *b, struct eng_tensor *t)
{
    if (t->quant.n != 0)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its input has a scale");
    float *scale = eng_graph_alloc(b->f->g, 1, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(b->f->g, 1, sizeof(*zero));
    if (!scale || !zero)
        return eng_tfl_no_memory(b->f);
    *scale = 1;
    t->quant = (struct eng_quant){1, 0, scale, zero};
    return 0;
}

int eng_tfl_cast(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_CAST, 1);
    if (rc < 0)
        return rc;
    if (eng_tfl_is_shape_only(b, b->in[0]))
        return eng_tfl_shape_arithmetic(b);
    struct eng_tensor *x = eng_tfl_at(b, b->in[0]);
    if (b->in[0] == b->f->g->input && (x->type == ENG_U8 || x->type == ENG_I8)) {
        b->n.op = ENG_OP_DEQUANTIZE;
        rc = plain_bytes(b, x);
    }
    return rc < 0 ? rc : eng_tfl_finish(b);
}
