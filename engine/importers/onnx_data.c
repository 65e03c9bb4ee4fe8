/* Constants and attributes of ONNX files: every count, type and size is checked here. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/half.h"
#include "engine/importers/onnx.pb-c.h"

size_t eng_onnx_elements(const struct eng_onnx_value *v)
{
    size_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= (size_t)v->dim[i];
    return n;
}

/* ---- constants ---- */

static int load_dims(struct eng_onnx *f, const Onnx__TensorProto *t, const char *who,
                     struct eng_onnx_value *v)
{
    if (t->n_dims > ENG_MAX_RANK)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "%.80s has %zu dimensions", who,
                        t->n_dims);
    int64_t n = 1;
    v->rank = (int)t->n_dims;
    for (int i = 0; i < v->rank; i++) {
        if (t->dims[i] < 0)
            return eng_fail(f->err, f->errlen, ENG_E_DATA, "%.80s has a dimension of %lld", who,
                            (long long)t->dims[i]);
        if (t->dims[i] > ENG_MAX_DIM || (n *= t->dims[i]) > ENG_MAX_ELEMENTS)
            return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "%.80s is too large", who);
        v->dim[i] = (int32_t)t->dims[i];
    }
    return 0;
}

/* How the elements lie in the file: bytes of one in raw_data, how many in the typed list. */
struct layout {
    int type; /* that the importer makes of it, -1: unsupported */
    size_t unit, listed;
};

static struct layout layout_of(const Onnx__TensorProto *t)
{
    switch (t->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        return (struct layout){ENG_F32, 4, t->n_float_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
        return (struct layout){ENG_F32, 2, t->n_int32_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        return (struct layout){ENG_F32, 8, t->n_double_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
        return (struct layout){ENG_U8, 1, t->n_int32_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
        return (struct layout){ENG_I8, 1, t->n_int32_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
        return (struct layout){ENG_BOOL, 1, t->n_int32_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        return (struct layout){ENG_I32, 4, t->n_int32_data};
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return (struct layout){ENG_I64, 8, t->n_int64_data};
    default:
        return (struct layout){-1, 0, 0};
    }
}

/* Element i of what is neither raw nor already as it should be. */
static void convert(const Onnx__TensorProto *t, int type, void *to, size_t i)
{
    uint16_t half;
    double real;
    int raw = t->has_raw_data;
    if (type == ENG_F32 && t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16) {
        if (raw)
            memcpy(&half, t->raw_data.data + 2 * i, sizeof(half));
        else
            half = (uint16_t)t->int32_data[i];
        ((float *)to)[i] = eng_half_to_float(half);
    } else if (type == ENG_F32) {
        if (raw)
            memcpy(&real, t->raw_data.data + 8 * i, sizeof(real));
        else
            real = t->double_data[i];
        ((float *)to)[i] = (float)real;
    } else {
        ((uint8_t *)to)[i] = (uint8_t)t->int32_data[i];
    }
}

int eng_onnx_load(struct eng_onnx *f, const Onnx__TensorProto *t, const char *who,
                  struct eng_onnx_value *v)
{
    int rc = load_dims(f, t, who, v);
    if (rc < 0)
        return rc;
    if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL || t->n_external_data)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "%.80s keeps its data in another file; save the model as one", who);
    struct layout l = layout_of(t);
    if (l.type < 0 || t->segment)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "%.80s has element type %d, which is not supported", who, t->data_type);
    size_t n = eng_onnx_elements(v), have = t->has_raw_data ? t->raw_data.len : l.listed;
    size_t want = t->has_raw_data ? n * l.unit : n;
    if (have != want)
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "%.80s has %zu %s of data, its shape %zu",
                        who, have, t->has_raw_data ? "bytes" : "elements", want);
    v->type = v->stored = (enum eng_type)l.type;
    v->ready = 1;
    if (t->has_raw_data && l.unit == eng_type_size(v->stored)) {
        v->data = t->raw_data.data;
    } else if (!t->has_raw_data && l.unit == 4) {
        v->data = l.type == ENG_F32 ? (const void *)t->float_data : t->int32_data;
    } else if (!t->has_raw_data && l.type == ENG_I64) {
        v->data = t->int64_data;
    } else {
        void *copy = eng_graph_alloc(f->scratch, n + 1, eng_type_size(v->stored));
        if (!copy)
            return eng_fail(f->err, f->errlen, -ENOMEM, "not enough memory for the model");
        for (size_t i = 0; i < n; i++)
            convert(t, l.type, copy, i);
        v->data = copy;
    }
    if (!v->data) /* no elements; still a constant */
        v->data = "";
    return 0;
}

float eng_onnx_real(const struct eng_onnx_value *v, size_t k)
{
    const struct eng_quant *q = &v->quant;
    if (v->stored == ENG_F32)
        return ((const float *)v->data)[k];
    size_t step = 1, ch = 0;
    for (int i = q->axis + 1; q->n > 1 && i < v->rank; i++)
        step *= (size_t)v->dim[i];
    if (q->n > 1)
        ch = k / step % (size_t)q->n;
    int32_t quantum = v->stored == ENG_U8   ? ((const uint8_t *)v->data)[k]
                      : v->stored == ENG_I8 ? ((const int8_t *)v->data)[k]
                                            : ((const int32_t *)v->data)[k];
    return (float)((int64_t)quantum - q->zero_point[ch]) * q->scale[ch];
}

static int is_real(const struct eng_onnx_value *v)
{
    return v->stored == ENG_F32 ||
           (v->quant.n > 0 && (v->stored == ENG_U8 || v->stored == ENG_I8 || v->stored == ENG_I32));
}

static void copy_elements(const struct eng_onnx_value *v, const struct eng_tensor *t,
                          const int *perm, int real, void *to)
{
    size_t stride[ENG_MAX_RANK], n = eng_tensor_elements(t), at = 0, step = 1;
    size_t unit = eng_type_size(t->type);
    int32_t counter[ENG_MAX_RANK] = {0};
    size_t of_value[ENG_MAX_RANK];
    for (int d = v->rank - 1; d >= 0; d--) {
        of_value[d] = step;
        step *= (size_t)v->dim[d];
    }
    for (int d = 0; d < v->rank; d++)
        stride[d] = of_value[perm ? perm[d] : d];
    if (!perm && (!real || v->stored == ENG_F32)) {
        memcpy(to, v->data, n * unit);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (real && v->stored == ENG_F32)
            ((float *)to)[i] = ((const float *)v->data)[at];
        else if (real)
            ((float *)to)[i] = eng_onnx_real(v, at);
        else
            memcpy((char *)to + i * unit, (const char *)v->data + at * unit, unit);
        for (int d = v->rank - 1; d >= 0; d--) {
            at += stride[d];
            if (++counter[d] < t->dim[d])
                break;
            at -= stride[d] * (size_t)t->dim[d];
            counter[d] = 0;
        }
    }
}

/* Weights of a scale for each output, stored as uint8 around 128: int8 around 0, by which they are
 * known everywhere else. -ENOMEM without memory. */
static int centre(struct eng_graph *g, struct eng_tensor *t, uint8_t *data)
{
    if (t->type != ENG_U8 || t->quant.n < 2)
        return 0;
    for (int i = 0; i < t->quant.n; i++)
        if (t->quant.zero_point[i] != 128)
            return 0;
    int32_t *zero = eng_graph_alloc(g, (size_t)t->quant.n, sizeof(*zero));
    if (!zero)
        return -ENOMEM;
    memset(zero, 0, (size_t)t->quant.n * sizeof(*zero));
    for (size_t i = 0; i < t->size; i++)
        data[i] ^= 128;
    t->quant.zero_point = zero;
    t->type = ENG_I8;
    return 0;
}

int eng_onnx_constant(struct eng_onnx_op *op, const struct eng_onnx_value *v, const int *perm,
                      int real)
{
    struct eng_graph *g = op->f->g;
    if (!v->data || (real && !is_real(v)))
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s is %s", v->name,
                             v->data ? "not a real constant" : "not a constant");
    struct eng_tensor t = {.type = real ? ENG_F32 : v->stored, .rank = v->rank};
    for (int d = 0; d < v->rank; d++) {
        t.dim[d] = v->dim[perm ? perm[d] : d];
        if (!real && v->quant.n > 1 && (perm ? perm[d] : d) == v->quant.axis)
            t.quant.axis = d;
        if (t.dim[d] < 1)
            return eng_onnx_fail(op, ENG_E_DATA, "%.80s is empty", v->name);
    }
    if (!real && v->quant.n > 0)
        t.quant = (struct eng_quant){v->quant.n, t.quant.axis, v->quant.scale, v->quant.zero_point};
    size_t n = eng_tensor_elements(&t);
    t.size = n * eng_type_size(t.type);
    void *data = eng_graph_alloc_constant(g, n, eng_type_size(t.type));
    t.name = eng_graph_strdup(g, v->name, strlen(v->name));
    if (!data || !t.name)
        return eng_onnx_no_memory(op);
    copy_elements(v, &t, perm, real, data);
    if (centre(g, &t, data) < 0)
        return eng_onnx_no_memory(op);
    t.data = data;
    int rc = eng_graph_add_tensor(g, &t);
    return rc < 0 ? eng_onnx_fail(op, rc, "the graph has too many tensors") : rc;
}

int eng_onnx_permuted(struct eng_onnx_op *op, const struct eng_onnx_value *v, const int *perm)
{
    struct eng_onnx_value *out = op->out;
    struct eng_tensor t = {.type = v->stored, .rank = v->rank};
    for (int d = 0; d < v->rank; d++) {
        t.dim[d] = v->dim[perm[d]];
        if (perm[d] == v->quant.axis)
            t.quant.axis = d;
    }
    void *to = eng_graph_alloc(op->f->scratch, eng_onnx_elements(v) + 1, eng_type_size(v->stored));
    if (!to)
        return eng_onnx_no_memory(op);
    copy_elements(v, &t, perm, 0, to);
    int rc = eng_onnx_alias(op, v);
    memcpy(out->dim, t.dim, sizeof(out->dim));
    out->quant.axis = t.quant.axis;
    out->data = to;
    return rc;
}

int eng_onnx_new_vector(struct eng_onnx_op *op, int n, float **ret_data)
{
    float *data = eng_graph_alloc_constant(op->f->g, (size_t)n, sizeof(*data));
    if (!data)
        return eng_onnx_no_memory(op);
    struct eng_tensor t = {.name = op->n.name, .type = ENG_F32, .rank = 1, .dim = {n}};
    t.data = data;
    t.size = (size_t)n * sizeof(*data);
    int rc = eng_graph_add_tensor(op->f->g, &t);
    if (rc < 0)
        return eng_onnx_fail(op, rc, "the graph has too many tensors");
    *ret_data = data;
    return rc;
}

int eng_onnx_list(const struct eng_onnx_op *op, int i, int64_t *ret, int max)
{
    const struct eng_onnx_value *v = i < op->n_in ? op->v[i] : NULL;
    if (!v)
        return 0;
    size_t n = eng_onnx_elements(v);
    if (!v->data || (v->stored != ENG_I64 && v->stored != ENG_I32) || n > (size_t)max)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED,
                             "%.80s is not a short list of constant integers", v->name);
    for (size_t k = 0; k < n; k++)
        ret[k] =
            v->stored == ENG_I64 ? ((const int64_t *)v->data)[k] : ((const int32_t *)v->data)[k];
    return (int)n;
}

int eng_onnx_scalar(const struct eng_onnx_op *op, int i, float *ret)
{
    const struct eng_onnx_value *v = i < op->n_in ? op->v[i] : NULL;
    if (!v)
        return 0;
    if (!v->data || !is_real(v) || eng_onnx_elements(v) != 1)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "%.80s is not one constant number", v->name);
    *ret = eng_onnx_real(v, 0);
    return 0;
}

/* ---- attributes ---- */

static const Onnx__AttributeProto *attribute(const struct eng_onnx_op *op, const char *name)
{
    for (size_t i = 0; i < op->p->n_attribute; i++)
        if (op->p->attribute[i]->name && strcmp(op->p->attribute[i]->name, name) == 0)
            return op->p->attribute[i];
    return NULL;
}

int64_t eng_onnx_int(const struct eng_onnx_op *op, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = attribute(op, name);
    return a && a->has_i ? a->i : otherwise;
}

float eng_onnx_float(const struct eng_onnx_op *op, const char *name, float otherwise)
{
    const Onnx__AttributeProto *a = attribute(op, name);
    return a && a->has_f ? a->f : otherwise;
}

int eng_onnx_is(const struct eng_onnx_op *op, const char *name, const char *word)
{
    const Onnx__AttributeProto *a = attribute(op, name);
    return a && a->has_s && a->s.len == strlen(word) && memcmp(a->s.data, word, a->s.len) == 0;
}

int eng_onnx_ints(const struct eng_onnx_op *op, const char *name, int64_t *ret, int max)
{
    const Onnx__AttributeProto *a = attribute(op, name);
    if (!a)
        return 0;
    if (a->n_ints > (size_t)max)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "its %s has %zu numbers", name, a->n_ints);
    for (size_t i = 0; i < a->n_ints; i++)
        ret[i] = a->ints[i];
    return (int)a->n_ints;
}

const Onnx__TensorProto *eng_onnx_tensor(const struct eng_onnx_op *op, const char *name)
{
    const Onnx__AttributeProto *a = attribute(op, name);
    return a ? a->t : NULL;
}

int eng_onnx_listed(struct eng_onnx_op *op)
{
    struct eng_onnx_value *v = op->out;
    const Onnx__AttributeProto *a = op->p->n_attribute == 1 ? op->p->attribute[0] : NULL;
    const char *name = a && a->name ? a->name : "";
    int one = strcmp(name, "value_int") == 0 || strcmp(name, "value_float") == 0;
    int real = strcmp(name, "value_float") == 0 || strcmp(name, "value_floats") == 0;
    if (!one && strcmp(name, "value_ints") != 0 && strcmp(name, "value_floats") != 0)
        return eng_onnx_fail(op, ENG_E_UNSUPPORTED, "it has no value of a supported kind");
    size_t n = one ? 1 : real ? a->n_floats : a->n_ints;
    if (n > ENG_MAX_DIM)
        return eng_onnx_fail(op, ENG_E_LIMIT, "its value is too long");
    const void *listed = one && real ? (const void *)&a->f
                         : one       ? (const void *)&a->i
                         : real      ? (const void *)a->floats
                                     : a->ints;
    v->type = v->stored = real ? ENG_F32 : ENG_I64;
    v->rank = !one;
    v->dim[0] = (int32_t)n;
    v->data = n ? listed : "";
    return 0;
}
