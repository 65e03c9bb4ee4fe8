/* Types, quantisation and constants of each operator: which arithmetic the planner may meet.
 *
 * A convolution's int32 sum is proved here not to overflow, and its rescaled value to fit an
 * int32, whatever the pixels are: kernels of different instruction sets then cannot differ. */
#include "engine/graph/check.h"

#include <math.h>
#include <stdlib.h>

static int quantised(const struct eng_tensor *t)
{
    return (t->type == ENG_U8 || t->type == ENG_I8) && t->quant.n == 1;
}

static int floating(const struct eng_tensor *t)
{
    return t->type == ENG_F32;
}

static int wrong_type(const struct eng_check *c, const struct eng_tensor *t)
{
    return eng_check_fail(c, ENG_E_UNSUPPORTED, "%.80s is %s%s, which is not supported here",
                          t->name, eng_type_name(t->type),
                          quantised(t)  ? ", quantised"
                          : floating(t) ? ""
                                        : ", unquantised");
}

static int computed(const struct eng_check *c, int first, int last)
{
    for (int i = first; i < last; i++)
        if (eng_check_in(c, i)->data)
            return eng_check_fail(c, ENG_E_UNSUPPORTED, "its input %.80s is a constant",
                                  eng_check_in(c, i)->name);
    return 0;
}

static int constant(const struct eng_check *c, int i, enum eng_type type)
{
    const struct eng_tensor *t = eng_check_in(c, i);
    if (!t->data)
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "%.80s is not a constant", t->name);
    if (t->type != type)
        return wrong_type(c, t);
    if (type != ENG_F32)
        return 0;
    const float *v = t->data;
    size_t n = eng_tensor_elements(t);
    for (size_t k = 0; k < n; k++)
        if (!isfinite(v[k]))
            return eng_check_fail(c, ENG_E_DATA, "%.80s holds a value that is not finite", t->name);
    return 0;
}

/* ---- conv, depthwise, fc ---- */

struct sum_bound {
    const struct eng_tensor *w;
    const int32_t *bias;
    int outputs, per_output;
    int depthwise;
    int64_t reach; /* largest |x - zx| */
};

static int weight(const struct eng_tensor *w, size_t i)
{
    return w->type == ENG_U8 ? ((const uint8_t *)w->data)[i] : ((const int8_t *)w->data)[i];
}

/* Largest |sum| of output channel ch: quickly by the weights' type, or by the weights. */
static int64_t bound_of(const struct sum_bound *b, int ch, int exactly)
{
    int64_t bias = b->bias ? llabs((int64_t)b->bias[ch]) : 0, sum = 0;
    if (!exactly)
        return bias + b->reach * 255 * b->per_output;
    int zw = b->w->quant.zero_point[b->w->quant.n > 1 ? ch : 0];
    for (int k = 0; k < b->per_output; k++) {
        size_t at = b->depthwise ? (size_t)k * (size_t)b->outputs + (size_t)ch
                                 : (size_t)ch * (size_t)b->per_output + (size_t)k;
        sum += abs(weight(b->w, at) - zw);
    }
    return bias + b->reach * sum;
}

static int check_sums(const struct eng_check *c, const struct eng_tensor *x,
                      const struct eng_tensor *w, const struct eng_tensor *bias)
{
    const struct eng_tensor *y = eng_check_out(c);
    int zx = x->quant.zero_point[0], lo = x->type == ENG_U8 ? 0 : -128;
    struct sum_bound b = {.w = w, .bias = bias ? bias->data : NULL};
    b.depthwise = c->n->op == ENG_OP_DEPTHWISE;
    b.outputs = w->dim[b.depthwise ? 3 : 0];
    b.per_output = (int)(eng_tensor_elements(w) / (size_t)b.outputs);
    b.reach = zx - lo > lo + 255 - zx ? zx - lo : lo + 255 - zx;
    for (int ch = 0; ch < b.outputs; ch++) {
        float m = x->quant.scale[0] * w->quant.scale[w->quant.n > 1 ? ch : 0] / y->quant.scale[0];
        if (!isfinite(m))
            return eng_check_fail(c, ENG_E_DATA, "channel %d is rescaled by %g", ch, (double)m);
        for (int exactly = 0;; exactly++) {
            int64_t sum = bound_of(&b, ch, exactly);
            if (sum <= INT32_MAX && (double)sum * (double)m < 2147483000.0)
                break;
            if (exactly)
                return eng_check_fail(c, ENG_E_UNSUPPORTED,
                                      "the sums of channel %d do not fit 32 bits", ch);
        }
    }
    return 0;
}

/* The bias of a quantised layer is in units of sx*sw; a file that says otherwise is broken. */
static int check_bias_scale(const struct eng_check *c, const struct eng_tensor *x,
                            const struct eng_tensor *w, const struct eng_tensor *bias)
{
    const struct eng_quant *q = &bias->quant;
    if (q->n == 0)
        return 0;
    if (q->n != 1 && q->n != w->quant.n)
        return eng_check_fail(c, ENG_E_DATA, "its bias has %d scales, its weights %d", q->n,
                              w->quant.n);
    for (int i = 0; i < w->quant.n; i++) {
        double want = (double)x->quant.scale[0] * (double)w->quant.scale[i];
        double have = q->scale[q->n > 1 ? i : 0];
        if (q->n == 1 && w->quant.n > 1)
            break;
        if (fabs(want - have) > 0.02 * want)
            return eng_check_fail(c, ENG_E_DATA,
                                  "its bias has the scale %g, its input and weights make %g", have,
                                  want);
    }
    return 0;
}

static int quantised_conv(const struct eng_check *c, const struct eng_tensor *x,
                          const struct eng_tensor *w, const struct eng_tensor *bias)
{
    int axis = c->n->op == ENG_OP_DEPTHWISE ? 3 : 0, rc;
    if (!w->data)
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "%.80s is not a constant", w->name);
    if ((w->type != ENG_U8 && w->type != ENG_I8) || w->quant.n == 0)
        return wrong_type(c, w);
    if (w->quant.n > 1 && w->quant.axis != axis)
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "%.80s is quantised along axis %d", w->name,
                              w->quant.axis);
    if (!quantised(eng_check_out(c)))
        return wrong_type(c, eng_check_out(c));
    if (bias && ((rc = constant(c, 2, ENG_I32)) < 0 || (rc = check_bias_scale(c, x, w, bias)) < 0))
        return rc;
    return check_sums(c, x, w, bias);
}

static int conv_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *w = eng_check_in(c, 1);
    const struct eng_tensor *bias = eng_check_in(c, 2);
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    int outputs = w->dim[c->n->op == ENG_OP_DEPTHWISE ? 3 : 0];
    if (bias && (eng_tensor_elements(bias) != (size_t)outputs))
        return eng_check_fail(c, ENG_E_DATA, "its bias %.80s has another length", bias->name);
    if (quantised(x))
        return quantised_conv(c, x, w, bias);
    if (!floating(x))
        return wrong_type(c, x);
    if (!floating(eng_check_out(c)))
        return wrong_type(c, eng_check_out(c));
    if ((rc = constant(c, 1, ENG_F32)) < 0)
        return rc;
    return bias ? constant(c, 2, ENG_F32) : 0;
}

/* ---- the others ---- */

static int integer(const struct eng_tensor *t)
{
    return (t->type == ENG_I32 || t->type == ENG_I64) && t->quant.n == 0;
}

/* Bytes move, values do not change: one type, one quantisation. */
static int moving(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    if (!quantised(x) && !floating(x))
        return wrong_type(c, x);
    if (x->type != y->type || !eng_same_quant(x, y))
        return eng_check_fail(c, ENG_E_UNSUPPORTED,
                              "%.80s and %.80s differ in type, scale or zero point", x->name,
                              y->name);
    return 0;
}

/* The same of what no arithmetic is done with: integers, too. */
static int carrying(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    int rc = computed(c, 0, 1);
    if (rc < 0 || !integer(x))
        return rc < 0 ? rc : moving(c);
    return x->type == y->type && integer(y) ? 0 : wrong_type(c, y);
}

/* All in float, or all of one quantised type, each with its own scale. */
static int one_type(const struct eng_check *c, int inputs)
{
    const struct eng_tensor *y = eng_check_out(c);
    if (!quantised(y) && !floating(y) && !(integer(y) && c->n->op == ENG_OP_CONCAT))
        return wrong_type(c, y);
    for (int i = 0; i < inputs; i++) {
        const struct eng_tensor *x = eng_check_in(c, i);
        if (x->type != y->type || quantised(x) != quantised(y))
            return wrong_type(c, x);
    }
    return 0;
}

static int same_type(const struct eng_check *c)
{
    int rc = computed(c, 0, 1);
    return rc < 0 ? rc : one_type(c, 1);
}

/* Some of its inputs may be constants, not all. */
static int concat_arith(const struct eng_check *c)
{
    int constants = 0;
    for (int i = 0; i < c->n->n_in; i++) {
        const struct eng_tensor *t = eng_check_in(c, i);
        int rc = t->data && floating(t) ? constant(c, i, ENG_F32) : 0;
        if (rc < 0)
            return rc;
        constants += t->data != NULL;
    }
    if (constants == c->n->n_in)
        return computed(c, 0, 1);
    return one_type(c, c->n->n_in);
}

static int mean_arith(const struct eng_check *c)
{
    int rc = same_type(c);
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    if (rc == 0 && quantised(x) && !(x->quant.scale[0] / y->quant.scale[0] < 256.0f))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its output has a far smaller scale");
    if (rc == 0 && quantised(x) && (int64_t)x->dim[1] * x->dim[2] > INT32_MAX / UINT8_MAX)
        return eng_check_fail(c, ENG_E_LIMIT, "its sum of quanta needs more than 32 bits");
    return rc;
}

/* The bounds are those within which the fixed-point sum of eltwise kernels is exact. */
static int scales_fit(const struct eng_check *c, int product)
{
    const struct eng_tensor *a = eng_check_in(c, 0), *b = eng_check_in(c, 1);
    const struct eng_tensor *y = eng_check_out(c);
    float ra = a->quant.scale[0] / y->quant.scale[0], rb = b->quant.scale[0] / y->quant.scale[0];
    float most = ra > rb ? ra : rb, least = 0x1p-10f;
    if (product) {
        most = a->quant.scale[0] * b->quant.scale[0] / y->quant.scale[0];
        least = 0x1p-16f;
    }
    if (!(most >= least && most < 256.0f))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its scales are too far apart");
    return 0;
}

static int binary_arith(const struct eng_check *c)
{
    const struct eng_tensor *b = eng_check_in(c, 1);
    int rc = computed(c, 0, 1);
    if (rc < 0 || (rc = one_type(c, 2)) < 0)
        return rc;
    if (b->data && floating(b) && (rc = constant(c, 1, ENG_F32)) < 0)
        return rc;
    return floating(eng_check_out(c)) ? 0 : scales_fit(c, c->n->op == ENG_OP_MUL);
}

static int arith_of_quanta(const struct eng_check *c)
{
    const struct eng_tensor *y = eng_check_out(c);
    switch (c->n->arith) {
    case ENG_ARITH_ADD:
    case ENG_ARITH_SUB:
    case ENG_ARITH_MUL:
        return scales_fit(c, c->n->arith == ENG_ARITH_MUL);
    case ENG_ARITH_MIN:
    case ENG_ARITH_MAX:
        if (eng_same_quant(eng_check_in(c, 0), y) && eng_same_quant(eng_check_in(c, 1), y))
            return 0;
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its inputs and output have several scales");
    default:
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "it is supported for reals and integers alone");
    }
}

static int arith_arith(const struct eng_check *c)
{
    const struct eng_tensor *y = eng_check_out(c);
    int constants = 0, rc;
    if ((unsigned)c->n->arith > ENG_ARITH_LAST)
        return eng_check_fail(c, ENG_E_DATA, "unknown arithmetic %d", (int)c->n->arith);
    if (!floating(y) && !integer(y) && !quantised(y))
        return wrong_type(c, y);
    for (int i = 0; i < 2; i++) {
        const struct eng_tensor *t = eng_check_in(c, i);
        if (t->type != y->type || quantised(t) != quantised(y))
            return wrong_type(c, t);
        if (t->data && floating(t) && (rc = constant(c, i, ENG_F32)) < 0)
            return rc;
        constants += t->data != NULL;
    }
    if (constants == 2)
        return computed(c, 0, 1);
    if (integer(y) && c->n->arith == ENG_ARITH_DIV)
        return wrong_type(c, y);
    return quantised(y) ? arith_of_quanta(c) : 0;
}

static int argmax_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    if (!floating(x) && !quantised(x) && !integer(x))
        return wrong_type(c, x);
    return integer(y) ? 0 : wrong_type(c, y);
}

static int cast_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    if (!floating(x) && !integer(x))
        return wrong_type(c, x);
    return floating(y) || integer(y) ? 0 : wrong_type(c, y);
}

/* Indices that are computed are held inside when it runs. */
static int pick_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *at = eng_check_in(c, 1);
    int rc = carrying(c);
    if (rc < 0)
        return rc;
    if (!integer(at))
        return wrong_type(c, at);
    int depth = c->n->axis == -1 ? at->dim[at->rank - 1] : 1;
    size_t n = at->data ? eng_tensor_elements(at) : 0;
    for (size_t i = 0; i < n; i++) {
        int64_t v =
            at->type == ENG_I32 ? ((const int32_t *)at->data)[i] : ((const int64_t *)at->data)[i];
        int64_t dim = x->dim[c->n->axis == -1 ? (int)(i % (size_t)depth) : c->n->axis];
        if (v < -dim || v >= dim)
            return eng_check_fail(c, ENG_E_DATA, "its index is %lld", (long long)v);
    }
    return 0;
}

/* Real, or quantised per tensor, each. */
static int detections_arith(const struct eng_check *c)
{
    int rc = computed(c, 0, 2);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 3; i++)
        if (!floating(eng_check_in(c, i)) && !quantised(eng_check_in(c, i)))
            return wrong_type(c, eng_check_in(c, i));
    const struct eng_tensor *anchors = eng_check_in(c, 2);
    if (!anchors->data)
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "%.80s is not a constant", anchors->name);
    if (floating(anchors))
        rc = constant(c, 2, ENG_F32);
    if (rc < 0)
        return rc;
    return floating(eng_check_out(c)) ? 0 : wrong_type(c, eng_check_out(c));
}

static int softmax_arith(const struct eng_check *c)
{
    if (!isfinite(c->n->beta) || c->n->beta <= 0)
        return eng_check_fail(c, ENG_E_DATA, "its beta is %g", (double)c->n->beta);
    return same_type(c);
}

static int quantize_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *y = eng_check_out(c);
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    if (!quantised(x) && !floating(x))
        return wrong_type(c, x);
    if (!quantised(y))
        return wrong_type(c, y);
    if (quantised(x) && !(x->quant.scale[0] / y->quant.scale[0] < 65536.0f))
        return eng_check_fail(c, ENG_E_UNSUPPORTED, "its scales are too far apart");
    return 0;
}

static int dequantize_arith(const struct eng_check *c)
{
    int rc = computed(c, 0, 1);
    if (rc < 0)
        return rc;
    if (!quantised(eng_check_in(c, 0)))
        return wrong_type(c, eng_check_in(c, 0));
    return floating(eng_check_out(c)) ? 0 : wrong_type(c, eng_check_out(c));
}

static int unary_arith(const struct eng_check *c)
{
    if ((unsigned)c->n->unary > ENG_UNARY_LAST)
        return eng_check_fail(c, ENG_E_DATA, "unknown activation %d", (int)c->n->unary);
    if (!isfinite(c->n->alpha) || !isfinite(c->n->beta))
        return eng_check_fail(c, ENG_E_DATA, "a parameter is not finite");
    return same_type(c);
}

static int per_channel_arith(const struct eng_check *c)
{
    int rc = same_type(c);
    if (rc < 0)
        return rc;
    if (!floating(eng_check_in(c, 0)))
        return wrong_type(c, eng_check_in(c, 0));
    for (int i = 1; i < c->n->n_in; i++)
        if ((rc = constant(c, i, ENG_F32)) < 0)
            return rc;
    return 0;
}

static int gather_arith(const struct eng_check *c)
{
    const struct eng_tensor *x = eng_check_in(c, 0), *which = eng_check_in(c, 1);
    int rc = moving(c);
    if (rc < 0 || (rc = constant(c, 1, ENG_I32)) < 0)
        return rc;
    for (int i = 0; i < which->dim[0]; i++) {
        int32_t at = ((const int32_t *)which->data)[i];
        if (at < 0 || at >= x->dim[x->rank - 1])
            return eng_check_fail(c, ENG_E_DATA, "it asks for channel %d of %d", (int)at,
                                  (int)x->dim[x->rank - 1]);
    }
    return 0;
}

int eng_check_arith(const struct eng_check *c)
{
    static int (*const rules[ENG_OP_COUNT])(const struct eng_check *) = {
#define OP(id, name, kind, least, most, shape, arith, ...) [ENG_OP_##id] = arith,
#include "engine/graph/ops.def"
    };
    return rules[c->n->op](c);
}
